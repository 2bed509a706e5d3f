"""Declared variables hold shapes, drawn ones values."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jaxconv.functional.combine import spread
from jaxconv.nn.initializers import ones
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.variables import is_drawn, parameter, per_channel, read, statistic


@pytest.mark.parametrize("declare", [parameter, statistic])
def test_declared_then_drawn(declare):
    variable = declare((2, 3), ones)
    assert not is_drawn(variable)
    with pytest.raises(ValueError, match=r"declared first and drawn later.*Not drawn: \w+ of shape \(2, 3\)"):
        read(variable, jnp.float32)
    variable.set_value(np.ones((2, 3), np.float32))
    assert is_drawn(variable) and read(variable, jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize("declare", [parameter, statistic])
def test_sizes_are_whole_and_not_zero(declare, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it
    with pytest.raises(ValueError, match="a parameter's size, such as its channels, must be at least 1; got 0"):
        declare((3, 0), ones)
    with pytest.raises(ValueError, match="such as its channels, must be at least 1; got 0"):
        BatchNorm(0)
    with pytest.raises(TypeError, match=r"such as its channels, must be a whole number, known when traced; got 4\.0"):
        declare((4.0,), ones)


def test_per_channel_states_its_axes():
    assert per_channel(jnp.ones(3), jnp.ones((2, 4, 5, 3))).shape == (1, 1, 1, 3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_of_values_spread_over_positions_are_summed_in_float32(dtype, rng):
    """In bfloat16 that of a bias of 8 images of 56x56 was 0.12 of the largest off."""
    like = jnp.asarray(rng.standard_normal((8, 56, 56, 16)), dtype)
    dy = jnp.asarray(rng.standard_normal(like.shape), dtype)
    values = jnp.asarray(rng.standard_normal(16), dtype)
    np.testing.assert_array_equal(like + per_channel(values, like), like + values[None, None, None])
    (actual,) = jax.vjp(lambda values: like + per_channel(values, like), values)[1](dy)
    expected = dy.astype(jnp.float32).sum((0, 1, 2))
    np.testing.assert_allclose(actual.astype(jnp.float32), expected, rtol=0, atol=4e-3 * float(jnp.abs(expected).max()))


def test_values_in_float32_are_not_spread():
    like, values = jnp.ones((2, 3, 4, 5)), jnp.ones((2, 1, 1, 5))
    assert spread(values, like) is values
