import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functional import oracles
from functional.compiled import compiled

import jaxconv.functional as F

CASES = [
    ((2, 7, 9, 3), (3, 4)),
    ((1, 8, 6, 2), (4, 3)),  # even parts
    ((1, 5, 3, 2), (7, 3)),  # more parts than positions
    ((2, 10, 2), (4,)),
    ((1, 4, 5, 3, 2), (2, 3, 2)),
]


@pytest.mark.parametrize("shape, size", CASES)
def test_adaptive_pools_are_their_definition(shape, size, rng):
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    expected = oracles.adaptive_pool(x, size, lambda part: part.mean(0))
    np.testing.assert_allclose(compiled(F.adaptive_avg_pool, x, size=size), expected, rtol=1e-5, atol=1e-6)
    expected = oracles.adaptive_pool(x, size, lambda part: part.max(0))
    np.testing.assert_array_equal(compiled(F.adaptive_max_pool, x, size=size), expected)


@pytest.mark.parametrize("shape, size", [CASES[0], CASES[2]])
@pytest.mark.parametrize("function, reduce", [(F.adaptive_avg_pool, np.mean), (F.adaptive_max_pool, np.max)])
def test_gradients_reach_what_the_windows_hold(shape, size, function, reduce, rng):
    x = jnp.asarray(rng.permutation(np.prod(shape)).reshape(shape), jnp.float32)
    t = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    step, wide = 1e-4, np.asarray(x, np.float64)
    moved = oracles.adaptive_pool(wide + step * np.asarray(t), size, lambda part: reduce(part, 0))
    slope = (moved - oracles.adaptive_pool(wide, size, lambda part: reduce(part, 0))).sum() / step
    gradient = compiled(jax.grad(lambda x: function(x, size).sum()), x)
    np.testing.assert_allclose(np.vdot(gradient, t), slope, rtol=1e-3)


def test_the_gradient_of_a_tie_is_whole():
    gradient = compiled(jax.grad(lambda x: F.adaptive_max_pool(x, 2).sum()), jnp.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_global_pools(rng):
    x = jnp.asarray(rng.standard_normal((3, 4, 5, 2)), jnp.float32)
    np.testing.assert_allclose(F.global_avg_pool(x), np.asarray(x, np.float64).mean((1, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(F.global_max_pool(x), np.asarray(x).max((1, 2)))
    line = jax.ShapeDtypeStruct((3, 4, 2), jnp.bfloat16)
    for function in (F.global_avg_pool, F.global_max_pool):
        assert jax.eval_shape(function, line) == jax.ShapeDtypeStruct((3, 2), jnp.bfloat16)


@pytest.mark.parametrize("function", [F.adaptive_avg_pool, F.adaptive_max_pool])
def test_mistakes_with_adaptive_pools(function):
    x = jnp.ones((1, 4, 4, 1))
    with pytest.raises(ValueError, match=re.escape("size must be one int or one for each spatial dimension")):
        function(x, (2, 2, 2))
    with pytest.raises(ValueError, match=r"size must be at least 1; got 0\."):
        function(x, 0)
    with pytest.raises(ValueError, match=re.escape("its shape is (4, 1).")):
        inspect.unwrap(function)(x[0, 0], 2)
    with pytest.raises(ValueError, match=re.escape("nothing to pool in no positions; x has shape (1, 0, 4, 1).")):
        function(x[:, :0], 2)


@pytest.mark.parametrize("size", [2, 3])
def test_averages_of_whole_numbers_are_refused(size):
    x = jnp.ones((1, 4, 4, 1), jnp.int32)
    with pytest.raises(TypeError, match=r"takes floating numbers and keeps their dtype; x is int32\."):
        inspect.unwrap(F.adaptive_avg_pool)(x, size)
    with pytest.raises(TypeError, match=r"takes floating numbers and keeps their dtype; x is int32\."):
        inspect.unwrap(F.global_avg_pool)(x)


def test_what_a_part_does_not_hold_does_not_reach_it():
    x = jnp.asarray([1.0, 2.0, 3.0, 4.0, jnp.inf]).reshape(1, 5, 1)
    np.testing.assert_array_equal(F.adaptive_avg_pool(x, 2)[0, :, 0], [2.0, jnp.inf])


@pytest.mark.parametrize("dtype", [bool, complex])
def test_maxima_are_of_real_numbers(dtype):
    x = jnp.ones((1, 4, 4, 1), dtype)
    with pytest.raises(TypeError, match=rf"global_max_pool takes real numbers; x is {x.dtype}\."):
        inspect.unwrap(F.global_max_pool)(x)
    with pytest.raises(TypeError, match=rf"adaptive_max_pool takes real numbers; x is {x.dtype}\."):
        inspect.unwrap(F.adaptive_max_pool)(x, 3)


def test_there_is_no_mean_of_nothing():
    message = "There is no mean of no positions; x has shape (1, 0, 4, 1)."
    with pytest.raises(ValueError, match=re.escape(message)):
        F.global_avg_pool(jnp.ones((1, 0, 4, 1)))
    assert F.global_avg_pool(jnp.ones((0, 2, 3, 4))).shape == (0, 4)


def test_there_is_no_maximum_of_nothing():
    message = "There is no maximum of no positions; x has shape (2, 0, 3, 4)."
    with pytest.raises(ValueError, match=re.escape(message)):
        F.global_max_pool(jnp.ones((2, 0, 3, 4)))
    assert F.global_max_pool(jnp.ones((0, 2, 3, 4))).shape == (0, 4)


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("space", [(3, 3), (7, 2)])
def test_compiled_gradients_reach_the_maxima(space, level, rng):
    """What is normalised before the pool is worked out twice, in fusions that round differently."""
    shapes = (2, *space, 64), (1, 1, 64, 512), (512,), (512,), (2, 512)
    x, kernel, scale, bias, weights = (jnp.asarray(rng.standard_normal(shape, "f")) for shape in shapes)

    def loss(kernel):
        y = F.conv(x, kernel, padding=0)
        y = F.batch_norm(y, *F.batch_moments(y), scale, bias, epsilon=1e-5)
        return (F.global_max_pool(y) * weights).sum()

    compiled = jax.jit(jax.grad(loss)).lower(kernel).compile({"xla_backend_optimization_level": level})
    expected = np.asarray(jax.grad(loss)(kernel))
    np.testing.assert_allclose(compiled(kernel), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("function", [F.global_avg_pool, F.global_max_pool])
def test_arrays_of_numpy_become_jaxs(function, rng):
    y = inspect.unwrap(function)(rng.standard_normal((2, 3, 3, 4)))
    assert isinstance(y, jax.Array) and y.dtype == jnp.float32


def test_gradients_of_overlapping_maxima_are_summed_in_float32():
    """In bfloat16 the sum of many ones ends at 256."""
    grad = jax.grad(lambda x: F.adaptive_max_pool(x, 1001).astype(jnp.float32).sum())
    np.testing.assert_allclose(
        grad(jnp.asarray([[[1.0], [2.0]]], jnp.bfloat16)).astype("f").ravel(), [500, 501], atol=2
    )
    assert F.adaptive_max_pool(jnp.ones((1, 5, 5, 1), jnp.bfloat16), 2).dtype == jnp.bfloat16
