"""Declared variables hold shapes, drawn ones values."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

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
