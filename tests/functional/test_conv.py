import inspect
from functools import partial

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from functional import oracles
from jax import lax
from jax.test_util import check_grads

import jaxconv.functional as F
from jaxconv.functional import window

# images, space, channels, features, window, then the settings; odd sizes and settings on purpose.
CASES = {
    "same": ((2, (7, 5), 3, 4, (3, 3)), dict(padding="SAME")),
    "same, strided": ((2, (7, 6), 3, 4, (3, 4)), dict(padding="SAME", strides=2)),
    "same lower, strided": ((1, (8, 7), 2, 3, (3, 2)), dict(padding="SAME_LOWER", strides=(2, 3))),
    "valid, dilated": ((1, (9, 8), 2, 3, (3, 2)), dict(padding="VALID", dilation=(2, 3))),
    "int padding": ((2, (5, 7), 3, 2, (3, 5)), dict(padding=2, strides=(1, 2))),
    "pairs, dilated, strided": (
        (1, (7, 9), 2, 4, (2, 3)),
        dict(padding=((0, 1), (3, 2)), dilation=2, strides=(3, 2)),
    ),
    "padding beyond the window": ((1, (3, 4), 2, 2, (2, 2)), dict(padding=3, strides=2)),
    "groups": ((2, (5, 6), 6, 9, (3, 2)), dict(padding="SAME", groups=3)),
    "groups, strided, dilated": ((1, (9, 7), 4, 6, (3, 3)), dict(padding=1, strides=2, dilation=2, groups=2)),
    "depthwise": ((2, (6, 5), 3, 6, (3, 3)), dict(padding=1, groups=3)),
    "pointwise, strided": ((2, (5, 7), 3, 4, (1, 1)), dict(padding=0, strides=(2, 3))),
    "one output": ((3, (5, 4), 2, 3, (5, 4)), dict(padding="VALID")),
    "line": ((2, (11,), 3, 4, (4,)), dict(padding="SAME", strides=3)),
    "line, groups": ((2, (9,), 4, 4, (3,)), dict(padding=((4, 0),), dilation=2, groups=2)),
    "volume": ((1, (4, 5, 3), 2, 3, (2, 3, 3)), dict(padding=1, strides=(1, 2, 2))),
    "volume, same, dilated": ((1, (5, 4, 4), 2, 2, (2, 2, 3)), dict(padding="SAME", dilation=(2, 1, 1), groups=2)),
}
TRANSPOSED = {
    # torch's sizes: (size - 1) stride - low - high + extent + output_padding
    "upsampling by two": ((2, (4, 5), 3, 4, (3, 3)), dict(padding=1, strides=2, output_padding=1), (8, 10)),
    "no padding": ((1, (3, 4), 2, 3, (2, 3)), dict(padding=0, strides=(3, 1)), (8, 6)),
    "wider step than window": ((1, (3, 4), 2, 2, (2, 1)), dict(padding=0, strides=3, output_padding=2), (10, 12)),
    "pairs": ((1, (4, 5), 2, 2, (4, 3)), dict(padding=((2, 1), (0, 2)), strides=2), (7, 9)),
    "groups": ((2, (3, 5), 4, 6, (3, 3)), dict(padding=1, strides=2, groups=2), (5, 9)),
    "dilated beyond the stride": (
        (1, (4, 3), 2, 2, (2, 3)),
        dict(padding=1, strides=(1, 2), dilation=3, output_padding=(2, 1)),
        (7, 10),
    ),
    "line": ((2, (5,), 3, 2, (4,)), dict(padding=1, strides=2), (10,)),
    "volume": ((1, (2, 3, 2), 2, 2, (2, 3, 2)), dict(padding=1, strides=2, output_padding=1), (3, 6, 3)),
    "nothing but zeros": ((3, (1, 2), 1, 3, (1, 2)), dict(padding=1, strides=3, output_padding=(2, 1)), (1, 4)),
    "zeros far beyond": (
        (1, (2, 1), 2, 3, (3, 1)),
        dict(padding=((1, 0), (3, 2)), strides=(2, 8), output_padding=(0, 7)),
        (4, 3),
    ),
    # TensorFlow's sizes: size * stride, and size * stride + max(extent - stride, 0)
    "same": ((2, (4, 5), 3, 2, (3, 4)), dict(padding="SAME", strides=2), (8, 10)),
    "same lower": ((1, (4, 5), 2, 2, (4, 5)), dict(padding="SAME_LOWER", strides=(2, 1)), (8, 5)),
    "same, wide step": ((1, (3, 4), 2, 2, (2, 1)), dict(padding="SAME", strides=3), (9, 12)),
    "valid": ((1, (3, 4), 2, 3, (3, 2)), dict(padding="VALID", strides=2), (7, 8)),
    "valid, wide step": ((1, (3, 2), 2, 2, (2, 2)), dict(padding="VALID", strides=3), (9, 6)),
    "valid, dilated": ((1, (3, 4), 2, 2, (3, 2)), dict(padding="VALID", strides=2, dilation=2), (9, 9)),
}


