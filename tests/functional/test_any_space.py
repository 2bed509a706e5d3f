"""Spaces that are symbols of `jax.export`: what takes them, and what says that it needs a number."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax import export

import jaxconv.functional as F


@pytest.fixture(autouse=True)
def untyped(monkeypatch):
    """Functions as users have them: the tests' type checker does not know the symbols of `jax.export`."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


FUNCTIONS = {
    "VALID": lambda x, kernel: F.conv(x, kernel, padding="VALID", strides=2),
    "an int": lambda x, kernel: F.conv(x, kernel, padding=1, strides=2, dilation=2),
    "SAME": lambda x, kernel: F.depthwise_conv(x, kernel, padding="SAME"),
    "transposed": lambda x, kernel: F.conv_transpose(x, kernel, padding="SAME", strides=2),
    "pool": lambda x, kernel: F.max_pool(x, 3, strides=2, padding=1),
    "head": lambda x, kernel: F.global_avg_pool(F.conv(x, kernel, padding=((0, 1), (1, 2)))),
}


def any_space(names):
    return jax.ShapeDtypeStruct(export.symbolic_shape(names, constraints=["h>=8", "w>=8"]), jnp.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_export_with_any_space(name, rng):
    kernel = jnp.asarray(rng.standard_normal((3, 3, 4, 4)), jnp.float32)
    call = jax.jit(FUNCTIONS[name])
    exported = export.export(call, platforms=("cpu", "cuda", "tpu"))(any_space("b, h, w, 4"), kernel)
    for shape in ((2, 8, 9, 4), (1, 13, 8, 4)):
        x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
        np.testing.assert_allclose(exported.call(x, kernel), call(x, kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window, strides", [(2, 2), (3, 1), (7, 7), (5, 1)])
def test_export_gradients_of_pools_with_any_space(window, strides, rng):
    grad = jax.jit(jax.grad(lambda x: (F.max_pool(x, window, strides=strides, padding=0) ** 2).sum()))
    exported = export.export(grad)(any_space("b, h, w, 4"))
    x = jnp.asarray(rng.standard_normal((2, 13, 8, 4)), jnp.float32)
    np.testing.assert_allclose(exported.call(x), grad(x), rtol=1e-6)


STRIDED = {
    "conv": lambda x, kernel: F.conv(x, kernel, padding=1, strides=2),
    "dilated": lambda x, kernel: F.conv(x, kernel, padding=((0, 1), (2, 3)), strides=(2, 3), dilation=2),
    "pointwise": lambda x, kernel: F.conv(x, kernel[:1, :1], padding=0, strides=3),
    "depthwise": lambda x, kernel: F.depthwise_conv(x, kernel, padding="VALID", strides=(1, 2)),
    "blur": lambda x, kernel: F.blur_pool(x, 3, strides=2) * kernel[:1, :1, :1],
}


@pytest.mark.parametrize("name", STRIDED)
def test_export_gradients_with_strides_in_any_space(name, rng):
    """Of the second order, too; where the last step leaves rows or columns, and where it does not."""
    kernel = jnp.asarray(rng.standard_normal((3, 3, 4, 4)), jnp.float32)
    grad = jax.grad(lambda x, k: jnp.sum(jnp.sin(STRIDED[name](x, k))), (0, 1))
    second = jax.jit(lambda x, k: jax.jvp(grad, (x, k), (jnp.cos(x), jnp.cos(k))))
    exported = export.export(second, platforms=("cpu", "cuda", "tpu"))(any_space("b, h, w, 4"), kernel)
    for shape in ((2, 8, 9, 4), (1, 13, 8, 4), (1, 10, 14, 4)):
        x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
        for actual, expected in zip(jax.tree.leaves(exported.call(x, kernel)), jax.tree.leaves(second(x, kernel))):
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "function, purpose",
    [
        (lambda x: F.conv(x, jnp.ones((3, 3, 4, 1)), padding="SAME", strides=2), "padding='SAME' at stride 2 over h"),
        (lambda x: F.max_pool(x, 3, strides=2, padding="SAME_LOWER"), "padding='SAME_LOWER' at stride 2 over h"),
        (lambda x: F.max_pool(x, 2, strides=2, padding=0, ceil_mode=True), "ceil_mode over h"),
        (lambda x: F.avg_pool(x, 2, strides=2, padding=0), "avg_pool over h"),
        (lambda x: F.adaptive_avg_pool(x, 2), "an adaptive pool of h"),
        (lambda x: F.adaptive_max_pool(x, 2), "an adaptive pool of h"),
        (lambda x: F.space_to_depth(x, 2), "a block of 2 in h"),
    ],
)
def test_what_needs_a_known_space_says_so(function, purpose):
    message = f"Spatial sizes must be known, only the batch may be symbolic, for {purpose} positions."
    with pytest.raises(TypeError, match=message):
        jax.eval_shape(function, any_space("2, h, w, 4"))
