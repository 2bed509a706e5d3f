"""The operation and the layer that first make a number that is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.functional import conv, max_pool
from jaxconv.train.origin import first_nonfinite, last_nonfinite, order_of_use


def network(params, x):
    """Two convolutions with a pool between, a norm, a dense layer."""
    x = conv(x, params["first"]["kernel"].astype(x.dtype), padding="SAME")
    x = max_pool(jax.nn.relu(x), 2, strides=2, padding=1)
    x = jax.jit(lambda x, kernel: conv(x, kernel, padding=0))(x, params["second"]["kernel"])
    scale, shift = (params["norm"][name][None, None, None] for name in ("scale", "shift"))
    x = scale * x / jnp.sqrt(x.var((0, 1, 2), keepdims=True) - shift)
    return jax.nn.log_softmax(x.mean((1, 2)) @ params["head"]["kernel"])


@pytest.fixture
def params(rng) -> dict:
    def normal(*shape):
        return jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32)

    return {
        "first": {"kernel": normal(3, 3, 2, 4)},
        "second": {"kernel": normal(3, 3, 4, 4)},
        "norm": {"scale": normal(4), "shift": jnp.zeros(4)},
        "head": {"kernel": normal(4, 3)},
    }


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.normal(size=(2, 8, 8, 2)), jnp.float32)


def test_nothing_is_to_blame_where_all_is_finite(params, x):
    """A maximum that starts from minus infinity is none of it."""
    assert first_nonfinite(network, params, x) is None


@pytest.mark.parametrize(
    ("layer", "leaf", "value", "operation"),
    [
        ("first", "kernel", 3e38, "conv"),
        ("second", "kernel", 3e38, "conv"),
        ("norm", "shift", 1e3, "sqrt"),
        ("norm", "scale", 3e38, "mul"),
        ("head", "kernel", 3e38, "dot_general"),
    ],
)
def test_the_layer_is_named(params, x, layer, leaf, value, operation):
    bad = {**params, layer: {**params[layer], leaf: jnp.full_like(params[layer][leaf], value)}}
    origin = first_nonfinite(network, bad, 10 * x)
    assert origin is not None and origin.parameter == f"{layer}.{leaf}", origin
    assert operation in origin.operation and np.isfinite(origin.largest) and origin.largest > 1


def test_what_is_wrong_before_the_first_layer_belongs_to_none(params):
    origin = first_nonfinite(lambda params, x: network(params, jnp.log(x)), params, jnp.zeros((2, 8, 8, 2)))
    assert origin is not None and origin.operation == "log" and origin.parameter is None


def test_the_gradient_nearest_to_the_loss_is_to_blame(params, x):
    used = order_of_use(network, params, x)
    assert sorted(used, key=lambda name: used[name])[0] == "first.kernel" and used["head.kernel"] == max(used.values())
    gradients = jax.tree.map(jnp.ones_like, params)
    gradients["first"]["kernel"] = gradients["first"]["kernel"].at[0].set(jnp.nan)
    gradients["norm"]["scale"] = gradients["norm"]["scale"].at[0].set(jnp.inf)
    assert last_nonfinite(gradients, used) == "norm.scale"
    assert last_nonfinite(params, used) is None
