"""Which form the CPU takes: the first row whose condition holds for the shapes, else XLA's own form.

Each row carries the measurement that made it: how many times faster than `plain` the form is, float32, 8 images unless
it says otherwise, on two Xeon cores (shared with other work), alternating, as `experiments/benchmarks/ops.py` measures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxconv.functional.lowering import dense, depthwise, grouped, plain, pointwise


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
    sharded: bool

    @property
    def positions(self) -> int:
        """The number of positions of the window on one image."""
        return math.prod(self.out)

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


def _unit_pointwise(case):
    return _pointwise(case) and _unit_strides(case)


def _whole_pointwise(case):
    return _pointwise(case) and not case.sharded


def _depthwise(case):
    # The program has a term for each tap, so a very large window would take very long to compile.
    return case.channels == 1 and case.groups > 1 and case.taps <= 49


def _depthwise_rows(case):
    return _depthwise(case) and len(case.window) < 3 and not case.sharded


def _roomy_depthwise(case):
    # A part for the inside and one for each side make a larger program: where there is little inside, not a faster one.
    bytes_ = 4 * case.images * math.prod(case.space) * case.channels * case.groups
    roomy = (case.taps <= 9 and case.positions >= 144) or bytes_ > 2**25
    return _depthwise(case) and not case.sharded and roomy


def _grouped(case):
    # Every block of groups is a convolution of its own in the program.
    return case.groups > 1 and grouped.blocks(case.groups, case.channels) <= 64


def _whole_grouped(case):
    return _grouped(case) and not case.sharded


def _strided_sharded_grouped(case):
    return _grouped(case) and case.sharded and any(s > 1 for s in case.strides)


def _ungrouped(case):
    return case.groups == 1


def _unit_strides(case):
    return _ungrouped(case) and all(s == 1 for s in case.strides)


def _shrinking(case):
    # The flipped form computes every position of the input, this one only those of the output.
    return _whole(case) and _unit_strides(case) and 5 * math.prod(case.space) >= 9 * case.positions


def _few_channels(case):
    return _ungrouped(case) and case.channels <= 4


def _whole(case):
    return _ungrouped(case) and not case.sharded


def _small_maps(case):
    few = case.images * case.positions <= (256 if case.channels >= 128 else 128)
    return _whole(case) and case.positions <= 64 and few


def _few_large_windows(case):
    large = _unit_strides(case) and case.taps >= 25
    return _whole(case) and large and case.images * case.positions <= 6272


def _batch_of_few_features(case):
    small = _unit_strides(case) and case.taps <= 9 and 2 * case.features <= case.channels
    return _whole(case) and small and case.images >= 8


def _strided_bands(case):
    # Small maps make bands of few rows, each of which reads and writes the whole sum.
    strided = not _unit_strides(case) and len(case.window) == 2 and case.taps <= 49
    return _whole(case) and strided and case.channels > 4 and case.positions >= 64


CONV = (
    Row(_unit_pointwise, pointwise.conv, "64 to 256 channels, 56x56: 1.09; 1024 to 256, 14x14: 1.23; stride 2: 0.82"),
    Row(
        _roomy_depthwise,
        depthwise.conv_within,
        "3x3, 144 channels, 56x56: 42.0; 384, 14x14, one image: 15.0; stride 2, 96, 112x112: 19.1; 32 images: 9.8, 8.2 "
        "(`depthwise.conv`: 30.2, 12.1, 3.0, 7.1, 2.9)",
    ),
    Row(_depthwise, depthwise.conv, "7x7, 96 channels, 56x56: 27.4; 384, 14x14: 20.2; 5x5, 672, 14x14: 20.8"),
    Row(_grouped, grouped.conv, "3x3, 32 groups, 128 channels, 56x56: 5.4; 512, 14x14: 2.6, one image 1.7"),
)
INPUT_GRAD = (
    Row(
        _pointwise,
        pointwise.conv_input_grad,
        "64 to 256 channels, 56x56: 2.46; 1024 to 256, 14x14: 1.44; stride 2: 1.04",
    ),
    Row(
        _depthwise,
        depthwise.conv_input_grad,
        "3x3, 144 channels, 56x56: 23.2; 384, 14x14: 30.3; stride 2: 106.7; 7x7, 96, 56x56: 17.8",
    ),
    Row(_strided_sharded_grouped, plain.conv_input_grad, "partitioned by XLA"),
    Row(_grouped, grouped.conv_input_grad, "3x3, 32 groups, 128 channels, 56x56: 5.5; 512, 14x14: 2.6, one image 1.4"),
    Row(
        _shrinking,
        dense.input_grad_columns,
        "5x5 VALID on 12x12, batch 128: 1.7; 5x5 on 5x5, batch 64: 5 to 8; 7x7 on 7x7, 256 channels, batch 16: 4.4",
    ),
    Row(
        _unit_strides,
        dense.input_grad_flipped,
        "3x3: 1.25 (64, 56x56), 0.92 (128, 28x28), 1.04 (256, 14x14), 0.97 (512, 7x7); "
        "inside a scan XLA's form is 5 to 7 times slower than outside",
    ),
    Row(_few_channels, dense.input_grad_phases, "7x7 stride 2, 3 channels, 224x224: 2.06"),
    Row(_whole, dense.input_grad_columns, "3x3 stride 2, 128 channels, 56x56: 1.75"),
)
KERNEL_GRAD = (
    Row(
        _whole_pointwise,
        pointwise.conv_kernel_grad_rows,
        "one core, in units of `pointwise.conv_kernel_grad`: 64 to 256 channels, 56x56: 1.8, 256 to 64: 1.2; 256 to "
        "512 at stride 2: 1.8; 512 to 128, 28x28: 1.1",
    ),
    Row(
        _pointwise,
        pointwise.conv_kernel_grad,
        "64 to 256 channels, 56x56: 5.85; 1024 to 256, 14x14: 2.16; stride 2: 4.01",
    ),
    Row(
        _depthwise_rows,
        depthwise.conv_kernel_grad_rows,
        "3x3, 144 channels, 56x56: 57.6; 384, 14x14: 34.5; stride 2: 10.2",
    ),
    Row(_depthwise, depthwise.conv_kernel_grad, "3x3x3, 32 channels, 8x14x14, 2 images: 9.1"),
    Row(
        _whole_grouped,
        grouped.conv_kernel_grad,
        "one image, 3x3, 32 groups, 128 channels, 56x56: 454; 512, 14x14: 347",
    ),
    Row(_grouped, grouped.conv_kernel_grad_maps, "the same: 459 and 353, but 1.7 times slower on 8 images of 56x56"),
    Row(_small_maps, dense.kernel_grad_columns, "one core, one image, 3x3, 512 channels, 7x7: 1.8 to 1.9, else 1.0"),
    Row(
        _few_large_windows,
        dense.kernel_grad_maps,
        "one core, 5x5: 1.0 (48 channels, 35x35, one image; 32, 14x14, 8 images), else 0.86; inside a scan XLA's form "
        "is 180 to 280 times slower",
    ),
    Row(
        _batch_of_few_features,
        dense.kernel_grad_swapped,
        "3x3, 256 to 64 channels, 28x28: 1.45; 128 to 32, 14x14, 32 images: 1.73",
    ),
    Row(
        _strided_bands,
        dense.kernel_grad_bands,
        "one core, 3x3 stride 2: 2.9 (128 channels, 56x56), 1.5 (256, 28x28), 3.5 (64, 32x32, 128 images), 3.0 (128, "
        "16x16, 128 images), one image 1.2 (128, 56x56); `kernel_grad_rows`: 1.5, 0.9, 3.1, 1.9, 1.0",
    ),
    Row(
        _whole,
        dense.kernel_grad_rows,
        "one core, 3x3: 2.5 (64 channels, 56x56), 3.1 (128, 28x28), 1.2 (256, 14x14), 1.2 (512, 7x7), 3.0 (64, 32x32, "
        "32 images), 1x7: 1.1 (128, 17x17), one image 1.0 to 1.3; 5x5: 1.3 (48, 35x35), 2.6 (32, 14x14, 128 images); "
        "7x7 stem: 2.0 to 3.7; stride 2 on small maps: 1.0 to 1.2; inside a scan XLA's form is 180 to 280 times slower",
    ),
)
