"""Which form the CPU takes: the first row whose condition holds for the shapes, else XLA's own form.

Each row carries the measurement that made it: how many times faster than `plain` the form is, float32, 8 images unless
it says otherwise, on two Xeon cores (shared with other work), alternating, as `experiments/benchmarks/ops.py` measures;
"EPYC" is the same on two of an AMD EPYC (Zen 4), whose XLA forms are faster where arrays fit in its third-level cache,
"Zen 5" on two of its successor; the rows of depthwise lines, volumes and large windows are of the first EPYC, too, by
all that is known.
The file is long because its tables are read together, and because each row keeps its evidence.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxconv.functional.lowering import (
    columns,
    dense,
    depthwise,
    depthwise_kernel,
    depthwise_large,
    divided,
    grouped,
    patches,
    phases,
    plain,
    pointwise,
    single,
    when,
    when_dense,
    when_filtered,
    when_sharded,
    winograd,
)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    condition: Callable[[when.Case], bool]
    form: Callable
    evidence: str


def pick(table: tuple[Row, ...], case: when.Case) -> Callable | None:
    """The form of the first row that holds, or None."""
    return next((row.form for row in table if row.condition(case)), None)


CONV = (
    Row(when.single_narrow, plain.conv, "Zen 5, 8x8, 128 to 10 channels: `single.conv` 0.63"),
    Row(
        when.single,
        single.conv,
        "Zen 5, 1, 8, 32 images: 2.6, 2.8, 2.3 (5x5, 16 to 120 channels), 1.9, 8.6 (7x7, 512 to 4096), 1.0, 1.4, 3.9 "
        "(4x4, 512 to 128); one image of eleven layers 0.83 to 2.7, mean 1.2; the rows below: 0.4, 1.1, 1.9, then 1.8, "
        "8.7, then 0.2, 0.2, 0.4",
    ),
    Row(
        when.unit_pointwise, pointwise.conv, "64 to 256 channels, 56x56: 1.09; 1024 to 256, 14x14: 1.23; stride 2: 0.82"
    ),
    Row(
        when.large_pointwise,
        pointwise.conv,
        "stride 2, 1, 8, 32 images: 1.2, 1.3, 1.3 (512 to 1024 channels, 28x28), 1.8, 2.4, 2.3 (1024 to 2048, 14x14); "
        "0.7 to 1.0 for 64 to 128, 32x32, and 256 to 512, 56x56",
    ),
    Row(
        when.roomy_depthwise,
        depthwise.conv_within,
        "3x3, 144 channels, 56x56: 42.0; 384, 14x14, one image: 15.0; stride 2, 96, 112x112: 19.1; 32 images: 9.8, 8.2 "
        "(`depthwise.conv`: 30.2, 12.1, 3.0, 7.1, 2.9); 7x7, 96, 56x56: 1.3 times as fast as `depthwise.conv`; 5x5, 1, "
        "8, 32 images: 1.0, 1.2, 1.7 (256, 28x28), 1.1, 1.2, 1.4 (64, 32x32); 5x5 stride 2, 144, 56x56: 0.8, 1.0, 0.9",
    ),
    Row(when.depthwise, depthwise.conv, "7x7, 384 channels, 14x14: 20.2; 5x5, 672, 14x14: 20.8"),
    Row(
        when.large_depthwise,
        depthwise_large.conv,
        "9x9: 13.5 (96 channels, 56x56, one image), 13.3 (96, 28x28), stride 2 12.0 (48, 56x56); 13x13, 128, 56x56, "
        "one image: 15.6; 31x31, 96, 14x14, 2 images: 38; 127 taps, 96, 400: 15.7; `grouped.conv`: 5.7, 5.5, 5.6, 6.4 "
        "and 23 times slower (planes); jax 0.10.2: 4.0, 3.4, 2.3, 3.0, 45, 19.8",
    ),
    Row(
        when_sharded.grouped,
        plain.conv,
        "partitioned by XLA, which gives wrong numbers for the blocks of `grouped.conv` where it divides some heights",
    ),
    Row(
        when.grouped,
        grouped.conv,
        "3x3, 32 groups, 1, 8, 32 images: 3.5, 2.1, 2.4 (128 channels, 56x56), 1.2, 2.2, 1.8 (512, 14x14)",
    ),
    Row(
        when_dense.window_beyond_input_narrowing,
        columns.conv_spread,
        "9x9, 192 to 32 channels, 7x7: 23 (`conv_gathered` 4); 11x11, 64 to 16, 7x7, one image: 5 (2)",
    ),
    Row(
        when_dense.window_beyond_input,
        columns.conv_gathered,
        "9x9 on 8x8, 4 images: 25 (32 to 192 channels), 7 (16 to 32); `conv_spread`: 12, 5",
    ),
    Row(
        when_dense.few_positions,
        columns.conv_gathered,
        "one image, 3x3: 1.7 (64 channels, 4x4; 128 to 32, 7x7), 1.2 (128, 8x8); EPYC, 33 random layers: 1.29, 6 below "
        "0.95 (jax 0.10.2, 23: 1.35, 5); 3x3 on 16 positions, 128 to 512 channels: 0.75 to 1.1, which are out",
    ),
    Row(
        when_filtered.three_taps,
        winograd.conv,
        "3x3: 1.4, 1.3 (128 channels, 28x28, 8 and 32 images), 1.6, 1.7 (256, 14x14), 2.5 (512, 14x14), 1.8 (256, 8x8, "
        "128 images), 3.2 (512, 4x4, 128 images), which is 1.2, 1.2, 1.4, 1.5, 1.7, 1.7 and 1.6 times as fast as the "
        "rows below; 36 random layers 1.3 times (4 below 0.95, windows of 1x3 on large maps, which are out now)",
    ),
    Row(
        when_filtered.filtered,
        winograd.conv_rows,
        "EPYC, 55 random layers: 1.43, 1 below 0.95 (jax 0.10.2, 42: 1.94, 1), `conv_gathered` 0.73 (0.97), "
        "`conv_spread` 0.77 (0.91); 61 that the rows below would take: 1.29, `conv_gathered` 1.03; 3x3, 64 channels: "
        "1.4 (56x56, 8 and 32 images; 32x32, 128); 5x5: 1.4 (32 to 64, 14x14, 128 images), 1.6 (48 to 64, 35x35, 4); "
        "Zen 5, 125: 1.30, 13; 3x7: 0.92 (10), 512 to 512, 7x7, 4 and 8 images: 0.8, 1.1, `conv_gathered` 1.3, 1.8, "
        "which are out",
    ),
    Row(
        when_dense.large_kernel_on_small_maps,
        columns.conv_gathered,
        "3x3, 1, 8, 32 images: 2.3, 2.4, 2.0 (512 channels, 7x7), 1.6, 4.3, 2.8 (512, 4x4), 1.3, 1.5, 1.2 (256, 8x8); "
        "stride 2: 2.5, 1.9, 1.8 (512, 14x14), one image 1.3 (256, 28x28)",
    ),
    Row(
        when_dense.large_unit_kernel,
        columns.conv_spread,
        "3x3, 8 images: 1.2 to 1.3 (256 channels, 14x14; 32 images 1.1), 1.4 (512, 14x14), 1.2 (512, 28x28); EPYC: 0.9 "
        "(256, 14x14, 2 images); windows of 15 to 49 elements there: 0.4 to 0.9, 7 shapes",
    ),
    Row(
        when_dense.very_few_features_out,
        columns.conv_spread,
        "EPYC, 32 random layers of 2, 3, 4 and 6 features: 1.70, 3 below 0.95 (`conv_gathered` 0.70); 59 that the "
        "condition leaves out: 1.34, 13",
    ),
)
INPUT_GRAD = (
    Row(
        when.single,
        single.conv_input_grad,
        "Zen 5, the same: 3.5, 7.5, 8.5, then 25, 22, then 9.7, 6.9, 17; the rows below: 3.4, 5.6, 5.4, then 24, 16, "
        "then 9.5, 6.1, 9.9",
    ),
    Row(
        when.pointwise,
        pointwise.conv_input_grad,
        "64 to 256 channels, 56x56: 2.46; 1024 to 256, 14x14: 1.44; stride 2: 1.04",
    ),
    Row(
        when.many_phases_depthwise,
        plain.conv_input_grad,
        "3x3 stride 64, 4 channels: 0.1 s to compile, 2.1 phase by phase; stride 100: 9.0",
    ),
    Row(
        when.roomy_unit_depthwise,
        depthwise.conv_input_grad_within,
        "1, 8, 32 images, times as fast as `depthwise.conv_input_grad`: 1.4, 1.6, 1.7 (3x3, 144 channels, 56x56), 1.3, "
        "1.0, 1.3 (384, 14x14), 1.0, 1.2, 1.4 (7x7, 96, 56x56); 7x7, 384, 14x14: 0.9, 1.3, 0.8",
    ),
    Row(
        when.depthwise,
        depthwise.conv_input_grad,
        "3x3, 144 channels, 56x56: 23.2; 384, 14x14: 30.3; stride 2: 106.7; 7x7, 96, 56x56: 17.8",
    ),
    Row(
        when.large_depthwise,
        depthwise_large.conv_input_grad,
        "the same shapes: 13.4, 13.4, stride 2 60, 16.9, 34, 17.7; jax 0.10.2: 2.6, 2.6, 13, 3.8, 43, 17.6; "
        "`grouped.conv_input_grad`: 4.7, 10, 17 times slower (9x9, 256, 28x28; 13x13; 31x31)",
    ),
    Row(
        when_sharded.input_grad,
        divided.input_grad,
        "where a height is divided among devices, XLA ends the process (window 1, stride 2, padding 1) or gives wrong "
        "numbers (window 5, stride 2, dilation 2, padding (4, 1), 8 rows on 8 devices: 0.95 off; window 9, 8 rows on 2 "
        "of 2 by 4 devices: 4 times the gradient)",
    ),
    Row(
        when.grouped,
        grouped.conv_input_grad,
        "3x3, 32 groups, 1, 8, 32 images: 2.0, 2.8, 1.7 (128 channels, 56x56), 1.3, 2.1, 1.9 (512, 14x14)",
    ),
    Row(
        when_dense.window_beyond_output,
        columns.input_grad_columns,
        "9x9 on 8x8, 4 images: 30 (32 to 192 channels), 8 (16 to 32); 9x9, 192 to 32, 7x7: 13; 5x5 VALID, 128 to 32, "
        "8x8: 13",
    ),
    Row(
        when_dense.shrinking,
        columns.input_grad_columns,
        "5x5 VALID on 12x12, batch 128: 1.7; 5x5 on 5x5, batch 64: 5 to 8; 7x7 on 7x7, 256 channels, batch 16: 4.4; "
        "EPYC, 88 random layers: 2.12, 3 below 0.95; 5x5 VALID 3.1 (6 to 16 channels, 14x14, 128 images), 1.9 (20 to "
        "40, 12x12, 32 images), 1.8 (64, 14x14)",
    ),
    Row(
        when_dense.few_channels,
        columns.input_grad_columns,
        "EPYC, 102 random layers: 2.18, 3 below 0.95; up to eight channels that the condition leaves out: 1.24, 44 of "
        "129",
    ),
    Row(
        when_filtered.three_taps,
        winograd.conv_input_grad,
        "3x3: 1.3, 1.2 (128 channels, 28x28, 8 and 32 images), 1.8, 1.7 (256, 14x14), 2.4 (512, 14x14), 1.9 (256, 8x8, "
        "128 images), 3.1 (512, 4x4, 128 images), which is 1.2, 1.2, 1.3, 1.5, 1.4, 1.6 and 1.4 times as fast as the "
        "rows below; 36 random layers 1.15 times (4 below 0.95)",
    ),
    Row(
        when_dense.input_products,
        columns.input_grad_columns,
        "3x3, 1, 8, 32 images: 1.9, 2.0, 1.2 (256 channels, 14x14), 4.1, 3.5, 2.6 (512, 7x7), 5.5, 4.0, 3.8 (512, "
        "4x4), 2.8, 1.8, 1.6 (256, 8x8); 1.7, 1.3 (512, 28x28); dilated, 1.4, 1.2, 1.1 (256, 28x28; EPYC: 1.2, 0.9, "
        "0.9); one image 1.3 (128, 16x16), 1.5 (192, 14x14; 1x7, 192, 17x17; 128 to 32, 7x7), 2.0 (64, 4x4)",
    ),
    Row(
        when_filtered.filtered_back,
        winograd.conv_input_grad_rows,
        "EPYC, 37 random layers: 1.44, 1 below 0.95 (jax 0.10.2, 60, windows of 7x7 and 7x5 among them, which are out "
        "now: 1.24, 10); 5x5, 32 to 64, 14x14, 128 images: 1.3; 3x3, 96, 35x35, 4: 1.55",
    ),
    Row(
        when.unit_strides,
        dense.input_grad_flipped,
        "the program that XLA's form becomes, except inside a scan, where that is 5 to 20 times slower",
    ),
    Row(
        when_dense.side_by_side_maps,
        phases.input_grad_products,
        "1, 8, 32 images: 1.6, 1.6, 1.5 (4x4, 16 channels, 56x56), 1.8, 1.7, 2.1 (8x8, 16, 64x64), 1.2, 1.4, 1.2 "
        "(3x3, 32, 57x57), 1.0, 1.5, 1.6 (2x2, 16, 56x56), 47, 49, 43 (16x16, 3, 224x224); "
        "`columns.input_grad_columns`: 0.6, 0.5, 0.2, then 0.2, 0.1, 0.1, and for 2x2 on 96 channels and more 1.0 to "
        "1.4 times as fast as this",
    ),
    Row(
        when_dense.whole_strides,
        phases.input_grad_products,
        "4x4 stride 2, 1, 8, 32 images: 1.9, 1.5, 1.5 (128 to 256 channels, 28x28), 1.5, 1.8, 2.5 (64 to 128, 56x56); "
        "`columns.input_grad_columns`: 1.6, 0.9, 1.2, then 1.0, 0.7, 1.2, `phases.input_grad`: 0.4, 0.4, 0.7, then "
        "0.6, 0.7, 1.3; 256 to 512, 14x14: 2.7, 1.7, 1.3, `columns` 3.5, 1.3, 1.0; 90 random ones of 4x4, 6x6 and 8x8: "
        "geometric mean 3.5, 2 below 0.95, where `columns` has 1.8 and 38, `phases.input_grad` 1.3 and 39",
    ),
    Row(
        when_dense.few_features_for_the_window,
        phases.input_grad,
        "stride 2, 8 and 32 images: 3.0, 2.8 (7x7, 3 channels to 64, 224x224), 1.6, 2.5 (3x3, 3 to 32); 3.0 (5x5, 16 "
        "to 32, 112x112, 4 images), 6.7 (7x7, 48 to 32, 32x32, 32); `phases.input_grad_columns`: 2.3, 2.1, 1.2, 1.9, "
        "1.4, 2.6; `columns.input_grad_columns`: less than 0.8, but 1.1 for 3 to 32",
    ),
    Row(
        when_dense.small_windows_within,
        columns.input_grad_columns,
        "3x3 stride 2 VALID, 1, 8, 32 images: 1.7, 1.0, 1.5 (288 to 384 channels, 35x35), 2.4, 1.3, 1.3 (192 to 320, "
        "17x17); 3x3 stride 4, 64, 28x28, 32 images: 1.4; `phases.input_grad_columns`: 1.5, 1.0, 1.3, 2.4, 1.3, 1.1, "
        "0.6",
    ),
    Row(
        when.whole_few_taps,
        phases.input_grad_columns,
        "stride 2, 1, 8, 32 images: 1.6, 1.2, 1.8 (3x3, 128 channels, 56x56), 2.0, 1.1, 1.7 (256, 28x28), 4.2, 1.8, "
        "1.4 (512, 14x14); 1.3 (5x5, 96, 35x35, 4 images), 36 (5x5, 512 to 48, 8x8, 16 images); `columns."
        "input_grad_columns`: 1.4, 1.2, 1.8, 1.9, 1.1, 1.7, 3.6, 1.9, 1.4, 0.9, 19",
    ),
)
KERNEL_GRAD = (
    Row(
        when.single,
        single.conv_kernel_grad,
        "Zen 5, the same: 2.5, 3.4, 2.3, then 1.9, 1.7, then 3.8, 3.3, 2.7; the rows below: 0.9, 1.2, 1.6, then 1.4, "
        "1.7, then 0.3, 0.3, 0.2",
    ),
    Row(
        when.whole_pointwise,
        pointwise.conv_kernel_grad_rows,
        "1, 8, 32 images, in units of 512 rows at a time: 1.3, 1.4, 1.5 (64 to 256 channels, 56x56), 1.2, 1.1, 1.1 "
        "(128 to 512, 28x28), 1.2, 1.2, 1.1 (256 to 1024, 14x14), 1.0 (512 to 2048, 7x7), the same the other way; "
        "those in units of `pointwise.conv_kernel_grad`: 1.8 (64 to 256, 56x56), 1.2 (256 to 64), 1.1 (512 to 128)",
    ),
    Row(
        when.pointwise,
        pointwise.conv_kernel_grad,
        "64 to 256 channels, 56x56: 5.85; 1024 to 256, 14x14: 2.16; stride 2: 4.01",
    ),
    Row(
        when.whole_depthwise(2),
        depthwise_kernel.conv_kernel_grad_rows,
        "1, 8, 32 images: 16, 32, 24 (3x3, 144 channels, 56x56), 17, 38, 60 (384, 14x14), 5.6, 14, 6.7 (stride 2, 96, "
        "112x112), 9.6, 28, 33 (7x7, 96, 56x56)",
    ),
    Row(
        when.whole_depthwise(1),
        depthwise_kernel.conv_kernel_grad_line,
        "3 taps: 39 (960 channels, 1000, one image), 6.5 (96, 1000); 9 taps, 384, 128, 32 images: 17.7; 31 taps, "
        "stride 2, 64, 400: 3.2; as one row of an image the first three: 55, 3.1, 2.5 times slower",
    ),
    Row(
        when.whole_depthwise(3),
        depthwise_kernel.conv_kernel_grad_slices,
        "3x3x3: 21 (48 channels, 8x14x14, 2 images), 8.2 (64, 8x28x28, 2), 24 (144, 16x28x28, one), 25 (stride 2, 64, "
        "8x28x28, 2); `depthwise_kernel.conv_kernel_grad`: 2.6, 11, 7.7, 1.5 times slower",
    ),
    Row(when.depthwise, depthwise_kernel.conv_kernel_grad, "3x3x3, 32 channels, 8x14x14, 2 images: 9.1"),
    Row(
        when.large_depthwise,
        depthwise_large.conv_kernel_grad,
        "the same shapes: 11.2, 10.4, stride 2 3.0, 14.3, 89, 6.1; jax 0.10.2: 19.7, 13.4, 7.9, 24, 53, 12.6; "
        "`grouped.conv_kernel_grad`: 5.8, 7.1, 20 times slower (9x9, 256, 28x28; 13x13; 31x31)",
    ),
    Row(
        when_sharded.kernel_grad,
        divided.kernel_grad,
        "where a height is divided among devices, XLA gives wrong numbers for some of its own forms: 3x3, stride 2, "
        "padding (4, 1), 16 rows on 8 devices: 0.46 off; and divided among some of the devices the gradient times "
        "the number of the others; on two devices that divide the batch 0.3 to 1.0 of the speed of XLA's form",
    ),
    Row(
        when.whole_grouped,
        grouped.conv_kernel_grad,
        "one image, 3x3, 32 groups, 128 channels, 56x56: 454; 512, 14x14: 347; each block over all "
        "images by itself, in units of this, 8, 32 images: 0.9, 0.7 (128, 56x56), 0.7, 0.6 (256, 28x28), 1.0, 0.7 "
        "(512, 14x14); 1x1: 0.7, 0.4 (4 groups, 128, 56x56), 1.0, 0.6 (32 groups, 512, 28x28)",
    ),
    Row(
        when.grouped, grouped.conv_kernel_grad_maps, "the same: 459 and 353, but 1.7 times slower on 8 images of 56x56"
    ),
    Row(
        when_filtered.filtered_kernel,
        winograd.conv_kernel_grad_rows,
        "EPYC, 36 random layers: 1.77, 1 below 0.95 (jax 0.10.2, 31: 1.91, 3), `kernel_grad_rows` 1.24, "
        "`kernel_grad_swapped` 1.17, `kernel_grad_maps` 0.94; Zen 5, 68: 1.89, 2 (0.10.2, 37: 1.93, 2); 3x3, 64 "
        "channels: 1.07 (56x56, 8 images), 2.6 (32x32, 128); 5x5: 1.3 (32 to 64, 14x14, 128 images); 7x1, 192, 17x17, "
        "4: 2.9",
    ),
    Row(
        when_dense.very_few_features,
        dense.kernel_grad_swapped,
        "1, 4, 8, 16 images: 12 (5x5, 384 to 8 channels, 8x8), 10 (7x7, 96 to 8, 8x8), 17 (3x3, 192 to 8, 64x64), 4.1 "
        "(3x3, 128 to 8, 8x8), 1.9 (7x7, 384 to 16, 7x7), 2.4 (9x9, 64 to 8, 32x32); columns: 2.2, 2.9, 0.5, 1.3, "
        "0.1, 0.1; Zen 5, 47 random layers: 2.45, none below 0.95 (0.10.2, 31: 2.42, 1), filtered rows 1.76 (2.14)",
    ),
    Row(
        when_dense.small_maps,
        columns.kernel_grad_columns,
        "one image, 3x3: 2.1 (512 channels, 7x7), 1.3 (256, 14x14), 1.2 (192, 14x14; 128, 16x16); `kernel_grad_rows`: "
        "0.8, 0.7, 0.8, 0.9",
    ),
    Row(
        when_dense.side_by_side_channels,
        patches.conv_kernel_grad,
        "1, 8, 32 images: 1.4, 3.2, 2.7 (2x2, 96 channels, 56x56), 1.4, 2.6, 3.6 (192, 28x28), 1.4, 1.1, 0.9 (4x4, "
        "16, 56x56), 1.1, 1.1, 1.0 (8x8, 16, 64x64), 1.0 (3x3, 32, 57x57); forms of `columns`: 1.1, 1.9, 2.3, then "
        "1.4, 2.2, 3.3, then 0.7, 0.8, 0.8, then 1.0, 0.5, 0.3, then 0.9, 0.4, 0.6",
    ),
    Row(
        when_dense.single_channel,
        columns.kernel_grad_columns,
        "5x5, 28x28, 8, 32, 128 images: 1.1, 1.3, 1.4; `kernel_grad_rows`: 1.1, 1.1, 1.2, `kernel_grad_maps`: 1.0, "
        "1.0, 1.1; EPYC, 5x5 on 64x64 and 112x112, and 7x7: 0.5 to 0.7, one image of 112x112 1.05; Zen 5, one image of "
        "28x28 0.7 to 0.9 (jax 0.10.2 0.3), which is out",
    ),
    Row(
        when_dense.few_elements_seen,
        columns.kernel_grad_columns,
        "EPYC, two draws of 19 and 37 random layers: 1.79, 1.41, 2 below 0.95 (`kernel_grad_rows` 1.34, 1.09; "
        "`kernel_grad_maps` 1.02, 0.98)",
    ),
    Row(
        when_dense.strided_wide,
        columns.kernel_grad_columns,
        "stride 2, 3x3: 1.4 (384 to 256 channels, 7x7), 1.3 (128 to 256, 16x16), 1.7 (512, 14x14, one image), 2.1 (64 "
        "to 512, 28x28, 4 images); 5x5: 1.8 (3 to 512, 48x48, one image); `kernel_grad_rows`: 1.2, 1.4, 1.2, 2.0, 1.4; "
        "113 random ones 1.56 (`kernel_grad_rows` 1.34, `kernel_grad_maps` 0.99)",
    ),
    Row(
        when_dense.strided_few_positions,
        columns.kernel_grad_columns,
        "stride 2: 1.4 (5x5, 192 to 64 channels, 8x8, 4 images), 2.3 (9x9, 32 to 384, 14x14, one image); "
        "`kernel_grad_rows`: 1.1, 1.0; 27 random ones 1.47 (`kernel_grad_rows` 0.98)",
    ),
    Row(
        when_dense.strided_narrow,
        phases.kernel_grad,
        "stride 2: 2.2 (4x4, 256 to 96 channels, 48x48, 4 images), 1.9 (3x3, 512 to 24, 35x35, 8), 6.5 (7x7, 512 to "
        "16, 35x35, one), 2.5 (7x7, 48 to 24, 147x147, 4); `kernel_grad_rows`: 1.3, 0.8, 3.0, 2.1; 84 random ones 1.69 "
        "(`kernel_grad_rows` 1.11, `kernel_grad_maps` 1.02)",
    ),
    Row(
        when_dense.strided_maps,
        dense.kernel_grad_maps,
        "106 random ones 0.99 (23 below 0.95), `kernel_grad_rows` 0.82, `phases.kernel_grad` 0.69: 1.2 (3x3 stride 2, "
        "128 to 64 channels, 16x16, 32 images), 0.83 (128 to 32); inside a scan XLA's form is 180 times slower",
    ),
    Row(
        when_dense.many_features,
        columns.kernel_grad_columns,
        "3x3: 2.2 (3 to 512 channels, 14x14, one image), 2.4 (3 to 384, 7x7, 4 images), 1.6 (16 to 384, 16x16, 4); "
        "5x5: 1.6 (3 to 256, 7x7, 4), 1.5 (8 to 384, 16x16, 16); `kernel_grad_rows`: 1.2, 0.9, 1.4, 1.4, 1.4",
    ),
    Row(
        when_dense.few_large_windows,
        dense.kernel_grad_maps,
        "one core, 5x5: 1.0 (48 channels, 35x35, one image; 32, 14x14, 8 images), else 0.86; EPYC, 48 to 64, 35x35: "
        "1.0 (`kernel_grad_rows` 0.8, on the Xeon 1.0); inside a scan XLA's form is 180 to 280 times slower",
    ),
    Row(
        when_dense.narrow,
        dense.kernel_grad_maps,
        "EPYC, 40 random ones (`forms.py --strides 1 --rows narrow --seconds 90 --seed 61`): 1.01 (4 below 0.95), "
        "`kernel_grad_rows` 0.89 (24)",
    ),
    Row(
        when_dense.narrow_images,
        dense.kernel_grad_maps,
        "EPYC, 14 random layers: 1.02, 3 below 0.95 (`kernel_grad_rows` 0.70, 10)",
    ),
    Row(
        when_dense.few_features,
        dense.kernel_grad_swapped,
        "3x3, 256 to 64 channels, 28x28: 1.45, one image 1.8; 128 to 32, 14x14, 1, 4, 8, 32 images: 1.5, 1.6, 1.5, "
        "1.2; 28x28: 1.8, 1.4, 1.3, 1.9; 56x56, 1, 4 images: 1.4, 1.4",
    ),
    Row(
        when_dense.image_of_few_channels,
        dense.kernel_grad_maps,
        "3x3, 64 channels, 56x56: 1.0 (`kernel_grad_rows` 0.7); 32x32: 1.2",
    ),
    Row(
        when.whole,
        dense.kernel_grad_rows,
        "one core, 3x3: 2.5 (64 channels, 56x56), 3.1 (128, 28x28), 1.2 (256, 14x14), 1.2 (512, 7x7), 3.0 (64, 32x32, "
        "32 images), 1x7: 1.1 (128, 17x17), one image 1.0 to 1.3; 5x5: 1.3 (48, 35x35), 2.6 (32, 14x14, 128 images); "
        "7x7 stem: 1.8 to 3.8; stride 2: 2.0 (64 to 128, 56x56, 32 images), 105 random ones 1.5, 3x3 on 128 to 384 "
        "channels 1.0 to 2.3 (EPYC 1.0 to 1.6; products of bands of rows, once a form of their own, 1.4 to 1.9, EPYC "
        "0.9 to 1.5); inside a scan XLA's form is 180 to 280 times slower",
    ),
)
