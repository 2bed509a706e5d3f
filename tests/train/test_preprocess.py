"""Bytes to network input."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.train import Preprocess


def test_scale_and_normalise():
    images = jnp.array([0, 51, 255], jnp.uint8).reshape(1, 1, 3, 1)
    got = Preprocess(mean=(0.2,), std=(0.5,))(images)
    np.testing.assert_allclose(got.ravel(), [-0.4, 0.0, 1.6], atol=1e-6)
    assert got.dtype == jnp.float32


def test_each_channel_has_its_own_mean():
    images = jnp.full((1, 1, 1, 3), 255, jnp.uint8)
    got = Preprocess(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.1), dtype="bfloat16")(images)
    np.testing.assert_allclose(got.ravel().astype(np.float32), [1.0, 1.0, 0.0], atol=1e-6)
    assert got.dtype == jnp.bfloat16


def test_resize_keeps_a_constant_and_the_ramp():
    images = jnp.broadcast_to(jnp.arange(0, 240, 30, dtype=jnp.uint8)[None, None, :, None], (2, 8, 8, 1))
    got = np.asarray(Preprocess(mean=(0.0,), std=(1.0,), size=(32, 32))(images))
    assert got.shape == (2, 32, 32, 1)
    np.testing.assert_allclose(got[0, 0, :, 0], got[1, 17, :, 0], atol=1e-6)
    np.testing.assert_allclose(np.diff(got[0, 5, 4:-4, 0]), 30 / 255 / 4, rtol=1e-3)


def test_mistakes_name_the_values():
    with pytest.raises(ValueError, match="mean and std need one number a channel"):
        Preprocess(mean=(0.1,), std=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"one channel a number of mean \(0.1,\); got shape \(1, 4, 4, 3\)"):
        Preprocess(mean=(0.1,), std=(1.0,))(jnp.zeros((1, 4, 4, 3), jnp.uint8))
