"""What callers of the convolutions get wrong raises when traced, with the rule and the values."""

import inspect
import re

import jax
import jax.numpy as jnp
import pytest

import jaxconv.functional as F

MISTAKES = {
    "rank folded into the batch": (
        (1, 8, 8, 3),
        (3, 3, 4),
        dict(padding="SAME"),
        "The kernel fixes the rank: x must be (n, *space, c) with 1 spatial dimensions for a kernel of shape "
        "(3, 3, 4); x has shape (1, 8, 8, 3).",
    ),
    "no batch axis": ((8, 8, 3), (3, 3, 3, 4), dict(padding="SAME"), "x has shape (8, 8, 3)."),
    "four spatial dimensions": (
        (1, 2, 2, 2, 2, 1),
        (1, 1, 1, 1, 1, 1),
        dict(padding=0),
        "kernel must be (*window, in, out) with 1 to 3 window dimensions; its shape is (1, 1, 1, 1, 1, 1).",
    ),
    "groups inferred": (
        (1, 8, 8, 4),
        (3, 3, 2, 6),
        dict(padding="SAME"),
        "x has 4 channels; kernel of shape (3, 3, 2, 6) with groups=1 takes 2.",
    ),
    "channel mismatch": (
        (1, 8, 8, 5),
        (3, 3, 2, 6),
        dict(padding="SAME"),
        "x has 5 channels; kernel of shape (3, 3, 2, 6) with groups=1 takes 2.",
    ),
    "groups that do not divide": (
        (1, 8, 8, 4),
        (3, 3, 2, 5),
        dict(padding="SAME", groups=2),
        "groups must divide the output channels; kernel of shape (3, 3, 2, 5) makes 5, groups=2.",
    ),
    "no group": ((1, 8, 8, 4), (3, 3, 2, 5), dict(padding="SAME", groups=0), "groups must be at least 1; got 0."),
    "empty VALID output": (
        (1, 2, 8, 3),
        (3, 3, 3, 4),
        dict(padding="VALID"),
        "An output would be empty: the window, dilation * (window - 1) + 1, must fit into low + size + high; "
        "window=3 with dilation=1 takes 3, padding='VALID' makes 0 + 2 + 0.",
    ),
    "dilated beyond the image": (
        (1, 6, 6, 3),
        (3, 3, 3, 4),
        dict(padding=((1, 0), (0, 0)), dilation=4),
        "window=3 with dilation=4 takes 9, padding=(1, 0) makes 1 + 6 + 0.",
    ),
    "unknown padding": (
        (1, 8, 8, 3),
        (3, 3, 3, 4),
        dict(padding="same"),
        'padding must be "SAME", "SAME_LOWER", "VALID", an int or one (low, high) pair a dimension; got \'same\'.',
    ),
    "one pair for two dimensions": (
        (1, 8, 8, 3),
        (3, 3, 3, 4),
        dict(padding=((1, 1),)),
        "there are 2 spatial dimensions, padding is ((1, 1),).",
    ),
    "torch's tuple of ints": (
        (1, 8, 8, 3),
        (3, 3, 3, 4),
        dict(padding=(1, 1)),
        "there are 2 spatial dimensions, padding is (1, 1).",
    ),
    "negative padding": ((1, 8, 8, 3), (3, 3, 3, 4), dict(padding=-1), "padding must be at least 0; got -1."),
    "stride of zero": ((1, 8, 8, 3), (3, 3, 3, 4), dict(padding=0, strides=0), "strides must be at least 1; got 0."),
    "three strides": (
        (1, 8, 8, 3),
        (3, 3, 3, 4),
        dict(padding=0, strides=(1, 2, 1)),
        "strides must be one int or one for each spatial dimension, of which there are 2; got (1, 2, 1).",
    ),
    "dilation of zero": (
        (1, 8, 8, 3),
        (3, 3, 3, 4),
        dict(padding=0, dilation=(1, 0)),
        "dilation must be at least 1; got 0.",
    ),
    "window of zero": ((1, 8, 8, 3), (3, 0, 3, 4), dict(padding=0), "window must be at least 1; got 0."),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_raise_when_traced(name):
    x, kernel, settings, message = MISTAKES[name]
    arrays = jax.ShapeDtypeStruct(x, jnp.float32), jax.ShapeDtypeStruct(kernel, jnp.float32)
    with pytest.raises(ValueError, match=re.escape(message)):
        jax.eval_shape(lambda x, kernel: F.conv(x, kernel, **settings), *arrays)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(padding="SAME", output_padding=1), "got output_padding=1 with padding='SAME'."),
        (
            dict(padding=1, strides=2, output_padding=2),
            "output_padding must be smaller than the larger of stride and dilation; "
            "got output_padding=2, stride=2, dilation=1.",
        ),
        (dict(padding=3, strides=1), "+ output_padding = (3 - 1) * 1 - 3 - 3 + 3 + 0 = -1."),
        (dict(padding=0, groups=2), "x has 2 channels; kernel of shape (3, 3, 2, 4) with groups=2 takes 4."),
    ],
)
def test_mistakes_with_conv_transpose(settings, message):
    x, kernel = jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 2, 4))
    with pytest.raises(ValueError, match=re.escape(message)):
        F.conv_transpose(x, kernel, **settings)


