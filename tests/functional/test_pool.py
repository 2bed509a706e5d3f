import inspect
import math
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from functional import oracles
from functional.compiled import compiled
from jax import lax
from jax.test_util import check_grads

import jaxconv.functional as F

# shape of x, then the settings with explicit pairs as the oracle takes them; odd sizes on purpose.
CASES = {
    "plain": ((2, 6, 8, 3), dict(window=(2, 2), strides=(2, 2), pairs=((0, 0), (0, 0)))),
    "overlapping": ((2, 7, 9, 2), dict(window=(3, 3), strides=(2, 1), pairs=((1, 1), (1, 1)))),
    "uneven": ((1, 8, 5, 3), dict(window=(3, 2), strides=(2, 3), pairs=((2, 1), (0, 1)))),
    "gaps": ((1, 9, 9, 1), dict(window=(2, 1), strides=(3, 4), pairs=((0, 0), (0, 0)))),
    "rounded up": ((2, 8, 7, 2), dict(window=(3, 3), strides=(2, 2), pairs=((0, 0), (0, 0)), ceil_mode=True)),
    "rounded up, padded": ((1, 6, 8, 2), dict(window=(3, 4), strides=(2, 3), pairs=((1, 1), (2, 1)), ceil_mode=True)),
    "a place that is dropped": (
        (1, 4, 4, 2),
        dict(window=(2, 2), strides=(3, 3), pairs=((1, 1), (1, 1)), ceil_mode=True),
    ),
    "smaller than the window": (
        (1, 2, 3, 2),
        dict(window=(3, 3), strides=(2, 2), pairs=((0, 0), (0, 0)), ceil_mode=True),
    ),
    "line": ((3, 11, 2), dict(window=(4,), strides=(3,), pairs=((2, 1),))),
    "volume": ((1, 5, 4, 6, 2), dict(window=(2, 3, 2), strides=(2, 1, 3), pairs=((1, 0), (1, 1), (0, 1)))),
}
NAMES = list(CASES)


def draw(rng, shape, dtype=np.float32):
    return jnp.asarray(rng.standard_normal(shape), dtype)


def given_as_padding(geometry):
    rest = {name: value for name, value in geometry.items() if name != "pairs"}
    return rest | dict(padding=geometry["pairs"])


@pytest.mark.parametrize("name", NAMES)
def test_max_pool_is_its_definition(name, rng):
    shape, geometry = CASES[name]
    x = draw(rng, shape)
    actual = F.max_pool(x, **given_as_padding(geometry))
    np.testing.assert_array_equal(actual, oracles.max_pool(x, **geometry))
    assert actual.dtype == x.dtype


@pytest.mark.parametrize("name", NAMES)
def test_avg_pool_is_its_definition(name, rng):
    shape, geometry = CASES[name]
    x = draw(rng, shape)
    for counted in (False, True):
        expected = oracles.avg_pool(x, count_include_pad=counted, **geometry)
        actual = compiled(F.avg_pool, x, count_include_pad=counted, **given_as_padding(geometry))
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name, p", [("overlapping", 2), ("uneven", 3), ("line", 1.5), ("line", 1), ("line", 0.5)])
def test_lp_pool_is_its_definition(name, p, rng):
    shape, geometry = CASES[name]
    x = draw(rng, shape)
    expected = oracles.lp_pool(x, p=p, **geometry)
    np.testing.assert_allclose(
        compiled(F.lp_pool, x, p=p, **given_as_padding(geometry)), expected, rtol=1e-5, atol=1e-6
    )


def test_lp_pool_tends_to_the_largest(rng):
    x = draw(rng, (1, 6, 6, 2))
    largest = F.lp_pool(x, 3, p=float("inf"), strides=1, padding=1)
    np.testing.assert_array_equal(largest, F.max_pool(jnp.abs(x), 3, strides=1, padding=1))
    np.testing.assert_allclose(largest, compiled(F.lp_pool, x, window=3, p=60, strides=1, padding=1), rtol=0.05)


@pytest.mark.parametrize("name", ["SAME", "SAME_LOWER", "VALID"])
def test_named_paddings_of_pools(name, rng):
    x = draw(rng, (1, 7, 8, 2))
    pairs = tuple(lax.padtype_to_pads((7, 8), (3, 2), (2, 3), name))
    expected = oracles.max_pool(x, window=(3, 2), strides=(2, 3), pairs=pairs)
    np.testing.assert_array_equal(F.max_pool(x, (3, 2), strides=(2, 3), padding=name), expected)


