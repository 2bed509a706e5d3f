"""LeNet-5 layer by layer in NumPy, and its counts from the paper's figure."""

import jax
import jax.numpy as jnp
import numpy as np
from functional import oracles

from jaxconv import nn
from jaxconv.models import create_model

PLAIN = {"strides": (1, 1), "pairs": ((0, 0), (0, 0)), "dilation": (1, 1)}
HALF = {"window": (2, 2), "strides": (2, 2), "pairs": ((0, 0), (0, 0))}


def parameters_by_layer(name):
    _, params, _ = nn.functionalize(create_model(name, key=None), key=None)
    return {layer: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree)) for layer, tree in params.items()}


def test_lenet5_counts_layer_by_layer():
    # 5*5*1*6+6, 5*5*6*16+16, 5*5*16*120+120, 120*84+84, 84*10+10
    expected = {"c1": 156, "c3": 2_416, "c5": 48_120, "f6": 10_164, "output": 850}
    assert parameters_by_layer("lenet5") == expected and sum(expected.values()) == 61_706


def test_two_conv_dense_counts_layer_by_layer():
    expected = {"conv1": 416, "conv2": 6_416, "fc1": 50_240, "fc2": 650}
    assert parameters_by_layer("two_conv_dense") == expected


def test_lenet5_against_numpy(rng):
    apply, params, _ = nn.functionalize(create_model("lenet5"))
    x = rng.standard_normal((1, 32, 32, 1)).astype(np.float32)

    def conv(x, layer):
        return np.tanh(oracles.conv(x, params[layer]["kernel"], **PLAIN) + np.asarray(params[layer]["bias"]))

    def dense(x, layer):
        return x @ np.asarray(params[layer]["kernel"], np.float64) + np.asarray(params[layer]["bias"])

    y = oracles.avg_pool(conv(x, "c1"), **HALF)
    y = oracles.avg_pool(conv(y, "c3"), **HALF)
    y = np.einsum("nhwc,hwck->nk", y, np.asarray(params["c5"]["kernel"], np.float64)) + np.asarray(params["c5"]["bias"])
    expected = dense(np.tanh(dense(np.tanh(y), "f6")), "output")
    actual, _ = jax.jit(apply, static_argnames="train")(params, {}, jnp.asarray(x), train=False)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_first_biases_of_the_lesson():
    _, params, _ = nn.functionalize(create_model("two_conv_dense"))
    values = [np.unique(params[layer]["bias"]).tolist() for layer in ("conv1", "conv2", "fc1", "fc2")]
    assert values == [[0], [1], [1], [1]]
    assert np.abs(params["fc1"]["kernel"]).max() <= 0.2
