import inspect
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from functional.compiled import compiled
from jax.flatten_util import ravel_pytree
from jax.test_util import check_grads

import jaxconv.functional as F


def draw(rng, *shape, dtype=np.float32):
    return jnp.asarray(rng.standard_normal(shape), dtype)


def affine(rng, channels):
    return draw(rng, channels), draw(rng, channels)


def wide(x):
    return np.asarray(x, np.float64)


def standardized(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("shape", [(4, 3), (3, 5, 2), (2, 3, 4, 5), (2, 2, 3, 2, 3)])
def test_batch_norm_is_its_definition(shape, rng):
    x = 3 + 2 * draw(rng, *shape)
    scale, bias = affine(rng, shape[-1])
    axes = tuple(range(len(shape) - 1))
    mean, variance = compiled(F.batch_moments, x)
    np.testing.assert_allclose(mean, wide(x).mean(axes), rtol=1e-5)
    np.testing.assert_allclose(variance, wide(x).var(axes), rtol=1e-5)
    expected = standardized(wide(x), axes, 1e-3) * wide(scale) + wide(bias)
    actual = compiled(F.batch_norm, x, mean, variance, scale, bias, epsilon=1e-3)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_masked_moments_see_only_what_counts(rng):
    x = draw(rng, 5, 3, 2, 4)
    where = jnp.asarray([True, False, True, True, False])
    spoiled = x.at[1].set(jnp.nan).at[4].set(jnp.inf)
    for actual, expected in zip(F.batch_moments(spoiled, where=where), compiled(F.batch_moments, x[where])):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)

    def loss(x):
        mean, variance = F.batch_moments(x, where=where)
        return (mean**2 + variance**2).sum()

    gradient = np.asarray(compiled(jax.grad(loss), spoiled))
    assert np.isfinite(gradient).all() and not gradient[~where].any()


def test_moments_of_nothing_are_zero():
    mean, variance = F.batch_moments(jnp.full((2, 3, 3, 1), jnp.nan), where=jnp.zeros(2, bool))
    assert float(mean[0]) == 0 == float(variance[0])


