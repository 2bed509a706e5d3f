"""Layers one after another, each with a key of its own."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv import nn


def test_order_and_names():
    layers = nn.Sequential(nn.MaxPool(2, strides=2, padding=0), nn.Dense(1, 4), nn.Dense(4, 2))
    apply, params, _ = nn.functionalize(layers)
    assert list(params) == [1, 2]
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    pooled = np.array([5, 7, 13, 15]).reshape(1, 2, 2, 1)
    expected = pooled @ np.asarray(params[1]["kernel"]) @ np.asarray(params[2]["kernel"])
    np.testing.assert_allclose(apply(params, {}, x, train=False)[0], expected, rtol=1e-5)


def test_equal_layers_get_different_keys():
    one, two = nn.Sequential(nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    x = jnp.ones((1, 100, 1))
    y, z = (np.asarray(layers(x, train=True, key=jax.random.key(0))) for layers in (one, two))
    assert 0 < (z != 0).sum() < (y != 0).sum()


def test_training_reaches_every_layer():
    layers = nn.Sequential(nn.BatchNorm(2), nn.BatchNorm(2))
    nn.initialize(layers)(jnp.asarray([[1.0, 2.0], [3.0, 6.0]]), train=True)
    assert (np.asarray(layers[0].mean[...]) != 0).all() and (np.asarray(layers[1].var[...]) != 1).all()
