import inspect
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from functional.compiled import compiled

import jaxconv.functional as F


def draw(rng, *shape):
    return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def test_inception_joins_branches_in_order(rng):
    x = draw(rng, 2, 5, 5, 3)
    branches = [lambda x: x[..., :2], lambda x: -x, lambda x: x[..., :1] * 2]
    expected = np.concatenate([x[..., :2], -x, x[..., :1] * 2], -1)
    np.testing.assert_array_equal(F.inception(x, branches), expected)


def test_branches_must_agree():
    x = jnp.ones((2, 5, 5, 3))
    message = "Branches must agree in all but channels to be joined; their shapes are (2, 5, 5, 3), (2, 4, 5, 3)."
    with pytest.raises(ValueError, match=re.escape(message)):
        F.inception(x, [lambda x: x, lambda x: x[:, 1:]])
    with pytest.raises(ValueError, match=r"inception needs at least one branch; got none\."):
        F.inception(x, [])
    with pytest.raises(TypeError, match=r"What branch 1 gives must be an array of JAX or NumPy; got NoneType\."):
        F.inception(x, [lambda x: x, lambda x: None])
    with pytest.raises(ValueError, match=r"What branch 0 gives must be \(n, \*out, k\); its shape is \(\)\."):
        F.inception(x, [jnp.sum])
    with pytest.raises(ValueError, match=r"branch 1 gives the shape \(2, 5, 5, 0\)\."):
        F.inception(x, [lambda x: x, lambda x: x[..., :0]])
    with pytest.raises(TypeError, match=r"Branches must share a dtype, .* theirs are float32, bfloat16\."):
        F.inception(x, [lambda x: x, lambda x: x.astype(jnp.bfloat16)])


