"""Multiply-adds of single operations, by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jaxconv.functional as F
from jaxconv.explain.cost import activations, multiply_adds


def total(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return sum(multiply_adds(jax.make_jaxpr(function)(*arguments).jaxpr).values())


@pytest.mark.parametrize(
    ("settings", "kernel", "expected"),
    [
        ({"padding": "VALID"}, (3, 3, 4, 6), 2 * (6 * 7) * 6 * (3 * 3 * 4)),
        ({"padding": "SAME", "strides": 2}, (3, 3, 4, 6), 2 * (4 * 5) * 6 * (3 * 3 * 4)),
        ({"padding": 1, "groups": 2}, (3, 3, 2, 6), 2 * (8 * 9) * 6 * (3 * 3 * 2)),
        ({"padding": "VALID", "dilation": 2}, (3, 2, 4, 5), 2 * (4 * 7) * 5 * (3 * 2 * 4)),
    ],
)
def test_convolutions(settings, kernel, expected):
    assert total(lambda x, k: F.conv(x, k, **settings), (2, 8, 9, 4), kernel) == expected


def test_depthwise_and_transposed():
    assert total(lambda x, k: F.depthwise_conv(x, k, padding="SAME"), (1, 8, 8, 4), (3, 3, 4, 1)) == 64 * 4 * 9
    transposed = total(lambda x, k: F.conv_transpose(x, k, padding=0, strides=2), (1, 5, 5, 3), (4, 4, 3, 2))
    assert transposed == 25 * 4 * 4 * 3 * 2  # every input pixel stamps the kernel once


def test_xla_convolution_in_another_layout():
    numbers = {"dimension_numbers": ("NCHW", "OIHW", "NCHW")}
    count = total(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "VALID", **numbers), (1, 4, 8, 8), (6, 4, 3, 3))
    assert count == 36 * 6 * 4 * 9


def test_products():
    assert total(jnp.matmul, (3, 4), (4, 5)) == 60
    assert total(lambda a, b: jnp.einsum("bij,bkj->bik", a, b), (2, 3, 4), (2, 5, 4)) == 2 * 3 * 5 * 4


def test_what_is_inside_and_what_is_repeated():
    def step(carry, _):
        return jax.jit(jnp.matmul)(carry, carry), None

    assert total(lambda a: lax.scan(step, a, None, length=7)[0], (3, 3)) == 7 * 27
    assert total(lambda a: jax.checkpoint(jnp.matmul)(a, a), (3, 3)) == 27


def test_pools_and_activations_are_free():
    def others(x):
        return F.global_avg_pool(F.max_pool(jax.nn.gelu(x), 2, strides=2, padding=0))

    assert total(others, (1, 8, 8, 3)) == 0


def test_a_training_step_multiplies_three_times():
    """The input's gradient and the kernel's cost what the convolution does."""

    def loss(x, kernel):
        return F.conv(x, kernel, padding="SAME", strides=2).sum()

    shapes = (2, 8, 8, 4), (3, 3, 4, 6)
    forward = 2 * (4 * 4) * 6 * (3 * 3 * 4)
    assert total(loss, *shapes) == forward
    assert total(jax.grad(loss, argnums=1), *shapes) == 2 * forward
    assert total(jax.grad(loss, argnums=(0, 1)), *shapes) == 3 * forward


def test_activations_are_what_convolutions_and_products_give():
    def program(x, kernel, dense):
        return F.global_avg_pool(F.conv(x, kernel, padding="SAME")) @ dense

    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 8, 9, 4), (3, 3, 4, 6), (6, 5))]
    assert activations(jax.make_jaxpr(program)(*arguments).jaxpr) == 2 * 8 * 9 * 6 + 2 * 5
