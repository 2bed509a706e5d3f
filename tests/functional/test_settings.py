import re
import types

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

import jaxconv.functional as F
from jaxconv.functional.arrays import accumulator, check_arrays
from jaxconv.functional.settings import (
    flag,
    named_padding,
    number,
    padding_per_dimension,
    per_dimension,
    spatial_sizes,
    whole,
)


def test_one_int_stands_for_every_dimension():
    assert per_dimension("strides", 2, 3) == (2, 2, 2)
    assert per_dimension("strides", [1, np.int64(3)], 2) == (1, 3)
    assert padding_per_dimension(1, 2) == ((1, 1), (1, 1))
    assert padding_per_dimension([(0, 1), [2, 3]], 2) == ((0, 1), (2, 3))
    assert padding_per_dimension("SAME_LOWER", 2) == ("SAME_LOWER", "SAME_LOWER")


@pytest.mark.parametrize("value", [1.0, "2", None, True, np.ones(2)])
def test_settings_are_whole_numbers(value):
    with pytest.raises(TypeError, match="strides must be a whole number"):
        whole("strides", value, 1)


@pytest.mark.parametrize("padding", [((1, 1), (1, 2, 3)), ((1, 1),), (1, 1), ("SAME", "SAME"), ()])
def test_pairs_are_one_a_dimension(padding):
    rule = 'padding must be "SAME", "SAME_LOWER", "VALID", an int or one (low, high) pair a dimension; '
    with pytest.raises(ValueError, match=re.escape(f"{rule}there are 2 spatial dimensions, padding is {padding!r}.")):
        padding_per_dimension(padding, 2)


def test_padding_widths_are_whole_and_not_negative():
    with pytest.raises(TypeError, match=r"padding must be a whole number, known when traced; got 0\.5\."):
        padding_per_dimension(0.5, 2)
    with pytest.raises(ValueError, match=r"padding must be at least 0; got -2\."):
        padding_per_dimension(((0, 0), (0, -2)), 2)


@pytest.mark.parametrize("name", ["same", "CIRCULAR", ""])
def test_paddings_have_three_names(name):
    with pytest.raises(ValueError, match=re.escape(f"got {name!r}.")):
        named_padding(name)


def test_numbers_are_pythons():
    for value in (2, 0.5, np.float64(0.1), np.float32(0.5), np.int64(3), jnp.asarray(0.5)):
        assert type(number("rate", value)) in (int, float) and number("rate", value) == value


@pytest.mark.parametrize(
    "value", [None, "2", True, np.True_, (1.0,), np.ones(2), np.array(True), jnp.asarray(True), np.complex64(1 + 1j)]
)
def test_what_is_no_number(value):
    message = f"rate must be a number, known when traced; got {value!r}."
    with pytest.raises(TypeError, match=re.escape(message)):
        number("rate", value)
    with pytest.raises(TypeError, match="rate must be a number, known when traced; got JitTracer"):
        jax.jit(lambda rate: number("rate", rate))(0.5)


def test_numbers_beyond_those_of_arrays():
    assert type(number("epsilon", 2**70)) is float and number("epsilon", 2**70) == 2.0**70
    for value in (10**400, -(10**5000)):
        with pytest.raises(ValueError, match=r"p must be within the range of floating numbers\."):
            number("p", value)
    for value, rule in ((-1, "at least 0; got -1"), (float("nan"), "a number; got nan")):
        with pytest.raises(ValueError, match=f"epsilon must be {rule}"):
            number("epsilon", value, 0)


def test_flags_are_bools():
    assert flag("ceil_mode", True) is flag("ceil_mode", np.True_) is True
    for value in ("x", None, 1):
        with pytest.raises(TypeError, match=re.escape(f"ceil_mode must be True or False; got {value!r}.")):
            flag("ceil_mode", value)


