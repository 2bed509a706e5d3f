"""Every form, whether or not the table picks it for the shape, gives what XLA's own form gives."""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.functional.lowering import (
    chunk,
    columns,
    cpu,
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
    winograd,
)
from jaxconv.functional.lowering.taps import after

# images, space, channels, features, window, strides, padding, dilation, groups
CASES = {
    "plane": (2, (6, 7), 3, 4, (3, 2), (1, 1), ((1, 0), (2, 1)), (1, 1), 1),
    "plane, padded past the window": (1, (4, 5), 2, 3, (2, 3), (1, 1), ((3, 2), (0, 4)), (1, 1), 1),
    "plane, strided": (3, (9, 8), 3, 2, (3, 3), (2, 3), ((1, 1), (0, 1)), (1, 1), 1),
    "plane, side by side": (3, (6, 9), 3, 4, (2, 3), (2, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "plane, side by side with a rim": (2, (8, 7), 2, 3, (3, 2), (3, 2), ((2, 1), (0, 0)), (1, 1), 1),
    "plane, side by side, cut off": (2, (8, 7), 2, 3, (3, 4), (3, 4), ((0, 0), (4, 5)), (1, 1), 1),
    "plane, of two strides": (3, (8, 9), 3, 4, (4, 6), (2, 3), ((1, 1), (2, 3)), (1, 1), 1),
    "plane, of two strides, cut off": (2, (9, 8), 2, 3, (6, 2), (2, 1), ((0, 0), (3, 0)), (1, 1), 1),
    "plane, steps beyond the window": (2, (9, 8), 2, 2, (1, 2), (3, 3), ((0, 0), (1, 0)), (1, 1), 1),
    "plane, dilated": (2, (9, 9), 2, 3, (3, 2), (1, 1), ((2, 2), (2, 1)), (2, 3), 1),
    "plane, strided and dilated": (2, (10, 9), 2, 3, (3, 3), (3, 2), ((2, 2), (1, 3)), (2, 2), 1),
    "line": (5, (11,), 3, 4, (3,), (1,), ((1, 1),), (2,), 1),
    "line, strided": (2, (11,), 3, 4, (5,), (2,), ((1, 2),), (1,), 1),
    "line, of three strides": (2, (14,), 2, 3, (6,), (2,), ((4, 0),), (1,), 1),
    "line, side by side": (2, (11,), 3, 4, (5,), (5,), ((0, 0),), (1,), 1),
    "volume": (2, (5, 4, 6), 2, 3, (2, 3, 2), (1, 1, 1), ((0, 1), (1, 1), (1, 0)), (1, 1, 2), 1),
    "volume, side by side": (2, (4, 7, 6), 2, 3, (2, 3, 1), (2, 3, 1), ((0, 0), (1, 1), (0, 0)), (1, 1, 1), 1),
    "volume, strided": (1, (5, 6, 7), 2, 2, (2, 3, 3), (2, 1, 3), ((0, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
    "plane of three taps": (11, (6, 8), 3, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "plane of three taps, odd, narrowing": (2, (7, 5), 5, 3, (3, 3), (1, 1), ((2, 1), (0, 4)), (1, 1), 1),
    "plane of three taps, cut off": (3, (7, 8), 3, 4, (3, 3), (1, 1), ((1, -1), (-1, -2)), (1, 1), 1),
    "plane of three taps, one position": (3, (1, 1), 3, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "plane of three taps along one side": (2, (4, 5), 4, 3, (1, 3), (1, 1), ((1, 0), (1, 1)), (1, 1), 1),
    "line of three taps": (5, (11,), 3, 4, (3,), (1,), ((1, 1),), (1,), 1),
    "volume of three taps": (2, (5, 4, 6), 2, 3, (3, 3, 3), (1, 1, 1), ((0, 1), (1, 1), (1, 0)), (1, 1, 1), 1),
    "volume of three taps and one": (2, (5, 4, 6), 2, 3, (3, 1, 3), (1, 1, 1), ((1, 1), (2, 0), (1, 1)), (1, 1, 1), 1),
    "plane of three and five taps": (11, (9, 8), 3, 4, (3, 5), (1, 1), ((1, 1), (2, 1)), (1, 1), 1),
    "plane of five taps": (3, (6, 7), 3, 4, (5, 5), (1, 1), ((2, 2), (1, 3)), (1, 1), 1),
    "plane of five taps, one row": (2, (5, 9), 4, 3, (5, 2), (1, 1), ((0, 0), (1, 0)), (1, 1), 1),
    "plane of five taps, cut off": (2, (9, 8), 2, 3, (5, 1), (1, 1), ((-1, 5), (0, -1)), (1, 1), 1),
    "plane of five taps along one side": (2, (4, 7), 4, 3, (2, 5), (1, 1), ((1, 0), (2, 2)), (1, 1), 1),
    "plane of seven taps along one side": (2, (5, 8), 3, 4, (7, 1), (1, 1), ((3, 2), (1, 0)), (1, 1), 1),
    "line of seven taps": (5, (11,), 4, 3, (7,), (1,), ((3, 3),), (1,), 1),
    "line of five taps": (5, (11,), 3, 4, (5,), (1,), ((3, 1),), (1,), 1),
    "points": (2, (5, 6), 4, 3, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "points, strided and padded": (2, (7, 6), 4, 3, (1, 1), (2, 3), ((1, 0), (1, 2)), (1, 1), 1),
    "one place": (4, (3, 5), 3, 4, (3, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "one place, dilated, padded": (3, (5, 4), 2, 3, (3, 2), (2, 3), ((0, 1), (1, 0)), (2, 3), 1),
    "one place, cut off": (2, (7, 6), 3, 2, (3, 5), (9, 1), ((-1, 1), (-1, 0)), (1, 1), 1),
    "one place of a line": (5, (9,), 3, 4, (4,), (3,), ((-2, 1),), (2,), 1),
    "one place of a volume": (2, (2, 3, 2), 3, 4, (2, 3, 2), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1),
    "depthwise": (5, (6, 7), 4, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    "depthwise, strided": (2, (9, 8), 4, 4, (3, 5), (2, 2), ((1, 1), (2, 1)), (1, 1), 4),
    "depthwise, strided and dilated": (2, (10, 9), 2, 2, (3, 3), (3, 2), ((2, 2), (1, 3)), (2, 2), 2),
    "depthwise, multiplied": (1, (8, 9), 3, 6, (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1), 3),
    "depthwise, padded past the window": (2, (7, 6), 4, 4, (3, 1), (1, 2), ((5, 1), (2, 3)), (2, 1), 4),
    "depthwise, multiplied, everywhere": (2, (9, 7), 3, 6, (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 2), 3),
    "depthwise, padded past the window, everywhere": (2, (7, 6), 4, 4, (3, 1), (1, 1), ((5, 1), (2, 3)), (2, 1), 4),
    "depthwise, a tap beyond everything": (2, (5, 4), 3, 3, (2, 5), (2, 3), ((1, 2), (2, 7)), (1, 2), 3),
    "depthwise line": (2, (9,), 4, 4, (5,), (1,), ((4, 0),), (1,), 4),
    "depthwise line, of many taps": (2, (80,), 2, 4, (70,), (2,), ((3, 40),), (1,), 2),
    "depthwise line, of 64 taps": (1, (150,), 2, 2, (64,), (1,), ((0, 0),), (2,), 2),
    "depthwise line, of many parts": (2, (67,), 1024, 1024, (3,), (1,), ((1, 1),), (1,), 1024),
    "depthwise volume, strided": (2, (7, 5, 6), 2, 4, (3, 2, 3), (2, 2, 1), ((2, 0), (1, 1), (1, 0)), (2, 1, 1), 2),
    "depthwise volume": (1, (4, 5, 3), 2, 2, (3, 3, 2), (1, 2, 1), ((1, 1), (1, 1), (0, 0)), (1, 1, 1), 2),
    "groups": (2, (6, 7), 8, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "groups, strided": (2, (7, 7), 6, 12, (3, 3), (2, 2), ((1, 0), (1, 1)), (1, 1), 3),
    "groups, padded past the window": (2, (6, 5), 6, 12, (1, 2), (2, 1), ((2, 3), (3, 0)), (1, 1), 3),
    "many small groups": (1, (5, 6), 64, 32, (3, 2), (1, 1), ((1, 1), (1, 0)), (1, 1), 32),
    "groups of points": (2, (5, 4), 12, 24, (1, 1), (2, 1), ((0, 0), (0, 0)), (1, 1), 3),
    "groups of a line": (2, (9,), 8, 8, (3,), (1,), ((2, 2),), (2,), 4),
}
THREE = [name for name in CASES if "three taps" in name]
FILTERED = [*THREE, *(name for name in CASES if "five taps" in name or "seven taps" in name)]
DENSE = [name for name in CASES if name.split(",")[0] in ("plane", "line", "volume")]
UNIT = [name for name in DENSE if set(CASES[name][5]) == {1}]
DEPTHWISE = [name for name in CASES if name.startswith("depthwise")]
EVERYWHERE = [name for name in DEPTHWISE if set(CASES[name][5]) == {1}]
FLAT = [name for name in DEPTHWISE if "volume" not in name]
LINES = [name for name in FLAT if "line" in name]
GROUPS = [name for name in CASES if "groups" in name]
STEPPED = [name for name in DENSE if "strides" in name]
TILED = [name for name in CASES if "side by side" in name]
SINGLE = [name for name in CASES if name.startswith("one place")]
POINTS = [name for name in CASES if name.startswith("points")]

CONV = [(pointwise.conv, POINTS), (depthwise.conv, DEPTHWISE), (grouped.conv, GROUPS)]
CONV += [(depthwise.conv_within, DEPTHWISE), (columns.conv_gathered, DENSE), (columns.conv_spread, UNIT)]
CONV += [(single.conv, SINGLE), (winograd.conv, THREE), (winograd.conv_rows, FILTERED), (depthwise_large.conv, FLAT)]
INPUT_GRAD = [
    (pointwise.conv_input_grad, POINTS),
    (depthwise.conv_input_grad, DEPTHWISE),
    (depthwise.conv_input_grad_within, EVERYWHERE),
    (depthwise_large.conv_input_grad, FLAT),
    (grouped.conv_input_grad, GROUPS),
    (dense.input_grad_flipped, UNIT),
    (columns.input_grad_columns, DENSE),
    (phases.input_grad, DENSE),
    (phases.input_grad_columns, [*DENSE, *TILED]),
    (phases.input_grad_products, [*STEPPED, *TILED]),
    (winograd.conv_input_grad, THREE),
    (winograd.conv_input_grad_rows, FILTERED),
    (single.conv_input_grad, SINGLE),
    (divided.input_grad, [*DENSE, *GROUPS, *POINTS]),
]
KERNEL_GRAD = [
    (pointwise.conv_kernel_grad, POINTS),
    (depthwise_kernel.conv_kernel_grad, DEPTHWISE),
    (depthwise_kernel.conv_kernel_grad_rows, [name for name in FLAT if "line" not in name]),
    (depthwise_kernel.conv_kernel_grad_line, LINES),
    (depthwise_kernel.conv_kernel_grad_slices, ["depthwise volume", "depthwise volume, strided"]),
    (depthwise_large.conv_kernel_grad, FLAT),
    (grouped.conv_kernel_grad, GROUPS),
    (grouped.conv_kernel_grad_maps, GROUPS),
    (dense.kernel_grad_rows, DENSE),
    (dense.kernel_grad_swapped, UNIT),
    (columns.kernel_grad_columns, DENSE),
    (dense.kernel_grad_maps, DENSE),
    (pointwise.conv_kernel_grad_rows, POINTS),
    (patches.conv_kernel_grad, TILED),
    (winograd.conv_kernel_grad_rows, FILTERED),
    (phases.kernel_grad, [name for name in DENSE if set(CASES[name][7]) == {1}]),
    (single.conv_kernel_grad, SINGLE),
    (divided.kernel_grad, [*DENSE, *GROUPS, *POINTS]),
]


def pairs(table):
    return [pytest.param(form, name, id=f"{form.__name__}-{name}") for form, names in table for name in names]


def make(name, rng):
    images, space, channels, features, window, strides, padding, dilation, groups = CASES[name]
    x = rng.standard_normal((images, *space, channels), "f")
    kernel = rng.standard_normal((*window, channels // groups, features), "f")
    settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    dy = rng.standard_normal(jax.eval_shape(lambda x, k: plain.conv(x, k, **settings), x, kernel).shape, "f")
    return x, kernel, dy, settings


def agree(form, reference, arrays, settings):
    ours, theirs = jax.jit(lambda *a: (form(*a, **settings), reference(*a, **settings)))(*arrays)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("form, name", pairs(CONV))
def test_outputs(form, name, rng):
    x, kernel, _, settings = make(name, rng)
    agree(form, plain.conv, (x, kernel), settings)


@pytest.mark.parametrize("form, name", pairs(INPUT_GRAD))
def test_input_gradients(form, name, rng):
    x, kernel, dy, settings = make(name, rng)
    agree(form, plain.conv_input_grad, (dy, kernel), settings | {"space": x.shape[1:-1]})


@pytest.mark.parametrize("form, name", pairs(KERNEL_GRAD))
def test_kernel_gradients(form, name, rng):
    x, kernel, dy, settings = make(name, rng)
    agree(form, plain.conv_kernel_grad, (x, dy), settings | {"window": kernel.shape[:-2]})


@pytest.mark.parametrize("form", [columns.conv_gathered, columns.conv_spread])
@pytest.mark.parametrize("positions", [1, 12, 42, 100])
def test_products_of_some_images_cover_all_once(form, positions, rng, monkeypatch):
    monkeypatch.setattr(columns, "_POSITIONS", positions)
    x, kernel, _, settings = make("plane", rng)
    agree(form, plain.conv, (np.concatenate([x, 2 * x, x[:1]]), kernel), settings)


@pytest.mark.parametrize("transposed", [0, math.inf])
@pytest.mark.parametrize("name", [name for name in FILTERED if CASES[name][2] > CASES[name][3]])
def test_filtered_kernel_gradients_from_the_columns_of_either_map(name, transposed, rng, monkeypatch):
    monkeypatch.setattr(winograd, "_TRANSPOSED", transposed)
    x, kernel, dy, settings = make(name, rng)
    agree(winograd.conv_kernel_grad_rows, plain.conv_kernel_grad, (x, dy), settings | {"window": kernel.shape[:-2]})


def test_filtered_kernel_gradients_of_a_batch_of_any_size(rng):
    x, kernel, dy, settings = make("plane of three taps, odd, narrowing", rng)
    (n,) = jax.export.symbolic_shape("n")
    shapes = [jax.ShapeDtypeStruct((n, *a.shape[1:]), a.dtype) for a in (x, dy)]
    settings |= {"window": kernel.shape[:-2]}
    form = jax.export.export(jax.jit(partial(winograd.conv_kernel_grad_rows, **settings)))(*shapes).call
    agree(lambda x, dy, **_: form(x, dy), plain.conv_kernel_grad, (x, dy), settings)


@pytest.mark.parametrize("name", ["plane", "line"])
def test_no_kernel_is_left_transposed_inside_a_loop(name, rng):
    """Outside, XLA transposes it; inside, it computes such a convolution one element at a time."""
    x, kernel, dy, settings = make(name, rng)

    def compiled(form):
        def body(carry, _):
            return carry, form(*carry, space=x.shape[1:-1], **settings)

        program = jax.jit(lambda *carry: jax.lax.scan(body, carry, None, length=3)[1])
        return program.lower(dy, kernel).compile().as_text() or ""

    transposed = re.compile(r"dim_labels=b\w*f_\d*oi->")
    assert transposed.search(compiled(plain.conv_input_grad))
    assert not transposed.search(compiled(dense.input_grad_flipped))


@pytest.mark.parametrize("rows", [1, 4, 7, 60])
def test_products_of_some_rows_cover_all_once(rows, rng, monkeypatch):
    monkeypatch.setattr(pointwise, "_ROWS", rows)
    x, _, dy, settings = make("points", rng)
    agree(pointwise.conv_kernel_grad_rows, plain.conv_kernel_grad, (x, dy), settings | {"window": (1, 1)})


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_what_waits_for_an_array_is_unchanged(dtype):
    with jax.enable_x64(True):
        x = jnp.asarray([1.5, -2, jnp.inf, 0], dtype)
        for value in (-1, 0, jnp.nan, -jnp.inf):
            np.testing.assert_array_equal(jax.jit(after)(jnp.full((2, 3), value, dtype), x), x)


@pytest.mark.parametrize("images, positions", [(1, 4096), (3, 4096), (7, 700), (8, 700), (130, 16), (65, 64)])
def test_chunks_cover_the_batch_once(images, positions):
    x = jnp.arange(images, dtype="f").reshape(-1, 1, 1) + 1
    dy = jnp.ones((images, positions, 1), "f")
    summed = jax.jit(lambda x, dy: chunk.add_over_images(lambda x, dy: jnp.einsum("npc,nqc->c", x, dy), x, dy))
    assert summed(x, dy) == images * (images + 1) / 2 * positions
    mapped = jax.jit(lambda dy: chunk.map_over_images(lambda dy: 2 * dy, dy))(x * dy)
    np.testing.assert_array_equal(mapped, 2 * x * dy)


def test_a_gradient_that_ends_the_process_in_the_form_of_xla():
    """A window of 2 at stride 2, padded, beside a kernel longer than its output: XLA for the CPU would abort."""
    settings = dict(space=(6, 2), strides=(2, 2), padding=((1, 2), (1, 3)), dilation=(1, 1), groups=1)
    rng = np.random.default_rng(0)
    dy, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((2, 4, 2, 4), (2, 4, 3, 4)))
    whole, divided = (jax.jit(partial(cpu.conv_input_grad, sharded=s, **settings))(dy, kernel) for s in (False, True))
    np.testing.assert_allclose(divided, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [64, 256, 512])
def test_shared_sums_are_rounded_as_well(channels, rng):
    """The largest errors against float64; those of XLA's form were 0.9 to 2.8 times as large when measured."""
    x, kernel = rng.standard_normal((2, 8, 8, channels), "f"), rng.standard_normal((3, 3, channels, channels), "f")
    settings = dict(strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
    with jax.enable_x64(True):
        exact = jax.jit(partial(plain.conv, **settings))(np.float64(x), np.float64(kernel))
    ours, theirs = (
        np.abs(np.asarray(jax.jit(partial(form, **settings))(x, kernel), np.float64) - np.asarray(exact)).max()
        for form in (winograd.conv, plain.conv)
    )
    print("largest error, in units of the largest output:", [float(e / np.abs(exact).max()) for e in (ours, theirs)])
    assert ours < 2 * theirs
