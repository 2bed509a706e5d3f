"""What `jax.checkpoint` computes again."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax import random as jr

import jaxconv.functional as F

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _ours(x, kernel):
    return F.conv(x, kernel, padding="SAME")


def _lax(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_DIMENSIONS)


def _loss(conv, policy):
    def block(params, x):
        first, second, dense = params
        y = jnp.tanh(conv(jnp.tanh(conv(x, first)), second))
        return jnp.tanh(y.mean((1, 2)) @ dense).sum()

    return jax.checkpoint(block, policy=policy)


def _arguments():
    shapes = (3, 3, 2, 4), (3, 3, 4, 5), (5, 6)
    params = [jr.normal(jr.key(i), shape) for i, shape in enumerate(shapes)]
    return params, jr.normal(jr.key(3), (2, 7, 6, 2))


def _computed(conv, policy):
    """How many convolutions and products a gradient has."""
    program = str(jax.make_jaxpr(jax.grad(_loss(conv, policy)))(*_arguments()))
    names = re.findall(r" = (conv_general_dilated|conv|conv_input_grad|conv_kernel_grad|dot_general)\[", program)
    return sum(name != "dot_general" for name in names), names.count("dot_general")


def test_our_convolutions_are_kept_as_those_of_lax_are():
    expected = _computed(_lax, jax.checkpoint_policies.dots_saveable)
    assert expected == (2 + 3, 1 + 2)  # the first convolution needs no gradient of its input
    assert _computed(_ours, F.dots_and_convs_saveable) == expected
    assert _computed(_lax, F.dots_and_convs_saveable) == expected


def test_without_it_they_are_computed_again():
    assert _computed(_ours, jax.checkpoint_policies.dots_saveable) == (2 + 3 + 2, 1 + 2)


@pytest.mark.parametrize("policy", [F.dots_and_convs_saveable, None])
def test_the_gradient_is_that_without_checkpoint(policy):
    expected = jax.grad(_loss(_ours, jax.checkpoint_policies.everything_saveable))(*_arguments())
    for got, want in zip(jax.grad(_loss(_ours, policy))(*_arguments()), expected):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
