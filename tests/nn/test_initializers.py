"""Deviations follow from the fans; the generator alone decides the draw."""

import numpy as np
import pytest

from jaxconv.nn import initializers

CONV = (5, 5, 40, 60)  # fan in 1000, fan out 1500
DENSE = (300, 200)


@pytest.mark.parametrize(
    ("init", "shape", "variance"),
    [
        (initializers.he_fan_in, CONV, 2 / 1000),
        (initializers.he_fan_out, CONV, 2 / 1500),
        (initializers.lecun, CONV, 1 / 1000),
        (initializers.glorot, CONV, 2 / 2500),
        (initializers.he_fan_in, DENSE, 2 / 300),
        (initializers.glorot, DENSE, 2 / 500),
        (initializers.nielsen(4), CONV, 4 / 1500),
        (initializers.nielsen(), DENSE, 1 / 200),
        (initializers.normal(0.5), DENSE, 0.25),
        (initializers.trunc_normal(0.5), DENSE, 0.25 * 0.774),  # variance of a normal cut at two deviations
    ],
)
def test_mean_and_variance(init, shape, variance, rng):
    values = init(rng, shape)
    assert values.shape == shape and values.dtype == np.float32
    assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 0.03


def test_truncation_is_at_two_deviations(rng):
    values = initializers.trunc_normal(0.1)(rng, (100_000,))
    assert 0.195 < np.abs(values).max() <= 0.2


def test_glorot_is_uniform(rng):
    values = initializers.glorot(rng, DENSE)
    bound = np.sqrt(6 / 500)
    assert 0.999 * bound < values.max() <= bound and np.abs(np.median(values)) < 0.02 * bound


def test_constants(rng):
    assert (initializers.zeros(rng, (3,)) == 0).all() and (initializers.ones(rng, (3,)) == 1).all()
    np.testing.assert_array_equal(initializers.constant(0.25)(rng, (2, 2)), np.full((2, 2), 0.25, np.float32))


def test_nielsen_deviations_of_the_book(rng):
    assert abs(initializers.nielsen(4)(rng, (5, 5, 1, 20)).std() - 0.0894) < 0.01
    assert abs(initializers.nielsen()(rng, (640, 1000)).std() - 0.0316) < 0.0005


def test_fans_need_a_kernel():
    assert initializers.fans((3, 3, 4, 8)) == (36, 72)
    with pytest.raises(ValueError, match=r"two axes or more\. Got the shape \(3,\)"):
        initializers.fans((3,))
