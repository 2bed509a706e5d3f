"""Nielsen's networks: the book's counts and draws, and its order of pool, bias and activation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functional import oracles

from jaxconv import nn
from jaxconv.models import create_model

PLAIN = {"strides": (1, 1), "pairs": ((0, 0), (0, 0)), "dilation": (1, 1)}


def sizes(tree):
    return [sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(layer)) for layer in tree.values()]


@pytest.mark.parametrize(
    ("name", "conv", "fc", "softmax"),
    [
        ("nielsen_conv1", [520], [288_100], 1_010),
        ("nielsen_conv2", [520, 20_040], [64_100], 1_010),
        ("nielsen_conv2_relu", [520, 20_040], [64_100], 1_010),
        ("nielsen_conv2_fc2", [520, 20_040], [64_100, 10_100], 1_010),
        ("nielsen_dropout", [520, 20_040], [641_000, 1_001_000], 10_010),
    ],
)
def test_counts_of_the_book(name, conv, fc, softmax):
    _, params, _ = nn.functionalize(create_model(name, key=None), key=None)
    assert (sizes(params["conv"]), sizes(params["fc"])) == (conv, fc)
    assert sum(leaf.size for leaf in params["softmax"].values()) == softmax


@pytest.mark.parametrize("name", ["nielsen_conv2", "nielsen_conv2_relu"])
def test_against_numpy_in_the_usual_order(name, rng):
    """Bias and activation before the pool: the same function, because both activations rise."""
    model = create_model(name)
    model.softmax.kernel.set_value(jnp.asarray(rng.standard_normal((100, 10)), jnp.float32))
    apply, params, _ = nn.functionalize(model)
    x = rng.standard_normal((1, 28, 28, 1)).astype(np.float32)
    activate = (lambda z: np.maximum(z, 0)) if name.endswith("relu") else (lambda z: 1 / (1 + np.exp(-z)))
    y = x
    for layer in params["conv"].values():
        y = activate(oracles.conv(y, layer["kernel"], **PLAIN) + np.asarray(layer["bias"], np.float64))
        y = oracles.max_pool(y, window=(2, 2), strides=(2, 2), pairs=((0, 0), (0, 0)))
    y = y.transpose(0, 3, 1, 2).reshape(1, -1)
    for layer in params["fc"].values():
        y = activate(y @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64))
    expected = y @ np.asarray(params["softmax"]["kernel"], np.float64)
    actual, _ = jax.jit(apply, static_argnames="train")(params, {}, jnp.asarray(x), train=False)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_draws_of_the_book():
    _, params, _ = nn.functionalize(create_model("nielsen_conv2"))
    deviations = [params["conv"][1]["kernel"].std(), params["fc"][0]["kernel"].std(), params["fc"][0]["bias"].std()]
    np.testing.assert_allclose(deviations, [0.0632, 0.1, 1.0], rtol=0.2)
    assert not params["softmax"]["kernel"].any() and not params["softmax"]["bias"].any()


def test_he_draws_on_request():
    _, params, _ = nn.functionalize(create_model("nielsen_conv2", init="he"))
    assert not params["conv"][0]["bias"].any() and not params["fc"][0]["bias"].any()
    np.testing.assert_allclose(params["fc"][0]["kernel"].std(), np.sqrt(2 / 640), rtol=0.05)
    with pytest.raises(ValueError, match=r"init is one of 'nielsen', 'he': got 'zeros'"):
        create_model("nielsen_conv2", init="zeros")


def test_dropout_on_the_inputs_of_all_three_dense_layers(monkeypatch):
    widths = []
    monkeypatch.setattr(nn.Dropout, "__call__", lambda self, x, train, key: widths.append((x.shape[-1], key)) or x)
    model = create_model("nielsen_dropout", key=None)
    apply, params, batch_stats = nn.functionalize(model, key=None)
    x = jax.ShapeDtypeStruct((2, 28, 28, 1), jnp.float32)
    jax.eval_shape(lambda p, x: apply(p, batch_stats, x, train=True, key=jax.random.key(0))[0], params, x)
    assert [width for width, _ in widths] == [640, 1000, 1000] and None not in [key for _, key in widths]