X, KERNEL, LABELS = jnp.ones((2, 4, 4, 3)), jnp.ones((1, 1, 3, 3)), jnp.zeros(2, jnp.int32)
NO_ARRAYS = {
    "x": (
        lambda x: F.conv(x, KERNEL, padding=0),
        lambda x: F.max_pool(x, 2, strides=2, padding=0),
        lambda x: F.avg_pool(x, 2, strides=2, padding=0),
        lambda x: F.adaptive_avg_pool(x, 2),
        lambda x: F.adaptive_max_pool(x, 2),
        F.global_avg_pool,
        F.batch_moments,
        lambda x: F.channel_shuffle(x, 3),
        lambda x: F.space_to_depth(x, 2),
        lambda x: F.stochastic_depth(x, 0.5, jax.random.key(0)),
        lambda x: F.random_shift(jax.random.key(0), x, pixels=1),
    ),
    "kernel": (
        lambda kernel: F.conv_transpose(X, kernel, padding=0),
        lambda kernel: F.depthwise_conv(X, kernel, padding=0),
    ),
    "pointwise": (lambda pointwise: F.separable_conv(X, KERNEL, pointwise, padding=0),),
    "scale": (lambda scale: F.layer_norm(X, scale, jnp.ones(3), epsilon=1),),
    "expand_bias": (lambda b: F.squeeze_excite(X, KERNEL[0, 0], jnp.ones(3), KERNEL[0, 0], b),),
    "logits": (lambda logits: F.multiclass_hinge(logits, LABELS),),
    "labels": (
        lambda labels: F.cross_entropy(X[:, 0, 0], labels),
        lambda labels: F.binary_cross_entropy(X[:, 0, 0], labels),
    ),
    "where": (lambda where: F.cross_entropy(X[:, 0, 0], LABELS, where=where),),
}


@pytest.mark.parametrize("name, function", [(name, f) for name, functions in NO_ARRAYS.items() for f in functions])
def test_arrays_are_arrays(name, function, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(TypeError, match=re.escape(f"{name} must be an array of JAX or NumPy; got list.")):
        function([1.0])


@pytest.mark.parametrize(
    "array",
    [
        jax.ShapeDtypeStruct((2, 3), jnp.float32),
        np.ma.masked_array(np.ones(3)),
        types.SimpleNamespace(shape=(), dtype=1),
    ],
)
def test_what_only_looks_like_an_array(array):
    with pytest.raises(TypeError, match=f"x must be an array of JAX or NumPy; got {type(array).__name__}"):
        check_arrays(x=array)


@pytest.mark.parametrize("array", [jax.random.split(jax.random.key(0)), np.array(["a"]), np.array([None])])
def test_arrays_hold_numbers(array):
    with pytest.raises(TypeError, match=r"x must be an array of numbers; its dtype is "):
        check_arrays(x=array)


def test_parameters_of_flax_are_arrays(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    check_arrays(kernel=nnx.Param(jnp.ones(3)), bias=np.float32(1), where=np.ones(3, bool))
    kernel = jnp.arange(36.0).reshape(3, 3, 2, 2)
    for function in (F.conv, F.conv_transpose, F.depthwise_conv):
        expected = function(X[..., :2], kernel, padding=1)
        np.testing.assert_array_equal(function(nnx.Variable(X[..., :2]), nnx.Param(kernel), padding=1), expected)


def test_a_space_has_dimensions():
    with pytest.raises(ValueError, match=r"space must have at least one dimension; got \(\)\."):
        spatial_sizes(())


@pytest.mark.parametrize("space", [32, None, "SAME", b"28", {32, 31}, {9: 0}, np.array(8)])
def test_a_space_is_a_sequence(space):
    message = f"space must be a sequence of sizes, one for each spatial dimension; got {space!r}."
    with pytest.raises(TypeError, match=re.escape(message)):
        spatial_sizes(space)


@pytest.mark.parametrize(
    "dtype, wide",
    [
        (jnp.bfloat16, jnp.float32),
        (jnp.float16, jnp.float32),
        (jnp.float8_e4m3fn, jnp.float32),
        (jnp.float32, jnp.float32),
        (jnp.float64, jnp.float64),
        (jnp.int64, jnp.float32),
        (jnp.bool_, jnp.float32),
    ],
)
def test_sums_are_in_float32_at_least(dtype, wide):
    with jax.numpy_dtype_promotion("strict"):
        assert accumulator(jnp.dtype(dtype)) == wide
