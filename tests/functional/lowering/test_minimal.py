"""Minimal filtering: its matrices, what the forms count by, and how they are rounded."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.functional.lowering import plain, trilinear, winograd
from jaxconv.functional.lowering.minimal import tile

TILES = [(2, 3), (4, 3), (2, 5), (4, 5), (2, 7)]
ONE = dict(strides=(1, 1), dilation=(1, 1), groups=1)


@pytest.mark.parametrize(("size", "taps"), TILES)
def test_a_tile_filters(size, taps, rng):
    """Sums of products are the outputs of `numpy.convolve`, to the rounding of float64."""
    one = tile(size, taps)
    d, g = rng.standard_normal(size + taps - 1), rng.standard_normal(taps)
    inputs, weights, outputs = (np.array(rows) for rows in (one.inputs, one.weights, one.outputs))
    np.testing.assert_allclose(outputs @ ((weights @ g) * (inputs @ d)), np.convolve(d, g[::-1], "valid"), rtol=1e-12)
    assert len(one.inputs) == size + taps - 1 and one.size == size


@pytest.mark.parametrize(("size", "taps"), TILES)
def test_sums_of_inputs_and_products_are_exact_in_binary(size, taps):
    """Their coefficients have few bits, so that only the weights' thirds and fifteenths are rounded."""
    one = tile(size, taps)
    for value in (v for rows in (one.inputs, one.outputs) for row in rows for v in row):
        assert Fraction(value).numerator.bit_length() <= 8 and Fraction(value).denominator <= 64, value


@pytest.mark.parametrize(
    ("window", "axis", "part"),
    [((3, 3), 0, 0.5), ((5, 5), 0, 0.4), ((3, 5), 1, 0.4), ((7, 1), 0, 4 / 7), ((1, 3, 3), 1, 0.5), ((7,), 0, 4 / 7)],
)
def test_the_dimension_that_spares_most_is_filtered(window, axis, part):
    assert winograd.filtered_axis(window) == axis
    assert winograd.taken(window[axis], 8) == pytest.approx(part)
    assert winograd.taken(window[axis], 7) > part


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (7, 7), (9, 4), (1,)])
def test_other_windows_are_not_filtered(window):
    assert winograd.filtered_axis(window) is None


@pytest.mark.parametrize("taps", [3, 5])
def test_rows_are_picked_and_rounded_within_the_limit(taps, rng):
    """The largest errors against float64; 1e-6 to 5e-6 of the largest output when measured, XLA's own 4e-7 to 6e-6."""
    x, dy = rng.standard_normal((2, 4, 28, 28, 64), "f")
    kernel, around = rng.standard_normal((taps, taps, 64, 64), "f"), ((taps // 2,) * 2,) * 2
    for name, arrays, more in (
        ("conv", (x, kernel), {}),
        ("conv_input_grad", (dy, kernel), {"space": (28, 28)}),
        ("conv_kernel_grad", (x, dy), {"window": (taps, taps)}),
    ):
        settings = dict(padding=around, **ONE, **more)
        ours, theirs = (jax.jit(partial(getattr(m, name), **settings)) for m in (trilinear, plain))
        with jax.enable_x64(True):
            exact = np.asarray(theirs(*map(np.float64, arrays)))
        got = np.asarray(ours(*map(jnp.asarray, arrays)), np.float64)
        assert np.abs(got - exact).max() < 1e-5 * np.abs(exact).max(), name
        assert not np.array_equal(got, np.asarray(theirs(*arrays))), "XLA's own form was picked"
