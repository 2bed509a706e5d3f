"""A module as pure functions: the same under every transformation, and never changed by a call."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

from jaxconv import nn


class Net(nnx.Module):
    def __init__(self, width: int = 4, rate: float = 0.5):
        self.stem = nn.ConvNorm(1, width, 3, padding="SAME")
        self.blocks = nn.Sequential(nn.Conv(width, width, 1, padding=0), nn.BatchNorm(width))
        self.dropout = nn.Dropout(rate)
        self.fc = nn.Dense(width, 3)

    def __call__(self, x, train=False, key=None):
        y = self.blocks(self.stem(x, train), train).mean((1, 2))
        return self.fc(self.dropout(y, train, key))


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((4, 5, 5, 1)), jnp.float32)


def leaves(tree):
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def assert_same(left, right, **tolerance):
    left, right = leaves(left), leaves(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], err_msg=name, **tolerance)


def test_plain_dicts_by_attribute_and_number():
    _, params, batch_stats = nn.functionalize(Net())
    assert params.keys() == {"stem", "blocks", "fc"} and type(params) is dict
    assert params["blocks"].keys() == {0, 1} and batch_stats["blocks"].keys() == {1}
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, batch_stats)))


def test_jit_equals_eager_and_the_module(x):
    module = nn.initialize(Net())
    apply, params, batch_stats = nn.functionalize(module)
    key = jax.random.key(3)
    for train in (False, True):
        eager = apply(params, batch_stats, x, train=train, key=key)
        jitted = jax.jit(apply, static_argnames="train")(params, batch_stats, x, train=train, key=key)
        assert_same(eager, jitted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(module(x, train=train, key=key), eager[0], rtol=1e-5, atol=1e-6)


def test_calls_change_nothing(x):
    module = nn.initialize(Net())
    before = leaves(nnx.to_pure_dict(nnx.state(module)))
    apply, params, batch_stats = nn.functionalize(module)
    kept = leaves((params, batch_stats))
    first = apply(params, batch_stats, x, train=True, key=jax.random.key(0))
    again = apply(params, batch_stats, x, train=True, key=jax.random.key(0))
    assert_same(first, again, rtol=0)
    assert_same(kept, leaves((params, batch_stats)), rtol=0)
    assert_same(before, leaves(nnx.to_pure_dict(nnx.state(module))), rtol=0)


def test_statistics_move_in_training_only(x):
    apply, params, batch_stats = nn.functionalize(Net())
    assert apply(params, batch_stats, x, train=False)[1] is batch_stats
    after = apply(params, batch_stats, x, train=True, key=jax.random.key(0))[1]
    moved = leaves(after)
    assert moved.keys() == leaves(batch_stats).keys()
    assert all((moved[name] != value).all() for name, value in leaves(batch_stats).items())


def test_value_and_grad_against_differences(x):
    apply, params, batch_stats = nn.functionalize(Net(rate=0.0))

    def loss(params):
        y, after = apply(params, batch_stats, x, train=True)
        return jnp.square(y - 1).sum(), after

    (_, after), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    assert leaves(after).keys() == leaves(batch_stats).keys()
    direction = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size, dtype=jnp.float32)).reshape(leaf.shape), params)
    step = 1e-2
    shifted = [jax.tree.map(lambda p, d, s=s: p + s * step * d, params, direction) for s in (1, -1)]
    expected = (loss(shifted[0])[0] - loss(shifted[1])[0]) / (2 * step)
    slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradients), jax.tree.leaves(direction)))
    np.testing.assert_allclose(slope, expected, rtol=2e-2)


def test_vmap_over_networks_equals_each_alone(x):
    nets = [nn.functionalize(Net(), key=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[params for _, params, _ in nets])
    apply, _, batch_stats = nets[0]

    def run(params, x):
        return apply(params, batch_stats, x, train=True, key=jax.random.key(0))

    together = jax.vmap(run, in_axes=(0, None))(stacked, x)
    for index, (_, params, _) in enumerate(nets):
        assert_same(jax.tree.map(lambda leaf, i=index: leaf[i], together), run(params, x), rtol=1e-4, atol=1e-5)


def test_training_with_dropout_needs_a_key(x):
    apply, params, batch_stats = nn.functionalize(Net())
    with pytest.raises(ValueError, match="pass a key"):
        apply(params, batch_stats, x, train=True)


def test_bfloat16_input(x):
    apply, params, batch_stats = nn.functionalize(Net())
    y, after = apply(params, batch_stats, x.astype(jnp.bfloat16), train=True, key=jax.random.key(0))
    assert y.dtype == jnp.bfloat16 and {leaf.dtype for leaf in jax.tree.leaves(after)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(
        apply(params, batch_stats, x.astype(jnp.bfloat16), train=False)[0].astype(jnp.float32),
        apply(params, batch_stats, x, train=False)[0],
        atol=0.05,
    )


def test_a_value_depends_on_key_and_path_alone():
    wide, deep = nn.functionalize(Net(8))[1], nn.functionalize(Net(8, rate=0.1))[1]
    assert_same(wide, deep, rtol=0)
    alone = nn.initialize(nn.Sequential(nn.Dense(8, 3)))
    both = nn.initialize(nn.Sequential(nn.Dense(8, 3), nn.Dense(3, 3)))
    np.testing.assert_array_equal(alone[0].kernel[...], both[0].kernel[...])
    assert (wide["stem"]["conv"]["kernel"] != nn.functionalize(Net(8), key=1)[1]["stem"]["conv"]["kernel"]).all()


def test_jax_keys_of_both_kinds_draw_alike():
    typed, raw, other = (
        nn.functionalize(Net(), key=key)[1] for key in (jax.random.key(7), jax.random.PRNGKey(7), jax.random.key(8))
    )
    assert_same(typed, raw, rtol=0)
    assert (typed["fc"]["kernel"] != other["fc"]["kernel"]).any()


def test_keys_are_ints_or_random_keys(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for function in (nn.functionalize, nn.initialize):
        with pytest.raises(TypeError, match=r"key must be an int or a random key of JAX; got 'a'\."):
            function(Net(), "a")


def test_drawn_values_stay():
    module = Net()
    module.fc.bias.set_value(jnp.asarray([1.0, 2.0, 3.0]))
    nn.initialize(module, key=5)
    np.testing.assert_array_equal(module.fc.bias[...], [1, 2, 3])
    kernel = module.fc.kernel[...]
    np.testing.assert_array_equal(nn.initialize(module, key=6).fc.kernel[...], kernel)


def test_key_none_leaves_shapes():
    apply, params, batch_stats = nn.functionalize(Net(), key=None)
    assert {type(leaf) for leaf in jax.tree.leaves((params, batch_stats))} == {jax.ShapeDtypeStruct}

    def run(params, batch_stats, x):
        return apply(params, batch_stats, x, train=False)[0]

    assert jax.eval_shape(run, params, batch_stats, jnp.ones((2, 6, 6, 1))).shape == (2, 3)


def test_missing_and_unexpected_parameters_are_named(x):
    apply, params, batch_stats = nn.functionalize(Net())
    params["fc"]["offset"] = params["fc"].pop("bias")
    with pytest.raises(ValueError, match=r"missing fc\.bias; unexpected fc\.offset"):
        apply(params, batch_stats, x, train=False)