def test_moments_keep_their_digits_beside_a_large_mean(rng):
    x = jnp.asarray(10_000 + rng.standard_normal((16, 8, 8, 2)), jnp.float32)
    np.testing.assert_allclose(compiled(F.batch_moments, x)[1], wide(x).var((0, 1, 2)), rtol=1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_statistics_of_half_types_are_float32(dtype, rng):
    x = jnp.asarray(5 + rng.standard_normal((32, 16, 16, 2)), dtype)
    mean, variance = compiled(F.batch_moments, x)
    assert (mean.dtype, variance.dtype) == (jnp.float32, jnp.float32)
    np.testing.assert_allclose(mean, wide(x).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, wide(x).var((0, 1, 2)), rtol=1e-4)
    scale, bias = jnp.ones(2), jnp.zeros(2)
    y = compiled(F.batch_norm, x, mean, variance, scale, bias, epsilon=0)
    assert y.dtype == dtype
    np.testing.assert_allclose(
        wide(y), standardized(wide(x), (0, 1, 2), 0), rtol=float(jnp.finfo(dtype).eps), atol=1e-5
    )
    assert compiled(F.layer_norm, x, scale, bias, epsilon=1e-6).dtype == dtype
    assert compiled(F.group_norm, x, scale, bias, groups=1, epsilon=1e-6).dtype == dtype
    assert compiled(F.local_response_norm, x, size=2, alpha=1, beta=0.5, k=1).dtype == dtype


def test_float64_is_not_narrowed(rng):
    with jax.enable_x64(True):
        x = draw(rng, 4, 3, 2, dtype=np.float64)
        mean, variance = compiled(F.batch_moments, x)
        np.testing.assert_allclose(mean, wide(x).mean((0, 1)), rtol=1e-14)
        np.testing.assert_allclose(variance, wide(x).var((0, 1)), rtol=1e-14)


def test_layer_norm_is_its_definition(rng):
    x = 1 + draw(rng, 2, 3, 4, 6)
    scale, bias = affine(rng, 6)
    expected = standardized(wide(x), -1, 1e-6) * wide(scale) + wide(bias)
    np.testing.assert_allclose(compiled(F.layer_norm, x, scale, bias, epsilon=1e-6), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_its_definition(groups, rng):
    x = 1 + draw(rng, 2, 3, 4, 6)
    scale, bias = affine(rng, 6)
    expected = np.zeros(x.shape)
    for n in range(2):
        for g in range(groups):
            block = slice(g * 6 // groups, (g + 1) * 6 // groups)
            expected[n, ..., block] = standardized(wide(x)[n, ..., block], None, 1e-5)
    expected = expected * wide(scale) + wide(bias)
    actual = compiled(F.group_norm, x, scale, bias, groups=groups, epsilon=1e-5)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_local_response_norm_is_its_definition(size, rng):
    x = draw(rng, 2, 3, 2, 7)
    expected = np.zeros(x.shape)
    for channel in range(7):
        near = [j for j in range(channel - size // 2, channel + (size - 1) // 2 + 1) if 0 <= j < 7]
        total = (wide(x)[..., near] ** 2).sum(-1)
        expected[..., channel] = wide(x)[..., channel] / (2 + 0.5 / size * total) ** 0.75
    actual = compiled(F.local_response_norm, x, size=size, alpha=0.5, beta=0.75, k=2)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_standardize_kernel_is_its_definition(rng):
    kernel, gain = 2 + draw(rng, 3, 3, 4, 5), draw(rng, 5)
    expected = standardized(wide(kernel), (0, 1, 2), 1e-6)
    np.testing.assert_allclose(compiled(F.standardize_kernel, kernel, epsilon=1e-6), expected, rtol=1e-4, atol=1e-5)
    actual = compiled(F.standardize_kernel, kernel, gain, epsilon=1e-6)
    np.testing.assert_allclose(actual, expected * wide(gain), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_derivatives_of_second_order_in_both_modes(rng):
    scale, bias = affine(rng, 2)

    @jax.jit
    def normalized(x):
        mean, variance = F.batch_moments(x)
        y = F.batch_norm(x, mean, variance, scale, bias, epsilon=0.1)
        return F.local_response_norm(y, size=2, alpha=1, beta=0.75, k=1) ** 2

    check_grads(normalized, (draw(rng, 3, 2, 2),), order=2, modes=("fwd", "rev"), rtol=3e-2, atol=3e-2)


def defined_batch_norm(x, scale, bias):
    """What `normalized_batch` computes, by operations whose derivatives are not written out."""
    mean = x.mean((0, 1, 2), keepdims=True)
    variance = ((x - mean) ** 2).mean((0, 1, 2), keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 0.1) * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)


def normalized_batch(x, scale, bias):
    mean, variance = F.batch_moments(x)
    return F.batch_norm(x, mean, variance, scale, bias, epsilon=0.1)


@pytest.mark.parametrize("derivative", [jax.grad, jax.hessian, lambda f: jax.jacfwd(jax.hessian(f))])
def test_derivatives_of_batch_norm_are_those_of_its_definition(derivative, rng):
    # A power, so that no derivative of the sum vanishes; parameters and the input are differentiated together.
    x, (scale, bias) = draw(rng, 2, 2, 1, 2), affine(rng, 2)
    with jax.enable_x64(True):
        arguments = [jnp.asarray(wide(a)) for a in (3 + x, scale, bias)]

        def at(function):
            return jax.jit(derivative(lambda z: (function(*unravel(z)) ** 5).sum()))(flat)

        flat, unravel = ravel_pytree(arguments)
        np.testing.assert_allclose(at(normalized_batch), at(defined_batch_norm), rtol=1e-8, atol=1e-8)


def test_gradients_of_batch_norm_keep_their_digits_beside_a_large_mean(rng):
    x, (scale, bias), weights = draw(rng, 16, 8, 8, 2), affine(rng, 2), draw(rng, 16, 8, 8, 2)

    def grads(function, *arguments):
        return jax.jit(jax.grad(lambda *a: (function(*a) * weights).sum(), (0, 1)))(*arguments)

    actual = grads(normalized_batch, 1000 + x, scale, bias)
    with jax.enable_x64(True):
        wider = [jnp.asarray(wide(a)) for a in (1000 + x, scale, bias)]
        expected = grads(defined_batch_norm, *wider)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=5e-3 * np.abs(b).max())


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other compilers share buffers otherwise")
def test_training_keeps_no_copy_of_the_deviations(rng):
    x, kernel, (scale, bias) = draw(rng, 8, 32, 32, 64), draw(rng, 64, 64), affine(rng, 64)

    def loss(kernel, scale, bias, layers=8):
        y = x
        for _ in range(layers):
            y = jax.nn.relu(normalized_batch(y @ kernel, scale, bias))
        return (y**2).sum()

    compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(kernel, scale, bias).compile()
    # The products and activations of 8 layers, and what is at work. Autodiff of the definition: 34.
    assert compiled.memory_analysis().temp_size_in_bytes < 22 * x.nbytes


def test_mistakes():
    x, c, d = jnp.ones((2, 4, 4, 6)), jnp.ones(6), jnp.ones(4)
    batch_norm, layer_norm, group_norm, standardize_kernel = map(
        inspect.unwrap, (F.batch_norm, F.layer_norm, F.group_norm, F.standardize_kernel)
    )
    message = "must hold one number for each of the 6 channels of x; its shape is (4,), that of x is (2, 4, 4, 6)."
    for name, call in {
        "variance": lambda: batch_norm(x, c, d, c, c, epsilon=0),
        "bias": lambda: layer_norm(x, c, d, epsilon=0),
        "scale": lambda: group_norm(x, d, c, groups=2, epsilon=0),
        "gain": lambda: standardize_kernel(x, d, epsilon=0),
    }.items():
        with pytest.raises(ValueError, match=re.escape(f"{name} {message}")):
            call()
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match=re.escape(f"kernel must be (*window, i, k); its shape is {shape}.")):
            standardize_kernel(jnp.ones(shape), epsilon=0)
    with pytest.raises(ValueError, match="groups must divide the channels; x has 6, groups=4"):
        compiled(F.group_norm, x, c, c, groups=4, epsilon=0)
    for groups in (0, -1):
        with pytest.raises(ValueError, match=f"groups must be at least 1; got {groups}"):
            compiled(F.group_norm, x, c, c, groups=groups, epsilon=0)
    with pytest.raises(ValueError, match="size must be at least 1; got 0"):
        compiled(F.local_response_norm, x, size=0, alpha=1, beta=1, k=1)


def test_norms_refuse_whole_numbers():
    x, one = jnp.arange(24).reshape(1, 2, 3, 4), jnp.ones(4)
    for function, arrays, settings in (
        (F.batch_moments, (), {}),
        (F.batch_norm, (one, one, one, one), {"epsilon": 1e-3}),
        (F.layer_norm, (one, one), {"epsilon": 1e-3}),
        (F.group_norm, (one, one), {"groups": 2, "epsilon": 1e-3}),
        (F.local_response_norm, (), {"size": 2, "alpha": 1.0, "beta": 1.0, "k": 1.0}),
        (F.standardize_kernel, (), {"epsilon": 1e-3}),
    ):
        with pytest.raises(TypeError, match="takes floating numbers and keeps their dtype; x is int32"):
            inspect.unwrap(function)(x, *arrays, **settings)


@pytest.mark.parametrize("value", ["1", None])
def test_settings_are_numbers(value, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it
    x, one, scale = jnp.ones((1, 2, 3, 4)), jnp.ones(4), {"alpha": 1, "beta": 1, "k": 1}
    for function, arrays, settings, name in (
        (F.batch_norm, (one, one, one, one), {}, "epsilon"),
        (F.layer_norm, (one, one), {}, "epsilon"),
        (F.group_norm, (one, one), {"groups": 2}, "epsilon"),
        (F.standardize_kernel, (), {}, "epsilon"),
        *((F.local_response_norm, (), {"size": 2, **scale}, name) for name in scale),
    ):
        with pytest.raises(TypeError, match=f"{name} must be a number, known when traced; got {value!r}"):
            function(x, *arrays, **(settings | {name: value}))


def test_no_images():
    x, one = jnp.zeros((0, 2, 2, 4)), jnp.ones(4)
    assert F.group_norm(x, one, one, groups=2, epsilon=1e-3).shape == x.shape
    assert F.space_to_depth(x, 2).shape == (0, 1, 1, 16) and F.depth_to_space(x, 2).shape == (0, 4, 4, 1)


@pytest.mark.parametrize(
    "function, parameters, settings",
    [
        (F.batch_moments, 0, {}),
        (F.batch_norm, 4, {"epsilon": 1e-3}),
        (F.layer_norm, 2, {"epsilon": 1e-3}),
        (F.group_norm, 2, {"groups": 2, "epsilon": 1e-3}),
        (F.local_response_norm, 0, {"size": 2, "alpha": 1.0, "beta": 1.0, "k": 1.0}),
    ],
)
def test_norms_of_other_arrays(function, parameters, settings, rng):
    c = (np.abs(rng.standard_normal(4)),) * parameters
    for shape in [()] if function is F.layer_norm else [(), (4,)]:
        layout = "(*batch, c)" if function is F.layer_norm else "(n, *space, c)"
        with pytest.raises(ValueError, match=re.escape(f"x must be {layout}; its shape is {shape}.")):
            inspect.unwrap(function)(jnp.ones(shape), *c, **settings)
    x = rng.standard_normal((2, 3, 3, 4))
    narrow = [jnp.asarray(a) for a in (x, *c)]
    for actual, expected in zip(
        jax.tree.leaves(inspect.unwrap(function)(x, *c, **settings)), jax.tree.leaves(function(*narrow, **settings))
    ):
        assert isinstance(actual, jax.Array) and actual.dtype == jnp.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("epsilon", [-1e-5, float("nan")])
def test_epsilon_is_not_below_zero(epsilon):
    x, ones = jnp.ones((1, 2, 2, 4)), jnp.ones(4)
    for call in (
        lambda: F.batch_norm(x, ones, ones, ones, ones, epsilon=epsilon),
        lambda: F.layer_norm(x, ones, ones, epsilon=epsilon),
        lambda: F.group_norm(x, ones, ones, groups=2, epsilon=epsilon),
        lambda: F.standardize_kernel(x, epsilon=epsilon),
    ):
        with pytest.raises(ValueError, match=f"epsilon must be .*; got {epsilon}"):
            call()


def test_constants_of_local_response_norm_are_not_below_zero():
    settings = dict(size=3, alpha=1.0, beta=0.75, k=1.0)
    for name in ("alpha", "k"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0; got -1.0"):
            F.local_response_norm(jnp.ones((1, 2, 2, 4)), **(settings | {name: -1.0}))


@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.complex64])
def test_parameters_are_real(dtype):
    x, ones = jnp.ones((1, 2, 2, 4)), jnp.ones(4)
    with pytest.raises(TypeError, match=f"scale must hold real numbers; its dtype is {jnp.dtype(dtype)}"):
        inspect.unwrap(F.layer_norm)(x, ones.astype(dtype), ones, epsilon=1e-5)
