"""Conditions on dense convolutions that minimal filtering is for (`winograd`)."""

import math

import jax

from jaxconv.functional.lowering import winograd
from jaxconv.functional.lowering.when import Case, unit_strides, whole, whole_few_taps
from jaxconv.functional.lowering.when_dense import many_features, very_few_features

# Products for which a kernel gradient is filtered: on two cores of an AMD EPYC (Zen 5), six layers of 0.9e7 to 2e7 had
# 1.0 to 1.8 of lax under jax 0.12 and 0.7 to 1.0 under 0.10, where one of 4e7 had 1.25.
_LEAST = 8e6 if jax.__version_info__ >= (0, 12) else 3e7


def three_taps(case: Case) -> bool:
    """A window of three taps at every position, large kernels, and positions enough for the sums of their taps."""
    filtered = [taps for taps in case.window if taps > 1]
    fits = whole(case) and unit_strides(case) and set(filtered) == {3} and len(filtered) <= 2
    pairs, positions = case.channels * case.features, case.images * case.positions
    large = pairs >= 96 * 128 and min(case.channels, case.features) >= (64 if len(filtered) > 1 else 192)
    enough = positions >= (700 if pairs >= 512 * 512 else 1000 if pairs >= 160 * 160 else 3000)
    # The sums of one image take eight times its memory. Of 128 channels, 112x112: 1.2; 128x128: 0.8.
    caches = case.positions <= 112 * 112
    return fits and set(case.dilation) == {1} and large and enough and caches


def filterable(case: Case) -> bool:
    """A window at every position, without dilation, of three, five or seven taps along some dimension."""
    fits = whole_few_taps(case) and unit_strides(case) and set(case.dilation) == {1}
    return fits and winograd.filtered_axis(case.window) is not None


def filtered(case: Case) -> bool:
    """Many products spared for every element of the sums, features enough, and not too little work in all."""
    many = case.features >= 32 and case.channels * case.features >= 24 * 32
    return filterable(case) and many and _worth_filtering(case, case.out) and not _waits_for_sums(case)


def _waits_for_sums(case):
    # Three taps spare half the products, and the sums of a large kernel are twice its size.
    three = case.window[winograd.filtered_axis(case.window)] == 3
    large = case.weights >= (1e6 if case.positions <= 64 else 2e6)
    return three and large and case.images * case.positions <= 400


def filtered_back(case: Case) -> bool:
    """The same of the transposed convolution, whose features are the channels."""
    return filterable(case) and case.channels >= 24 and _worth_filtering(case, case.space)


def _worth_filtering(case, out):
    # The larger the sums are, the more there is to write; those of the kernel wait for positions that read them.
    worth, positions = _spared(case, out) >= 65 * winograd.growth(case.window), case.images * math.prod(out)
    # XLA's own convolution is good at seven taps, of which nothing is spared beside three.
    fits = sorted(taps for taps in case.window if taps > 1) != [3, 7]
    return worth and fits and positions >= 160 and positions * case.weights >= 8e7


def _spared(case, out):
    """Products that forms of rows spare, for an element of the maps."""
    axis = winograd.filtered_axis(case.window)
    part = 1 - winograd.taken(case.window[axis], out[axis])
    return case.taps * part * case.channels * case.features / (case.channels + case.features)


def filtered_kernel(case: Case) -> bool:
    """Channels and features enough, fewer channels for a large window, and not too little work in all."""
    few, many = sorted((case.channels, case.features))
    positions = case.images * case.positions
    work = positions > 64 and case.products >= _LEAST and case.weights >= 2**13
    # The forms of these rows are faster there.
    others = many_features(case) or (very_few_features(case) and positions <= 2000)
    fits = filterable(case) and many >= 24 and work and not others
    return fits and _seven_pay(case) and (few >= 16 or _large_window(case))


def _seven_pay(case):
    # The sums for seven taps are four times the map: too much where that is the wide one, or for little work.
    seven = case.window[winograd.filtered_axis(case.window)] == 7
    return not seven or (case.features >= case.channels and case.products >= 1e8)


def _large_window(case):
    return 8 <= case.channels < case.features and _spared(case, case.out) >= 100
