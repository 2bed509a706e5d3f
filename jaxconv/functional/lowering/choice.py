"""Which form the CPU takes: the first row whose condition holds for the shapes, else XLA's own form.

Each row carries the measurement that made it: how many times faster than `plain` the form is, float32, on two Xeon
cores, in one alternating run of `experiments/benchmarks/ops.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxconv.functional.lowering import depthwise, grouped, pointwise


@dataclass(frozen=True)
class Case:
    """The static shapes and settings of a convolution. `channels` and `features` are those of one group."""

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

    @property
    def taps(self) -> int:
        """The number of elements of the window."""
        return math.prod(self.window)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    condition: Callable[[Case], bool]
    form: Callable
    evidence: str


def pick(table: tuple[Row, ...], case: Case) -> Callable | None:
    """The form of the first row that holds, or None."""
    return next((row.form for row in table if row.condition(case)), None)


def _pointwise(case):
    return case.taps == 1 and case.groups == 1


def _depthwise(case):
    return case.channels == 1 and case.groups > 1 and case.taps <= 49


def _grouped(case):
    return case.groups > 1 and case.groups <= 64


CONV = (
    Row(_pointwise, pointwise.conv, ""),
    Row(_depthwise, depthwise.conv, ""),
    Row(_grouped, grouped.conv, ""),
)
INPUT_GRAD = (
    Row(_pointwise, pointwise.conv_input_grad, ""),
    Row(_depthwise, depthwise.conv_input_grad, ""),
    Row(_grouped, grouped.conv_input_grad, ""),
)
KERNEL_GRAD = (
    Row(_pointwise, pointwise.conv_kernel_grad, ""),
    Row(_depthwise, depthwise.conv_kernel_grad, ""),
    Row(_grouped, grouped.conv_kernel_grad, ""),
)