def test_dtypes_are_not_promoted():
    x, kernel = jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 4), jnp.bfloat16)
    message = "x and kernel must share a dtype, there is no promotion; x is float32, kernel is bfloat16."
    with pytest.raises(TypeError, match=re.escape(message)):
        F.conv(x, kernel, padding=0)


def test_mistakes_with_depthwise_and_separable_kernels():
    x = jnp.ones((1, 4, 4, 3))
    depthwise_conv = inspect.unwrap(F.depthwise_conv)  # as users have it, without the tests' shape checker
    with pytest.raises(ValueError, match=r"x has 3 channels; depthwise kernel of shape \(3, 3, 4, 1\) takes 4\."):
        depthwise_conv(x, jnp.ones((3, 3, 4, 1)), padding=1)
    with pytest.raises(ValueError, match="x must have a channel to be convolved by itself"):
        depthwise_conv(x[..., :0], jnp.ones((3, 3, 0, 1)), padding=1)


@pytest.mark.parametrize(
    "pointwise, error, message",
    [
        (jnp.ones((3, 3, 3, 4)), ValueError, "must have a window of ones, 2 of them; its shape is (3, 3, 3, 4)."),
        (jnp.ones((1, 6, 4)), ValueError, "must have a window of ones, 2 of them; its shape is (1, 6, 4)."),
        (
            jnp.ones((1, 1, 3, 4)),
            ValueError,
            "The depthwise kernel of shape (3, 3, 3, 2) makes 6 channels; "
            "the pointwise kernel of shape (1, 1, 3, 4) takes 3.",
        ),
        (jnp.ones((1, 1, 6, 4), jnp.bfloat16), TypeError, "x is float32, the pointwise kernel is bfloat16."),
    ],
)
def test_mistakes_with_a_pointwise_kernel(pointwise, error, message):
    separable_conv = inspect.unwrap(F.separable_conv)
    with pytest.raises(error, match=re.escape(message)):
        separable_conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 2)), pointwise, padding=1)


@pytest.mark.parametrize("function", [F.conv, F.conv_transpose])
def test_empty_arrays(function):
    function = inspect.unwrap(function)
    with pytest.raises(ValueError, match=r"kernel of shape \(3, 3, 4, 0\) makes no channels\."):
        function(jnp.ones((1, 4, 4, 4)), jnp.ones((3, 3, 4, 0)), padding=1)
    with pytest.raises(ValueError, match=r"a position in every spatial dimension; its shape is \(1, 0, 4, 4\)\."):
        function(jnp.ones((1, 0, 4, 4)), jnp.ones((3, 3, 4, 2)), padding=1)