def draw(rng, shape, dtype=np.float32, groups=1):
    images, space, channels, features, taps = shape
    x = jnp.asarray(rng.standard_normal((images, *space, channels)), dtype)
    return x, jnp.asarray(rng.standard_normal((*taps, channels // groups, features)), dtype)


def explicit(settings, space, taps):
    """Full tuples, the named paddings by JAX's own rule."""
    rank = len(space)

    def full(value):
        return value if isinstance(value, tuple) else (value,) * rank

    strides, dilation, padding = (
        full(settings.get("strides", 1)),
        full(settings.get("dilation", 1)),
        settings["padding"],
    )
    if isinstance(padding, str):
        covered = tuple(d * (t - 1) + 1 for t, d in zip(taps, dilation))
        padding = tuple(lax.padtype_to_pads(space, covered, strides, padding))
    pairs = tuple((p, p) if isinstance(p, int) else tuple(map(int, p)) for p in full(padding))
    return dict(strides=strides, pairs=pairs, dilation=dilation, groups=settings.get("groups", 1))


@pytest.mark.parametrize("name", CASES)
def test_conv_is_its_definition(name, rng):
    shape, settings = CASES[name]
    x, kernel = draw(rng, shape, groups=settings.get("groups", 1))
    expected = oracles.conv(x, kernel, **explicit(settings, x.shape[1:-1], kernel.shape[:-2]))
    actual = F.conv(x, kernel, **settings)
    assert actual.dtype == x.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose_is_its_definition(name, rng):
    shape, settings, out = TRANSPOSED[name]
    x, kernel = draw(rng, shape, groups=settings.get("groups", 1))
    full = explicit(settings, out, kernel.shape[:-2])
    lows = [low for low, _ in full.pop("pairs")]
    expected = oracles.conv_transpose(x, kernel, out=out, lows=lows, **full)
    np.testing.assert_allclose(F.conv_transpose(x, kernel, **settings), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["same", "pairs, dilated, strided", "groups, strided, dilated", "line", "volume"])
def test_conv_transpose_is_the_adjoint_of_conv(name, rng):
    shape, settings = CASES[name]
    groups = settings.get("groups", 1)
    x, kernel = draw(rng, shape, groups=groups)
    y, pull = jax.vjp(lambda x: F.conv(x, kernel, **settings), x)
    dy = jnp.asarray(rng.standard_normal(y.shape), y.dtype)
    # As an argument of conv_transpose the kernel's in and out trade places, within each group.
    *taps, i, k = kernel.shape
    swapped = kernel.reshape(*taps, i, groups, k // groups).swapaxes(-3, -1).reshape(*taps, k // groups, groups * i)
    pairs = window.padding_pairs(
        x.shape[1:-1],
        taps,
        strides=settings.get("strides", 1),
        padding=settings["padding"],
        dilation=settings.get("dilation", 1),
    )
    back = F.conv_transpose(dy, swapped, **(settings | dict(padding=pairs)))
    inside = tuple(slice(size) for size in back.shape)
    np.testing.assert_allclose(back, pull(dy)[0][inside], rtol=1e-4, atol=1e-5)


def test_depthwise_conv_orders_outputs_by_channel(rng):
    x = jnp.asarray(rng.standard_normal((2, 5, 6, 3)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 2, 3, 2)), jnp.float32)
    y = F.depthwise_conv(x, kernel, padding=1, strides=(1, 2))
    for j in range(3):
        alone = oracles.conv(
            x[..., j : j + 1], kernel[:, :, j : j + 1], strides=(1, 2), pairs=((1, 1), (1, 1)), dilation=(1, 1)
        )
        np.testing.assert_allclose(y[..., 2 * j : 2 * j + 2], alone, rtol=1e-5, atol=1e-5)


def test_separable_conv_is_a_conv_with_the_product_kernel(rng):
    x = jnp.asarray(rng.standard_normal((2, 6, 5, 3)), jnp.float32)
    depthwise = jnp.asarray(rng.standard_normal((3, 3, 3, 2)), jnp.float32)
    pointwise = jnp.asarray(rng.standard_normal((1, 1, 6, 4)), jnp.float32)
    product = np.einsum("hwcm,cmk->hwck", depthwise, pointwise.reshape(3, 2, 4))
    expected = oracles.conv(x, product, strides=(2, 2), pairs=((2, 2), (2, 2)), dilation=(2, 2))
    actual = F.separable_conv(x, depthwise, pointwise, padding=2, strides=2, dilation=2)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_linearity(rng):
    x, kernel = draw(rng, (2, (6, 7), 3, 4, (3, 3)))
    z, other = draw(rng, (2, (6, 7), 3, 4, (3, 3)))

    def f(x, kernel):
        return F.conv(x, kernel, padding="SAME", strides=2)

    np.testing.assert_allclose(f(2 * x - 3 * z, kernel), 2 * f(x, kernel) - 3 * f(z, kernel), atol=1e-4)
    np.testing.assert_allclose(f(x, 2 * kernel - 3 * other), 2 * f(x, kernel) - 3 * f(x, other), atol=1e-4)


def test_shift_equivariance(rng):
    x, kernel = draw(rng, (1, (12, 11), 2, 3, (3, 3)))
    y = F.conv(x, kernel, padding="VALID", strides=2)
    moved = F.conv(jnp.roll(x, (2, 4), (1, 2)), kernel, padding="VALID", strides=2)
    np.testing.assert_allclose(moved[:, 1:, 2:], y[:, :-1, :-2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["same, strided", "groups, strided, dilated", "line, groups", "volume"])
def test_inner_products_move_between_the_arguments(name, rng):
    shape, settings = CASES[name]
    x, kernel = draw(rng, shape, groups=settings.get("groups", 1))
    y, pull = jax.vjp(lambda x, kernel: F.conv(x, kernel, **settings), x, kernel)
    dy = jnp.asarray(rng.standard_normal(y.shape), y.dtype)
    dx, dkernel = pull(dy)
    expected = jnp.vdot(y, dy)
    scale = float(jnp.linalg.norm(y) * jnp.linalg.norm(dy))
    np.testing.assert_allclose(jnp.vdot(x, dx), expected, atol=1e-5 * scale)
    np.testing.assert_allclose(jnp.vdot(kernel, dkernel), expected, atol=1e-5 * scale)


@pytest.mark.parametrize("function", [F.conv, F.conv_transpose])
def test_groups_are_separate_convs(function, rng):
    x, kernel = draw(rng, (2, (6, 5), 6, 9, (3, 2)), groups=3)
    y = function(x, kernel, padding=1, strides=2, groups=3)
    parts = [
        function(x[..., 2 * g : 2 * g + 2], kernel[..., 3 * g : 3 * g + 3], padding=1, strides=2) for g in range(3)
    ]
    np.testing.assert_allclose(y, jnp.concatenate(parts, -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [F.conv, pytest.param(F.conv_transpose, marks=pytest.mark.slow)])
def test_derivatives_of_second_order_in_both_modes(function, rng):
    x, kernel = draw(rng, (1, (4, 3), 2, 2, (3, 3)))

    def squared(x, kernel):  # so that the second derivative in a single argument is not zero
        return function(jnp.asarray(x), jnp.asarray(kernel), padding=1, strides=2) ** 2

    check_grads(squared, (x, kernel), order=2, modes=("fwd", "rev"), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    "dtype, shape, groups",
    [
        (jnp.bfloat16, (1, (4, 4), 700, 2, (3, 3)), 1),
        (jnp.float16, (1, (6, 6), 2, 2, (5, 5)), 2),
        (jnp.bfloat16, (1, (3, 3), 3000, 2, (1, 1)), 1),
        (jnp.float16, (1, (3, 3), 3000, 2, (1, 1)), 1),
    ],
)
def test_half_types_are_summed_in_float32(dtype, shape, groups, rng):
    images, space, channels, features, taps = shape
    x = jnp.asarray(rng.uniform(0, 1, (images, *space, channels)), dtype)
    kernel = jnp.asarray(rng.uniform(0, 0.05, (*taps, channels // groups, features)), dtype)
    y, pull = jax.vjp(lambda x, kernel: F.conv(x, kernel, padding="VALID", groups=groups), x, kernel)
    assert y.dtype == dtype
    wide = [np.asarray(a, np.float64) for a in (x, kernel)]
    views = np.lib.stride_tricks.sliding_window_view(wide[0], taps, (1, 2))
    split = views.reshape(*views.shape[:3], groups, channels // groups, *taps)
    kernels = wide[1].reshape(*taps, channels // groups, groups, features // groups)
    expected = np.einsum("nhwgcij,ijcgk->nhwgk", split, kernels).reshape(y.shape)
    # One rounding to the half type and nothing more: half a unit in the last place.
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=float(jnp.finfo(dtype).eps) * 0.51)
    assert [a.dtype for a in pull(y)] == [dtype, dtype]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_types_are_summed_in_float32_in_gradients(dtype, rng):
    x = jnp.asarray(rng.uniform(0, 1, (4, 40, 40, 1)), dtype)
    kernel = jnp.asarray(rng.uniform(0, 1, (1, 1, 1, 1)), dtype)
    dkernel = jax.grad(lambda kernel: F.conv(x, kernel, padding=0).sum(dtype=jnp.float32))(kernel)
    expected = np.asarray(x, np.float64).sum()
    np.testing.assert_allclose(np.asarray(dkernel, np.float64).sum(), expected, rtol=float(jnp.finfo(dtype).eps))


def test_float64_keeps_its_digits(rng):
    shape, settings = CASES["same, strided"]
    with jax.enable_x64(True):
        x, kernel = draw(rng, shape, np.float64)
        expected = oracles.conv(x, kernel, **explicit(settings, x.shape[1:-1], kernel.shape[:-2]))
        actual = F.conv(x, kernel, **settings)
        assert actual.dtype == jnp.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_int_strides_stand_for_every_dimension(rng):
    x, kernel = draw(rng, (1, (7, 7), 2, 2, (3, 3)))
    assert F.conv(x, kernel, padding=1, strides=2).shape == (1, 4, 4, 2)
    np.testing.assert_array_equal(
        F.conv(x, kernel, padding=1, strides=2), F.conv(x, kernel, padding=((1, 1), (1, 1)), strides=(2, 2))
    )


def test_same_at_stride_two_is_not_padding_one():
    # The 6x6 row of ones-kernels by which users discover that SAME pads (0, 1) and torch's padding=1 pads (1, 1).
    x = jnp.arange(36.0).reshape(1, 6, 6, 1)
    kernel = jnp.ones((3, 3, 1, 1))
    np.testing.assert_array_equal(F.conv(x, kernel, padding="SAME", strides=2)[0, 0, :, 0], [63, 81, 63])
    np.testing.assert_array_equal(F.conv(x, kernel, padding=1, strides=2)[0, 0, :, 0], [14, 30, 42])


def test_settings_may_be_arrays_that_hold_an_int(rng):
    x, kernel = jnp.ones((1, 5, 5, 4)), jnp.asarray(rng.standard_normal((3, 3, 2, 4)), jnp.float32)
    one, two = jnp.array(1), jnp.array(2)
    for function in (F.conv, F.conv_transpose):
        actual = inspect.unwrap(function)(x, kernel, padding=1, strides=two, dilation=one, groups=two)
        np.testing.assert_array_equal(actual, function(x, kernel, padding=1, strides=2, groups=2))


@pytest.mark.parametrize(
    "space, window, strides, padding",
    [
        ((4, 8), (3, 2), (1, 1), ((4, 0), (1, 3))),
        ((8, 9), (3, 2), (2, 1), ((3, 0), (1, 5))),
        ((2, 6), (1, 2), (1, 1), ((2, 5), (3, 0))),
        ((3, 4), (2, 2), (2, 2), ((7, 0), (0, 1))),
    ],
)
def test_gradients_of_padding_past_the_window_on_one_side(space, window, strides, padding, rng):
    """XLA for the CPU reads beside its arrays under jax 0.10 where a convolution is cut off in front, padded behind."""
    shapes = (2, *space, 4), (*window, 4, 5)
    x, kernel = (jnp.asarray(rng.standard_normal(shape, "f")) for shape in shapes)

    def loss(x, padding):
        return (F.conv(x, kernel, padding=padding, strides=strides) ** 2).sum()

    def padded(x):
        return loss(jnp.pad(x, ((0, 0), *padding, (0, 0))), "VALID")

    gradient = jax.jit(jax.grad(partial(loss, padding=padding)))
    np.testing.assert_allclose(gradient(x), jax.jit(jax.grad(padded))(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "function, kernels",
    [
        (F.conv, [(3, 3, 4, 6)]),
        (F.conv_transpose, [(3, 3, 4, 6)]),
        (F.depthwise_conv, [(3, 3, 4, 2)]),
        (F.separable_conv, [(3, 3, 4, 2), (1, 1, 8, 5)]),
    ],
)
def test_arrays_of_numpy_become_float32_quietly(function, kernels, rng, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it
    arrays = [rng.standard_normal(shape) for shape in ((2, 5, 5, 4), *kernels)]
    actual = function(*arrays, padding=1)
    np.testing.assert_array_equal(actual, function(*(jnp.asarray(a, jnp.float32) for a in arrays), padding=1))
    assert actual.dtype == jnp.float32
