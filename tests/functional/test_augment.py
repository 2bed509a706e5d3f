"""Augmentations move pixels and make none up."""

import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jaxconv.functional.augment import random_flip, random_shift
from jaxconv.functional.combine import stochastic_depth


def test_a_shift_is_one_of_the_possible_ones(rng):
    x = rng.normal(size=(12, 5, 6, 2)).astype(np.float32)
    got = np.asarray(random_shift(jax.random.key(0), jnp.asarray(x), pixels=1))
    moved = 0
    for image, shifted in zip(x, got):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        which = [(i, j) for i in range(3) for j in range(3) if np.array_equal(padded[i : i + 5, j : j + 6], shifted)]
        assert len(which) == 1
        moved += which != [(1, 1)]
    assert moved > 6


def test_no_shift_is_the_identity(rng):
    x = jnp.asarray(rng.normal(size=(2, 4, 4, 1)), jnp.float32)
    np.testing.assert_array_equal(random_shift(jax.random.key(0), x, pixels=0), x)


def test_a_flip_mirrors_about_half(rng):
    x = jnp.asarray(rng.normal(size=(64, 3, 4, 1)), jnp.float32)
    got = random_flip(jax.random.key(1), x)
    flipped = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(got, x)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(got, x)])
    assert (flipped ^ kept).all() and 16 < flipped.sum() < 48


def test_equal_keys_equal_draws(rng):
    x = jnp.asarray(rng.normal(size=(8, 6, 6, 1)), jnp.float32)
    one, two = (random_shift(jax.random.key(k), x, pixels=2) for k in (0, 1))
    np.testing.assert_array_equal(one, random_shift(jax.random.key(0), x, pixels=2))
    assert not np.array_equal(one, two)


def test_a_negative_shift_is_refused():
    with pytest.raises(ValueError, match=r"pixels must be at least 0; got -1\."):
        random_shift(jax.random.key(0), jnp.zeros((1, 2, 2, 1)), pixels=-1)


def test_augmentations_take_images():
    x = jnp.ones((3, 4, 2))
    with pytest.raises(ValueError, match=re.escape("random_flip takes images (n, h, w, c); x has shape (3, 4, 2).")):
        inspect.unwrap(random_flip)(jax.random.key(0), x)
    with pytest.raises(ValueError, match=re.escape("random_shift takes images (n, h, w, c); x has shape (3, 4, 2).")):
        inspect.unwrap(random_shift)(jax.random.key(0), x, pixels=1)
    with pytest.raises(TypeError, match=r"pixels must be a whole number, known when traced; got 0\.5\."):
        inspect.unwrap(random_shift)(jax.random.key(0), x[None], pixels=0.5)


@pytest.mark.parametrize(
    "key, error, message",
    [
        (None, TypeError, "key must be a random key, as jax.random.key(0) is; got NoneType."),
        (0, TypeError, "key must be a random key, as jax.random.key(0) is; got int."),
        (np.uint32(3), TypeError, "key must be a random key, as jax.random.key(0) is; got uint32."),
        (jax.random.split(jax.random.key(0)), ValueError, "key must be a single one; it has shape (2,)."),
        (jax.random.split(jax.random.PRNGKey(0)), ValueError, "key must be a single one; it has shape (2, 2)."),
    ],
)
def test_keys_are_keys(key, error, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it
    x = jnp.ones((2, 3, 4, 1))
    for call in (
        lambda: random_flip(key, x),
        lambda: random_shift(key, x, pixels=1),
        lambda: stochastic_depth(x, 0.5, key),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()


def test_keys_of_the_old_style():
    x = jnp.ones((2, 3, 4, 1))
    assert inspect.unwrap(random_flip)(jax.random.PRNGKey(0), x).shape == x.shape


def test_images_without_pixels():
    with pytest.raises(ValueError, match=r"no edge of an image without pixels; x has shape \(1, 0, 8, 4\)\."):
        random_shift(jax.random.key(0), jnp.ones((1, 0, 8, 4)), pixels=1)
    for shape in ((0, 3, 4, 1), (2, 3, 4, 0)):
        assert random_shift(jax.random.key(0), jnp.ones(shape), pixels=1).shape == shape


@pytest.mark.parametrize("function", [random_flip, partial(random_shift, pixels=2)])
def test_images_over_explicit_mesh_axes(function, rng):
    x = jnp.asarray(rng.normal(size=(8, 6, 6, 1)), jnp.float32)
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))
    divided = jax.device_put(x, jax.NamedSharding(mesh, jax.P("d")))
    for call in (function, jax.jit(function)):
        actual = call(jax.random.key(0), divided)
        np.testing.assert_array_equal(actual, function(jax.random.key(0), x))
        assert actual.sharding.is_equivalent_to(divided.sharding, 4)
