"""Dropout drops the stated part, keeps the mean, and needs a key."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn


def test_drops_at_its_rate_and_scales_the_rest():
    y = np.asarray(nn.Dropout(0.3)(jnp.ones((100, 200)), train=True, key=jax.random.key(0)))
    assert abs((y == 0).mean() - 0.3) < 0.01
    np.testing.assert_allclose(y[y != 0], 1 / 0.7, rtol=1e-6)


def test_keys_decide_the_mask():
    layer, x = nn.Dropout(0.5), jnp.ones(64)
    first, again, other = (layer(x, True, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()


def test_evaluation_and_rate_zero_are_the_identity():
    x = jnp.arange(5.0)
    assert nn.Dropout(0.5)(x) is x and nn.Dropout(0.0)(x, train=True) is x


def test_dtype_is_kept():
    assert nn.Dropout(0.5)(jnp.ones(8, jnp.bfloat16), True, jax.random.key(0)).dtype == jnp.bfloat16


def test_training_without_a_key():
    with pytest.raises(ValueError, match=r"draws at random: pass a key.*Got rate=0\.5 and key=None"):
        nn.Dropout(0.5)(jnp.ones(3), train=True)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_rate_is_a_probability(rate):
    with pytest.raises(ValueError, match=rf"probability in \[0, 1\): got {rate}"):
        nn.Dropout(rate)


def test_branch_keys_differ_and_none_stays_none():
    key = jax.random.key(0)
    assert nn.branch_key(None, 1) is None
    assert (jax.random.key_data(nn.branch_key(key, 0)) != jax.random.key_data(nn.branch_key(key, 1))).any()


def test_drop_path_drops_whole_examples():
    x = jnp.ones((200, 2, 3))
    y = np.asarray(nn.DropPath(0.25)(x, train=True, key=jax.random.key(0)))
    per_example = y.reshape(200, -1)
    assert {tuple(np.unique(row)) for row in per_example} == {(0.0,), (np.float32(1 / 0.75),)}
    assert 0.15 < (per_example[:, 0] == 0).mean() < 0.35
    np.testing.assert_array_equal(nn.DropPath(0.25)(x), x)
    with pytest.raises(ValueError, match="DropPath in training draws at random"):
        nn.DropPath(0.25)(x, train=True)


def test_rates_rise_from_zero():
    np.testing.assert_allclose(nn.rising_rates(0.3, 4), [0, 0.1, 0.2, 0.3])
    assert nn.rising_rates(0.3, 1) == [0]


def test_a_rate_is_a_number():
    with pytest.raises(TypeError, match=r"rate must be a number, known when traced; got 'a'\."):
        inspect.unwrap(nn.Dropout.__init__)(nn.Dropout(0), "a")
