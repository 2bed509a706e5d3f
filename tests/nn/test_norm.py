"""Batch norm keeps PyTorch's running statistics."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn


@pytest.fixture
def layer():
    return nn.initialize(nn.BatchNorm(3, momentum=0.3, epsilon=1e-2))


def test_training_normalizes_the_batch_and_moves_the_statistics(layer, rng):
    x = (rng.standard_normal((4, 5, 2, 3)) * [1, 2, 3] + [0, 10, -5]).astype(np.float32)
    y = layer(jnp.asarray(x), train=True)
    mean, variance = x.astype(np.float64).mean((0, 1, 2)), x.astype(np.float64).var((0, 1, 2))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-2), rtol=1e-4, atol=1e-5)
    unbiased = x.astype(np.float64).var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.mean[...], 0.3 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.var[...], 0.7 + 0.3 * unbiased, rtol=1e-5)


def test_evaluation_uses_the_statistics_and_leaves_them(layer, rng):
    layer.mean.set_value(jnp.asarray([1.0, 2.0, 3.0]))
    layer.var.set_value(jnp.asarray([4.0, 1.0, 0.25]))
    layer.scale.set_value(jnp.asarray([1.0, -1.0, 2.0]))
    layer.bias.set_value(jnp.asarray([0.0, 0.5, 1.0]))
    x = rng.standard_normal((2, 3)).astype(np.float32)
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([4, 1, 0.25]) + 1e-2) * [1, -1, 2] + [0, 0.5, 1]
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.mean[...], [1, 2, 3])


def test_half_input_keeps_float32_statistics(layer, rng):
    x = jnp.asarray(rng.standard_normal((64, 4, 4, 3)) + 100, jnp.bfloat16)
    y = layer(x, train=True)
    assert y.dtype == jnp.bfloat16 and layer.mean[...].dtype == jnp.float32
    wide = np.asarray(x.astype(jnp.float32), np.float64)
    np.testing.assert_allclose(layer.mean[...], 0.3 * wide.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(layer.var[...], 0.7 + 0.3 * wide.var((0, 1, 2), ddof=1), rtol=1e-4)


def test_one_value_per_channel_is_refused_in_training(layer):
    with pytest.raises(ValueError, match=r"more than one value per channel; x of shape \(1, 1, 1, 3\) has 1"):
        layer(jnp.ones((1, 1, 1, 3)), train=True)
    assert layer(jnp.ones((1, 1, 1, 3))).shape == (1, 1, 1, 3)
