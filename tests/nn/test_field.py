"""The bookkeeping of one field: spans widen by the way that an axis goes, whatever its axes were made of."""

from fractions import Fraction

import pytest

from jaxconv.nn.field import Factor, Field, joined, still


@pytest.fixture
def field():
    """A map (n=1, 6, 4, 5) at stride 2 by 3, of which the first element sees 3 x 1 pixels."""
    rows, columns = Factor(6, 0, Fraction(2)), Factor(4, 1, Fraction(3))
    spans = ((Fraction(-1), Fraction(1)), (Fraction(0), Fraction(0)))
    return Field(spans, (still(1), (rows,), (columns,), still(5)))


def test_size_and_stride(field):
    assert (field.size(0), field.size(1), field.stride(0), field.stride(1)) == (3, 1, 2, 3)


def test_sums_widen_by_the_way(field):
    summed = field.contracted([1, 3])
    assert summed.size(0) == 3 + 5 * 2 and summed.size(1) == 1
    assert summed.stride(0) is None and len(summed.without([1]).axes) == 3


@pytest.mark.parametrize("shape", [(1, 24, 5), (1, 120), (1, 3, 2, 4, 5), (6, 2, 2, 5), (1, 1, 6, 20)])
def test_reshapes_there_and_back(field, shape):
    assert field.reshaped(shape).reshaped((1, 6, 4, 5)).contracted([1, 2]) == field.contracted([1, 2])


def test_split_axes_step_at_two_scales(field):
    outer, inner = field.reshaped((1, 3, 2, 4, 5)).axes[1:3]
    assert (outer[0].length, outer[0].step, inner[0].length, inner[0].step) == (3, 4, 2, 2)


def test_a_reshape_across_axes_sees_everything(field):
    mixed = field.reshaped((1, 4, 6, 5))
    assert mixed.size(0) == 13 and mixed.size(1) == 10 and mixed.stride(0) is None


def test_windows_pads_and_slices(field):
    slid = field.windowed(1, 3, window=3, stride=2, low=1, dilation=2)
    assert slid.spans[0] == (-1 - 2, 1 + 3 * 2) and slid.stride(0) == 4
    cut = field.picked(2, 1, 2, 2)
    assert cut.spans[1] == (3, 3) and cut.stride(1) == 6


def test_union(field):
    wide = field.windowed(1, 6, window=3, low=1)
    assert joined([field, wide]).spans == wide.spans
    gate = field.contracted([1, 2]).everywhere((1, 6, 4, 5))
    assert joined([field, gate]).stride(0) == 2 and joined([field, gate]).size(0) == 13
