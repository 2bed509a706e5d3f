"""The shapes of a convolution, and the conditions on them that `choice` names."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxconv.functional.lowering import grouped as joined

_TAPS = 256
_LONG = 64  # taps of a line: of 127 XLA does not make one loop


@dataclass(frozen=True)
class Case:
    """The static shapes and settings of a convolution.

    `channels` and `features` are those of one group, `sharded` is that of `cpu`.
    """

    images: int
    space: tuple[int, ...]
    out: tuple[int, ...]
    window: tuple[int, ...]
    channels: int
    features: int
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    sharded: int

    @property
    def positions(self) -> int:
        """The number of positions of the window on one image."""
        return math.prod(self.out)

    @property
    def taps(self) -> int:
        """The number of elements of the window."""
        return math.prod(self.window)

    @property
    def weights(self) -> int:
        """The number of elements of one group's kernel."""
        return self.taps * self.channels * self.features

    @property
    def products(self) -> int:
        """The multiply-adds of one group."""
        return self.images * self.positions * self.weights


def pointwise(case: Case) -> bool:
    """A window of one element."""
    return case.taps == 1 and case.groups == 1


def unit_pointwise(case: Case) -> bool:
    """A window of one element at every position."""
    return pointwise(case) and unit_strides(case)


def large_pointwise(case: Case) -> bool:
    """A window of one element, and a large kernel for maps of small and middle size."""
    return pointwise(case) and case.weights >= 512 * 1024 and case.positions <= 256


def whole_pointwise(case: Case) -> bool:
    """A window of one element, on one device."""
    return pointwise(case) and not case.sharded


def depthwise(case: Case) -> bool:
    """A group for each channel."""
    # The program has a term for each tap, so a very large window would take very long to compile.
    few = case.taps <= (_LONG if len(case.window) == 1 else 49)
    return case.channels == 1 and case.groups > 1 and few


def many_phases_depthwise(case: Case) -> bool:
    """A group for each channel, and more steps from one window to the next than a program has terms for."""
    return case.channels == 1 and case.groups > 1 and math.prod(case.strides) > _TAPS


def large_depthwise(case: Case) -> bool:
    """A group for each channel, on one device, in one or two dimensions, and a large window."""
    fits = len(case.window) == 1 or (len(case.window) == 2 and max(case.window) <= _LONG)
    return case.channels == 1 and case.groups > 1 and not case.sharded and fits and not depthwise(case)


def whole_depthwise(rank: int) -> Callable[[Case], bool]:
    """A group for each channel, on one device, in so many dimensions."""
    return lambda case: depthwise(case) and len(case.window) == rank and not case.sharded


def roomy_depthwise(case: Case) -> bool:
    """A group for each channel, on one device, and maps worth dividing into inside and rim."""
    # A part for the inside and one for each side make a larger program: where there is little inside, not a faster one.
    bytes_ = 4 * case.images * math.prod(case.space) * case.channels * case.groups
    reach = [d * (w - 1) for d, w in zip(case.dilation, case.window)]
    inside = math.prod(max(size - r, 0) / size for size, r in zip(case.space, reach))
    roomy = inside >= 0.69 and (case.taps <= 9 or _unit(case))
    return depthwise(case) and not case.sharded and (roomy or bytes_ > 2**25)


def roomy_unit_depthwise(case: Case) -> bool:
    """The same, with a window at every position."""
    return roomy_depthwise(case) and _unit(case)


def grouped(case: Case) -> bool:
    """Groups, few enough to write out."""
    # Every block of groups is a convolution of its own in the program.
    return case.groups > 1 and joined.blocks(case.groups, case.channels) <= 64


def whole_grouped(case: Case) -> bool:
    """Groups, on one device."""
    return grouped(case) and not case.sharded


def single(case: Case) -> bool:
    """One group, on one device, and a window that stands in one place."""
    return whole(case) and case.positions == 1


def single_narrow(case: Case) -> bool:
    """The same on one image, and few features."""
    return single(case) and case.images == 1 and case.features < 64


def ungrouped(case: Case) -> bool:
    """One group."""
    return case.groups == 1


def unit_strides(case: Case) -> bool:
    """One group, a window at every position."""
    return ungrouped(case) and _unit(case)


def _unit(case):
    return all(s == 1 for s in case.strides)


def whole(case: Case) -> bool:
    """One group, on one device."""
    return ungrouped(case) and not case.sharded


def few_taps(case: Case) -> bool:
    """Few enough taps and steps for a term in the program for each."""
    # A kernel of 32x32 at stride 32 took 71 s to compile in forms of slices, 0.3 s in XLA's own.
    return case.taps <= _TAPS and math.prod(case.strides) <= _TAPS


def whole_few_taps(case: Case) -> bool:
    """One group, on one device, and few enough taps."""
    return whole(case) and few_taps(case)