def test_max_pool_takes_whole_numbers(rng):
    x = rng.integers(-100, 100, (1, 5, 5, 2)).astype(np.int8)
    y = F.max_pool(jnp.asarray(x), 3, strides=2, padding=1)
    assert y.dtype == jnp.int8
    np.testing.assert_array_equal(y, oracles.max_pool(x, window=(3, 3), strides=(2, 2), pairs=((1, 1), (1, 1))))


def test_padding_never_wins_and_nan_is_seen():
    x = jnp.full((1, 3, 3, 1), -7.0).at[0, 0, 0, 0].set(jnp.nan)
    y = np.asarray(F.max_pool(x, 2, strides=1, padding=1))[0, :, :, 0]
    assert np.isnan(y[:2, :2]).all() and (y[2:] == -7).all() and (y[:, 2:] == -7).all()
    assert np.isnan(compiled(F.lp_pool, x, window=3, strides=1, padding=0)).all()


@pytest.mark.parametrize(
    "dtype, taps, strides, padding, ceil_mode",
    [
        (jnp.float32, 3, 2, "SAME", False),
        (jnp.bfloat16, 3, 1, 1, False),
        (jnp.float16, 2, 3, ((1, 0), (0, 1)), True),
        (jnp.float32, 3, 2, 1, True),
    ],
)
def test_the_average_of_a_constant_image_is_that_constant(dtype, taps, strides, padding, ceil_mode):
    x = jnp.full((1, 5, 6, 1), -0.3, dtype)
    y = compiled(F.avg_pool, x, window=taps, strides=strides, padding=padding, ceil_mode=ceil_mode)
    assert y.dtype == dtype
    ulp = float(jnp.finfo(jnp.float32).eps) if dtype == jnp.float32 else 0
    np.testing.assert_allclose(np.asarray(y, np.float64), np.float64(x[0, 0, 0, 0]), rtol=ulp)


def test_counted_padding_is_asked_for():
    ones = jnp.ones((1, 4, 4, 1))
    assert float(F.avg_pool(ones, 3, strides=1, padding=1, count_include_pad=True)[0, 0, 0, 0]) == pytest.approx(4 / 9)
    assert float(F.avg_pool(ones, 3, strides=1, padding=1)[0, 0, 0, 0]) == 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_types_are_summed_in_float32(dtype, rng):
    x = jnp.asarray(rng.uniform(0, 1, (1, 48, 48, 2)), dtype)
    wide = np.asarray(x, np.float64)
    rounding = float(jnp.finfo(dtype).eps) * 0.51
    for pooled, expected in [
        (compiled(F.avg_pool, x, window=48, strides=1, padding=0), wide.mean((1, 2))),
        (compiled(F.lp_pool, x, window=48, p=2, strides=1, padding=0), np.sqrt((wide**2).sum((1, 2)))),
        (compiled(F.global_avg_pool, x), wide.mean((1, 2))),
    ]:
        assert pooled.dtype == dtype
        np.testing.assert_allclose(np.asarray(pooled, np.float64).reshape(1, 2), expected, rtol=rounding)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2])
def test_lp_pool_has_a_finite_gradient_at_zero(p):
    x = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0, 0].set(3.0)

    def total(x):
        return F.lp_pool(x, 2, p=p, strides=2, padding=0).sum()

    gradient, curvature = jax.jit(lambda x: (jax.grad(total)(x), jax.hessian(total)(x)))(x)
    expected = np.zeros((4, 4))
    expected[0, 0] = 1
    np.testing.assert_allclose(gradient[0, :, :, 0], expected, atol=1e-6)
    assert bool(jnp.isfinite(curvature).all())


