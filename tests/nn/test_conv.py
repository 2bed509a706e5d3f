"""`Conv` is the functional convolution with its kernel as a parameter."""

import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from functional import oracles

from jaxconv import nn
from jaxconv.nn import initializers


@pytest.fixture
def untyped(monkeypatch):
    """Modules as users have them: the tests' type checker takes Python's own ints only."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_against_loops_with_every_setting(rng):
    init = initializers.normal(1.0)
    layer = nn.Conv(4, 6, (2, 3), padding=((1, 0), (2, 1)), strides=(1, 2), dilation=2, groups=2, bias_init=init)
    nn.initialize(layer)
    x = rng.standard_normal((2, 5, 7, 4)).astype(np.float32)
    kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
    expected = oracles.conv(x, kernel, strides=(1, 2), pairs=((1, 0), (2, 1)), dilation=(2, 2), groups=2) + bias
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)


def test_window_gives_the_rank():
    assert nn.Conv(3, 4, 5, padding="SAME").kernel.get_value().shape == (5, 5, 3, 4)
    layer = nn.initialize(nn.Conv(3, 4, [5], padding=[[2, 2]]))
    assert layer(jnp.ones((2, 9, 3))).shape == (2, 9, 4)


def test_parameters_meet_the_dtype_of_the_input():
    layer = nn.initialize(nn.Conv(3, 4, 3, padding="SAME"))
    assert layer.kernel.get_value().dtype == jnp.float32
    assert layer(jnp.ones((1, 4, 4, 3), jnp.bfloat16)).dtype == jnp.bfloat16


def test_bias_is_optional():
    assert nn.Conv(3, 4, 3, padding=1, use_bias=False).bias is None


def test_undrawn_layer_says_what_to_do():
    with pytest.raises(ValueError, match=r"call jaxconv\.nn\.initialize\(module\)"):
        nn.Conv(3, 4, 3, padding="SAME")(jnp.ones((1, 4, 4, 3)))


def test_settings_of_numpy_are_settings(untyped):
    layer = nn.initialize(nn.Conv(np.int32(3), np.int64(4), np.int64(5), padding=0, groups=np.int8(1)))
    assert layer.kernel.get_value().shape == (5, 5, 3, 4)


@pytest.mark.parametrize(
    "channels, window, groups, error, message",
    [
        (4.0, 3, 1, TypeError, "in_channels must be a whole number, known when traced; got 4.0."),
        (0, 3, 1, ValueError, "in_channels must be at least 1; got 0."),
        (4, 0, 1, ValueError, "window must be at least 1; got 0."),
        (4, (3, "3"), 1, TypeError, "window must be a whole number, known when traced; got '3'."),
        (4, 3, 0, ValueError, "groups must be at least 1; got 0."),
    ],
)
def test_settings_are_whole_numbers(channels, window, groups, error, message, untyped):
    with pytest.raises(error, match=re.escape(message)):
        nn.Conv(channels, 4, window, padding=0, groups=groups)


@pytest.mark.parametrize("groups", [2, 3])
def test_groups_divide_the_channels(groups):
    with pytest.raises(ValueError, match=rf"groups must divide the channels: groups={groups}, in_channels=3"):
        nn.Conv(3, 4, 3, padding="SAME", groups=groups)


def test_conv_norm_is_conv_norm_activation(rng):
    unit = nn.initialize(nn.ConvNorm(3, 8, 3, padding=1, strides=2, epsilon=1e-3))
    unit.bn.mean.set_value(jnp.linspace(-1, 1, 8))
    unit.bn.var.set_value(jnp.linspace(0.5, 2, 8))
    x = jnp.asarray(rng.standard_normal((2, 6, 6, 3)), jnp.float32)
    y = np.asarray(unit.conv(x), np.float64)
    expected = np.maximum((y - np.linspace(-1, 1, 8)) / np.sqrt(np.linspace(0.5, 2, 8) + 1e-3), 0)
    np.testing.assert_allclose(unit(x), expected, rtol=1e-5, atol=1e-6)
    assert unit.conv.bias is None


def test_conv_norm_takes_another_activation_or_none(rng):
    x = jnp.asarray(rng.standard_normal((1, 4, 4, 2)), jnp.float32)
    plain = nn.initialize(nn.ConvNorm(2, 3, 1, padding=0, activation=None))
    curved = nn.initialize(nn.ConvNorm(2, 3, 1, padding=0, activation=jax.nn.silu))
    np.testing.assert_allclose(curved(x), jax.nn.silu(plain(x)), rtol=1e-6)
    assert (np.asarray(plain(x)) < 0).any()