@pytest.mark.parametrize(
    "branches, message",
    [
        (jnp.abs, "inception takes a sequence of branches; got "),
        (None, "inception takes a sequence of branches; got None."),
        ([jnp.abs, None], "Every branch must be a function of x; branch 1 is None."),
    ],
)
def test_branches_are_functions(branches, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        inspect.unwrap(F.inception)(jnp.ones((2, 5, 5, 3)), branches)


def test_branches_may_come_one_by_one():
    x = jnp.ones((2, 5, 5, 3))
    assert inspect.unwrap(F.inception)(x, (lambda x: x for _ in range(2))).shape == (2, 5, 5, 6)


def test_squeeze_excite_is_its_definition(rng):
    x, reduce, reduce_bias = draw(rng, 2, 3, 4, 6), draw(rng, 6, 2), draw(rng, 2)
    expand, expand_bias = draw(rng, 2, 6), draw(rng, 6)
    mean = np.asarray(x, np.float64).mean((1, 2))
    hidden = np.maximum(mean @ np.asarray(reduce) + np.asarray(reduce_bias), 0)
    gate = 1 / (1 + np.exp(-(hidden @ np.asarray(expand) + np.asarray(expand_bias))))
    actual = compiled(F.squeeze_excite, x, reduce, reduce_bias, expand, expand_bias)
    np.testing.assert_allclose(actual, np.asarray(x) * gate[:, None, None], rtol=1e-5, atol=1e-6)
    off = F.squeeze_excite(x, reduce, reduce_bias, expand, expand_bias, gate=jnp.zeros_like)
    assert not bool(off.any())


def test_mistakes_with_squeeze_excite():
    squeeze_excite, x = inspect.unwrap(F.squeeze_excite), jnp.ones((1, 2, 2, 6))
    message = "for x with c=6 channels; their shapes are (5, 2), (2,), (2, 6), (6,)."
    with pytest.raises(ValueError, match=re.escape(message)):
        squeeze_excite(x, jnp.ones((5, 2)), jnp.ones(2), jnp.ones((2, 6)), jnp.ones(6))
    half = jnp.bfloat16
    message = "there is no promotion; x is bfloat16, the others are bfloat16, float32, bfloat16, bfloat16."
    with pytest.raises(TypeError, match=re.escape(message)):
        F.squeeze_excite(x.astype(half), jnp.ones((6, 2), half), jnp.ones(2), jnp.ones((2, 6), half), jnp.ones(6, half))


def test_what_a_gate_is():
    squeeze_excite, x = inspect.unwrap(F.squeeze_excite), jnp.ones((1, 2, 2, 6))
    arrays = jnp.ones((6, 2)), jnp.ones(2), jnp.ones((2, 6)), jnp.ones(6)
    with pytest.raises(ValueError, match=r"gate must give \(n, c\), \(1, 6\) here; it gives \(1, 3\)\."):
        squeeze_excite(x, *arrays, gate=lambda v: v[:, :3])
    with pytest.raises(TypeError, match=r"What gate gives must be an array of JAX or NumPy; got NoneType\."):
        squeeze_excite(x, *arrays, gate=lambda v: None)
    with pytest.raises(TypeError, match=r"activation must be a function; got None\."):
        squeeze_excite(x, *arrays, activation=None)
    with pytest.raises(ValueError, match=r"their shapes are \(\), \(2,\), \(2, 6\), \(6,\)\."):
        squeeze_excite(x, jnp.ones(()), *arrays[1:])
    assert squeeze_excite(*(np.asarray(a, np.float64) for a in (x, *arrays))).dtype == jnp.float32
    with pytest.raises(TypeError, match=r"squeeze_excite takes floating numbers and keeps their dtype; x is int32\."):
        squeeze_excite(*(a.astype(jnp.int32) for a in (x, *arrays)))
    half = [a.astype(jnp.bfloat16) for a in (x, *arrays)]
    assert squeeze_excite(*half, gate=lambda v: v.astype(jnp.float32)).dtype == jnp.bfloat16


def test_gradients_of_half_types_are_summed_in_float32(rng):
    """Those of the gate sum over 56x56 positions: in bfloat16 0.2 to 0.3 of the largest was off."""
    shapes = (1, 56, 56, 4), (4, 2), (2,), (2, 4), (4,)
    half = [draw(rng, *shape).astype(jnp.bfloat16) for shape in shapes]
    dy = draw(rng, *shapes[0]).astype(jnp.bfloat16)
    actual = jax.vjp(F.squeeze_excite, *half)[1](dy)
    expected = jax.vjp(F.squeeze_excite, *(a.astype(jnp.float32) for a in half))[1](dy.astype(jnp.float32))
    for a, e in zip(actual, expected):
        np.testing.assert_allclose(a.astype(jnp.float32), e, rtol=0, atol=0.03 * float(jnp.abs(e).max()))


def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean(rng):
    x = 1 + draw(rng, 4000, 2, 3) ** 2
    y = np.asarray(jax.jit(F.stochastic_depth, static_argnums=1)(x, 0.3, jax.random.key(0)))
    dropped = (y == 0).all((1, 2))
    np.testing.assert_allclose(y[~dropped], np.asarray(x)[~dropped] / 0.7, rtol=1e-6)
    assert abs(dropped.mean() - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5
    np.testing.assert_array_equal(F.stochastic_depth(x, 0, jax.random.key(0)), x)
    rate = np.linspace(0, 0.1, 5)[2]
    assert F.stochastic_depth(jnp.ones((2, 3), jnp.bfloat16), rate, jax.random.key(0)).dtype == jnp.bfloat16
    assert F.stochastic_depth(x.astype(jnp.bfloat16), 0.5, jax.random.key(1)).dtype == jnp.bfloat16


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_stochastic_depth_takes_a_probability_below_one(rate):
    with pytest.raises(ValueError, match=f"rate must be a probability below 1; got {rate}"):
        F.stochastic_depth(jnp.ones((2, 3)), rate, jax.random.key(0))


def test_stochastic_depth_takes_floating_numbers():
    with pytest.raises(TypeError, match="stochastic_depth takes floating numbers and keeps their dtype; x is int32"):
        inspect.unwrap(F.stochastic_depth)(jnp.ones((2, 3), jnp.int32), 0.5, jax.random.key(0))


def test_stochastic_depth_takes_examples(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"x must be \(n, \.\.\.\); its shape is \(\)\."):
        F.stochastic_depth(jnp.ones(()), 0.5, jax.random.key(0))


def test_channel_shuffle_deals_channels_out():
    x = jnp.arange(6.0).reshape(1, 1, 1, 6)
    np.testing.assert_array_equal(F.channel_shuffle(x, 2)[0, 0, 0], [0, 3, 1, 4, 2, 5])
    np.testing.assert_array_equal(F.channel_shuffle(F.channel_shuffle(x, 2), 3), x)
    with pytest.raises(ValueError, match=r"groups must divide the channels; x has 6, groups=4\."):
        F.channel_shuffle(x, 4)


def test_space_to_depth_has_tensorflows_order(rng):
    # The example of the documentation of tf.nn.space_to_depth: [[1, 2], [3, 4]] with three channels each.
    x = jnp.arange(1, 13).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(F.space_to_depth(x, 2)[0, 0, 0], np.arange(1, 13))
    x = draw(rng, 2, 4, 6, 3)
    y, x = np.asarray(F.space_to_depth(x, (2, 3))), np.asarray(x)
    for n, i, j, di, dj, c in np.ndindex(2, 2, 2, 2, 3, 3):
        assert y[n, i, j, (di * 3 + dj) * 3 + c] == x[n, 2 * i + di, 3 * j + dj, c]


@pytest.mark.parametrize("shape, block", [((2, 6, 3), 3), ((2, 4, 6, 3), (2, 3)), ((1, 2, 4, 6, 1), 2)])
def test_depth_to_space_undoes_it(shape, block, rng):
    x = draw(rng, *shape)
    np.testing.assert_array_equal(F.depth_to_space(F.space_to_depth(x, block), block), x)


def test_blocks_must_fit():
    x = jnp.ones((1, 4, 6, 6))
    with pytest.raises(
        ValueError, match=re.escape("block must divide the space; x has shape (1, 4, 6, 6), block=(4, 4).")
    ):
        F.space_to_depth(x, 4)
    message = "The block's 4 pixels must divide the channels; x has shape (1, 4, 6, 6), block=(2, 2)."
    with pytest.raises(ValueError, match=re.escape(message)):
        F.depth_to_space(x, 2)


@pytest.mark.parametrize("rate", [None, "0.1"])
def test_a_rate_is_a_number(rate):
    with pytest.raises(TypeError, match=re.escape(f"rate must be a number, known when traced; got {rate!r}.")):
        inspect.unwrap(F.stochastic_depth)(jnp.ones((2, 3)), rate, jax.random.key(0))


def test_ranks_that_are_refused():
    scalar, kernel, bias = jnp.ones(()), jnp.ones((4, 4)), jnp.ones(4)
    with pytest.raises(ValueError, match=re.escape("x must be (n, *space, c); its shape is ().")):
        inspect.unwrap(F.channel_shuffle)(scalar, 2)
    with pytest.raises(ValueError, match=re.escape("with at least one spatial dimension; its shape is ().")):
        inspect.unwrap(F.squeeze_excite)(scalar, kernel, bias, kernel, bias)


@pytest.mark.parametrize("function", [F.channel_shuffle, F.space_to_depth, F.depth_to_space])
def test_arrays_of_numpy_become_jaxs(function, rng):
    assert isinstance(inspect.unwrap(function)(rng.standard_normal((2, 4, 4, 4)), 2), jax.Array)