def test_ties_give_the_gradient_to_the_first_maximum():
    gradient = jax.grad(lambda x: F.max_pool(x, 2, strides=2, padding=0).sum())(jnp.ones((1, 4, 4, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], np.tile([[1, 0], [0, 0]], (2, 2)))


@pytest.mark.parametrize("name", ["overlapping", "uneven"])
@pytest.mark.parametrize("function, oracle", [(F.max_pool, oracles.max_pool), (F.avg_pool, oracles.avg_pool)])
def test_gradients_are_those_of_the_definition(name, function, oracle, rng):
    shape, geometry = CASES[name]
    x = jnp.asarray(rng.permutation(np.prod(shape)).reshape(shape), jnp.float32)  # no ties
    dy, t = draw(rng, oracle(x, **geometry).shape), draw(rng, shape)
    gradient = compiled(jax.grad(lambda x: jnp.vdot(function(x, **given_as_padding(geometry)), dy)), x)
    # A pool is piecewise linear: along t its derivative is the difference over a step that changes no maximum.
    step, wide = 1e-4, np.asarray(x, np.float64)
    difference = oracle(wide + step * np.asarray(t), **geometry) - oracle(wide, **geometry)
    slope = (difference / step * np.asarray(dy)).sum()
    np.testing.assert_allclose(np.vdot(gradient, t), slope, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_derivatives_of_second_order_in_both_modes(rng):
    x = jnp.asarray(rng.permutation(9).reshape(1, 3, 3, 1) / 4, jnp.float32)

    @jax.jit
    def pooled(x):
        return F.max_pool(x, 2, strides=1, padding=0) ** 2 * F.lp_pool(x, 2, p=3, strides=1, padding=0)

    check_grads(pooled, (x,), order=2, modes=("fwd", "rev"), rtol=3e-2, atol=3e-2, eps=1e-3)


def test_grad_under_jit_and_a_jnp_scalar_nearby():
    # reduce_window with a jnp initial value made inside jit has no derivative; pools must.
    gradient = jax.jit(
        jax.grad(lambda x: F.max_pool(jnp.maximum(x, jnp.asarray(-jnp.inf)), 2, strides=2, padding=0).sum())
    )
    np.testing.assert_array_equal(gradient(jnp.arange(4.0).reshape(1, 2, 2, 1))[0, :, :, 0], [[0, 0], [0, 1]])


@pytest.mark.parametrize(
    "window, strides, size", [(3, 2, 7), (3, 1, 6), (4, 2, 8), (5, (2, 1), 9), ((1, 3), (1, 2), 5)]
)
def test_blur_pool_is_a_binomial_filter_over_a_reflected_border(window, strides, size, rng):
    x = draw(rng, (2, size, size + 1, 3))
    taps = (window, window) if isinstance(window, int) else window
    steps = (strides, strides) if isinstance(strides, int) else strides
    rows = [np.poly1d((0.5, 0.5)) ** (t - 1) for t in taps]
    weights = np.outer(*(np.atleast_1d(row.coeffs) if t > 1 else [1.0] for row, t in zip(rows, taps)))
    border = [(s - 1 + t - 1) // 2 for t, s in zip(taps, steps)]
    wide = np.pad(np.asarray(x, np.float64), ((0, 0), *((b, b) for b in border), (0, 0)), mode="reflect")
    kernel = np.repeat(weights[:, :, None, None], 3, 3)
    expected = oracles.conv(wide, kernel, strides=steps, pairs=((0, 0),) * 2, dilation=(1, 1), groups=3)
    np.testing.assert_allclose(compiled(F.blur_pool, x, window=window, strides=strides), expected, rtol=1e-5, atol=1e-6)


def test_blur_pool_keeps_a_constant_and_its_dtype():
    y = F.blur_pool(jnp.full((1, 7, 7, 2), 0.3, jnp.bfloat16), 3, strides=2)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, jnp.full((1, 4, 4, 2), 0.3, jnp.bfloat16))


MISTAKES = [
    (
        (1, 8, 8, 3),
        dict(window=(2,), strides=2, padding=0),
        "window must be one int or one for each spatial dimension, of which there are 2; got (2,).",
    ),
    ((8, 3), dict(window=2, strides=2, padding=0), "x must be (n, *space, c) with at least one spatial dimension"),
    (
        (1, 2, 8, 3),
        dict(window=3, strides=1, padding="VALID"),
        "window=3 with dilation=1 takes 3, padding='VALID' makes 0 + 2 + 0.",
    ),
    (
        (1, 8, 8, 3),
        dict(window=2, strides=2, padding=2),
        "padding must be smaller than the window, or a place sees padding only; got padding=2 with window=(2, 2).",
    ),
    ((1, 8, 8, 3), dict(window=2, strides=0, padding=0), "strides must be at least 1; got 0."),
    ((1, 8, 8, 3), dict(window=2, strides=(2, 2, 2), padding=0), "strides must be one int or one for each"),
    ((1, 8, 8, 3), dict(window=0, strides=1, padding=0), "window must be at least 1; got 0."),
    ((1, 8, 8, 3), dict(window=2, strides=1, padding="same"), "got 'same'."),
]


@pytest.mark.parametrize("function", [F.max_pool, F.avg_pool, F.lp_pool])
@pytest.mark.parametrize("shape, keywords, message", MISTAKES)
def test_mistakes_raise_when_traced(function, shape, keywords, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        # Unwrapped as users have it: the tests' shape checker would object to a missing dimension first.
        jax.eval_shape(lambda x: inspect.unwrap(function)(x, **keywords), jax.ShapeDtypeStruct(shape, jnp.float32))


def test_strides_and_padding_have_no_default():
    with pytest.raises(TypeError, match="strides"):
        inspect.unwrap(F.max_pool)(jnp.ones((1, 4, 4, 1)), 2, padding=0)
    with pytest.raises(TypeError, match="padding"):
        inspect.unwrap(F.avg_pool)(jnp.ones((1, 4, 4, 1)), 2, strides=2)


def test_int_strides_stand_for_every_dimension(rng):
    x = draw(rng, (1, 6, 6, 2))
    np.testing.assert_array_equal(
        F.max_pool(x, 2, strides=2, padding=0), F.max_pool(x, (2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
    )


@pytest.mark.parametrize("function", [F.avg_pool, F.lp_pool, F.blur_pool])
def test_averages_of_whole_numbers_are_refused(function):
    keywords = {} if function is F.blur_pool else dict(padding=0)
    with pytest.raises(TypeError, match=r"takes floating numbers and keeps their dtype; x is uint8\."):
        inspect.unwrap(function)(jnp.ones((1, 4, 4, 1), jnp.uint8), 2, strides=2, **keywords)


@pytest.mark.parametrize(
    "function, name", [(F.max_pool, "ceil_mode"), (F.avg_pool, "ceil_mode"), (F.avg_pool, "count_include_pad")]
)
def test_flags_are_bools(function, name, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it
    for value in ("x", None):
        with pytest.raises(TypeError, match=re.escape(f"{name} must be True or False; got {value!r}.")):
            function(jnp.ones((1, 4, 4, 1)), 2, strides=2, padding=0, **{name: value})


def test_other_mistakes():
    x = jnp.ones((1, 4, 4, 1))
    with pytest.raises(TypeError, match=r"max_pool takes real numbers; x is bool\."):
        inspect.unwrap(F.max_pool)(x > 0, 2, strides=2, padding=0)
    for p in (0, -2.0, float("nan")):
        with pytest.raises(ValueError, match=f"p must be above 0; got {p}"):
            F.lp_pool(x, 2, p=p, strides=2, padding=0)
    message = "it is (4, 4) for x of shape (1, 4, 4, 1), window=(9, 9), strides=(1, 1)."
    with pytest.raises(ValueError, match=re.escape(message)):
        F.blur_pool(x, 9, strides=1)


@pytest.mark.parametrize("p", ["2", None, True])
def test_p_is_a_number(p):
    with pytest.raises(TypeError, match=re.escape(f"p must be a number, known when traced; got {p!r}.")):
        inspect.unwrap(F.lp_pool)(jnp.ones((1, 4, 4, 1)), 2, p=p, strides=2, padding=0)


@pytest.mark.parametrize("function", [F.max_pool, F.avg_pool, F.lp_pool])
def test_arrays_of_numpy_become_float32_quietly(function, rng):
    x = rng.standard_normal((1, 4, 4, 2))
    y = inspect.unwrap(function)(x, 2, strides=2, padding=0)
    assert isinstance(y, jax.Array) and y.dtype == jnp.float32
    np.testing.assert_allclose(y, function(jnp.asarray(x), 2, strides=2, padding=0), rtol=1e-6)


@pytest.mark.parametrize("window, strides", [(64, 64), (3, 2)])
@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (2, 64, 64, 0)])
def test_derivatives_of_empty_arrays(shape, window, strides):
    x = jnp.zeros(shape)

    def pooled(x):
        return F.max_pool(x, window, strides=strides, padding=0)

    assert jax.grad(lambda x: pooled(x).sum())(x).shape == shape
    assert jax.jvp(pooled, (x,), (x,))[1].shape == pooled(x).shape


def test_the_largest_of_zeros_has_no_gradient():
    """As a norm of every other order."""
    for p in (2, math.inf):
        grad = jax.grad(lambda x, p=p: F.lp_pool(x, 2, p=p, strides=2, padding=0).sum())
        np.testing.assert_array_equal(grad(jnp.zeros((1, 2, 2, 1))), np.zeros((1, 2, 2, 1)))
        np.testing.assert_array_equal(grad(jnp.asarray([[[[0.0], [0.0]], [[0.0], [-3.0]]]])).ravel(), [0, 0, 0, -1])


@pytest.mark.parametrize("function", [F.max_pool, F.avg_pool])
def test_no_positions(function):
    with pytest.raises(ValueError, match=r"a position in every spatial dimension; its shape is \(1, 0, 4, 4\)\."):
        inspect.unwrap(function)(jnp.ones((1, 0, 4, 4)), 2, strides=2, padding=0)


def test_a_blur_of_more_dimensions_than_convolutions_have():
    with pytest.raises(ValueError, match="blur_pool takes 1 to 3 spatial dimensions"):
        inspect.unwrap(F.blur_pool)(jnp.ones((1, 4, 4, 4, 4, 1)), 3, strides=1)
