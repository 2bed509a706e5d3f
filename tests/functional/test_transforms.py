"""The functions under the transformations of JAX.

Many functions make one program, so that a transformation is compiled once: a few of different kinds in the fast suite,
all of them in the slow one.
"""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functional.compiled import compiled
from jax import export
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxconv.functional as F

FUNCTIONS = {
    "conv": lambda x, w: F.conv(x, w["kernel"], padding="SAME", strides=2),
    "grouped": lambda x, w: F.conv(x, w["grouped"], padding=((2, 1), (1, 2)), dilation=2, groups=2),
    "depthwise_conv": lambda x, w: F.depthwise_conv(x, w["depthwise"], padding=1, strides=(1, 2)),
    "separable_conv": lambda x, w: F.separable_conv(x, w["depthwise"], w["pointwise"], padding="VALID"),
    "conv_transpose": lambda x, w: F.conv_transpose(x, w["kernel"], padding=1, strides=2, output_padding=1),
    "max_pool": lambda x, w: F.max_pool(x, 3, strides=2, padding=1),
    "avg_pool": lambda x, w: F.avg_pool(x, 3, strides=2, padding=0, ceil_mode=True),
    "lp_pool": lambda x, w: F.lp_pool(x, 2, p=3, strides=2, padding="SAME"),
    "adaptive_avg_pool": lambda x, w: F.adaptive_avg_pool(x, 3),
    "adaptive_max_pool": lambda x, w: F.adaptive_max_pool(x, 3),
    "global_avg_pool": lambda x, w: F.global_avg_pool(x),
    "global_max_pool": lambda x, w: F.global_max_pool(x),
    "blur_pool": lambda x, w: F.blur_pool(x, 3, strides=2),
    "layer_norm": lambda x, w: F.layer_norm(x, w["scale"], w["bias"], epsilon=1e-3),
    "group_norm": lambda x, w: F.group_norm(x, w["scale"], w["bias"], groups=2, epsilon=1e-3),
    "local_response_norm": lambda x, w: F.local_response_norm(x, size=3, alpha=1, beta=0.75, k=2),
    "standardize_kernel": lambda x, w: F.standardize_kernel(w["kernel"], w["bias"], epsilon=1e-3),
    "inception": lambda x, w: F.inception(x, [lambda x: x, lambda x: F.conv(x, w["kernel"], padding=1)]),
    "squeeze_excite": lambda x, w: F.squeeze_excite(x, w["reduce"], w["bias"][:2], w["reduce"].T, w["scale"]),
    "stochastic_depth": lambda x, w: F.stochastic_depth(x, 0.25, jax.random.key(3)),
    "random_flip": lambda x, w: F.random_flip(jax.random.key(4), x),
    "random_shift": lambda x, w: F.random_shift(jax.random.key(5), x, pixels=2),
    "channel_shuffle": lambda x, w: F.channel_shuffle(x, 2),
    "space_to_depth": lambda x, w: F.space_to_depth(x, 2),
    "depth_to_space": lambda x, w: F.depth_to_space(x, 2),
    "cross_entropy": lambda x, w: F.cross_entropy(x[:, 0, 0], jnp.zeros(x.shape[0], jnp.int32), smoothing=0.1),
    "multiclass_hinge": lambda x, w: F.multiclass_hinge(x[:, 0, 0], jnp.zeros(x.shape[0], jnp.int32)),
    "binary_cross_entropy": lambda x, w: F.binary_cross_entropy(x, x > 0),
}
# These mix the examples of a batch.
BATCHED = {
    "batch_norm": lambda x, w: F.batch_norm(x, *F.batch_moments(x), w["scale"], w["bias"], epsilon=1e-3),
    "masked batch_moments": lambda x, w: F.batch_moments(x, where=jnp.arange(x.shape[0]) % 3 > 0),
}


FEW = ("conv", "max_pool", "batch_norm")

few_then_all = pytest.mark.parametrize(
    "functions",
    [
        pytest.param({name: (FUNCTIONS | BATCHED)[name] for name in FEW}, id="few"),
        pytest.param(FUNCTIONS | BATCHED, marks=pytest.mark.slow, id="all"),
    ],
)


def together(functions):
    """One function that returns what each of them returns."""
    return lambda x, w: {name: function(x, w) for name, function in functions.items()}


def draw(rng, n=8):
    shapes = dict(
        kernel=(3, 3, 4, 4),
        grouped=(2, 2, 2, 6),
        depthwise=(3, 3, 4, 2),
        pointwise=(1, 1, 8, 3),
        reduce=(4, 2),
        scale=(4,),
        bias=(4,),
    )
    w = {name: jnp.asarray(rng.standard_normal(shape), jnp.float32) for name, shape in shapes.items()}
    # No two pixels are equal, so that no maximum is a tie; losses and hinges stay away from their corners.
    x = rng.permutation(n * 8 * 8 * 4).reshape(n, 8, 8, 4)
    return jnp.asarray(x / x.size * 4 - 2.0001, jnp.float32), w


def check_close(actual, expected, tolerance=2e-5):
    for name, value in expected.items():
        for a, e in zip(jax.tree.leaves(actual[name]), jax.tree.leaves(value)):
            scale = max(1.0, float(np.abs(e).max()))
            np.testing.assert_allclose(np.asarray(a), np.asarray(e), atol=tolerance * scale, err_msg=name)


def total(functions, x, w):
    """A scalar that every output enters with weights of its own, and not linearly."""
    parts = [jax.tree.leaves(function(x, w)) for function in functions.values()]
    return sum(jnp.vdot(jnp.cos(jnp.arange(y.size)), y.reshape(-1) ** 2) for part in parts for y in part)


@few_then_all
def test_jit_equals_eager(functions, rng):
    x, w = draw(rng, 2)
    check_close(compiled(together(functions), x, w), together(functions)(x, w))


@few_then_all
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (1, 0)], ids=["x", "w", "both"])
def test_vmap_equals_a_loop(axes, functions, rng):
    (x, w), (z, v) = draw(rng, 3), draw(rng, 3)
    call = jax.jit(together(functions))
    expected = [call(x, w), call(x if axes[0] is None else z, w if axes[1] is None else v)]
    xs = x if axes[0] is None else jnp.stack([x, z], axes[0])
    ws = w if axes[1] is None else jax.tree.map(lambda a, b: jnp.stack([a, b]), w, v)
    actual = compiled(jax.vmap(together(functions), axes), xs, ws)
    for i in range(2):
        check_close(jax.tree.map(operator.itemgetter(i), actual), expected[i])


@few_then_all
def test_every_way_to_a_derivative_agrees(functions, rng):
    (x, w), (dx, dw), (ex, ew) = draw(rng, 2), draw(rng, 2), draw(rng, 2)

    def loss(primal):
        return total(functions, *primal)

    @jax.jit
    def ways(primal, tangent, other):
        gradient = jax.grad(loss)
        slope = jax.jvp(loss, (primal,), (tangent,))[1]
        linear = jax.linearize(loss, primal)[1](tangent)
        recomputed = jax.grad(jax.checkpoint(loss))(primal)
        forward_over_reverse = jax.jvp(gradient, (primal,), (tangent,))[1]
        reverse_over_reverse = jax.grad(lambda p: inner(gradient(p), tangent))(primal)
        reverse_over_forward = jax.grad(lambda p: jax.jvp(loss, (p,), (tangent,))[1])(primal)
        return dict(
            slopes=[slope, linear, inner(gradient(primal), tangent), inner(recomputed, tangent)],
            curvatures=[
                inner(product, other) for product in (forward_over_reverse, reverse_over_reverse, reverse_over_forward)
            ],
        )

    for name, found in ways((x, w), (dx, dw), (ex, ew)).items():
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, found[0], rtol=2e-3, err_msg=name)


def inner(a, b):
    return sum(jnp.vdot(p, q) for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.mark.parametrize("spec", [PartitionSpec("d"), PartitionSpec(None, "d")], ids=["batch", "height"])
@few_then_all
def test_sharded_inputs_give_the_numbers_of_one_device(functions, spec, rng):
    x, w = draw(rng)
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    call = jax.jit(together(functions))
    check_close(call(jax.device_put(x, NamedSharding(mesh, spec)), w), call(x, w))


@few_then_all
def test_explicit_axes_are_part_of_the_types(functions, rng):
    x, w = draw(rng)
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))
    divided, whole = NamedSharding(mesh, PartitionSpec("d")), NamedSharding(mesh, PartitionSpec())
    # The gradient of `jnp.take`, which has no rule of its own there.
    functions = {name: f for name, f in functions.items() if not name.startswith("adaptive")}

    def loss(x, w):
        parts = jax.tree.leaves(together(functions)(x, w))
        return sum(jnp.sum(jnp.sin(y) * y) for y in parts)

    step = jax.jit(jax.value_and_grad(loss, (0, 1)))
    actual, expected = step(jax.device_put(x, divided), jax.device_put(w, whole)), step(x, w)
    assert actual[1][0].sharding.is_equivalent_to(divided, 4)
    assert all(a.sharding.is_fully_replicated for a in jax.tree.leaves(actual[1][1]))
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-4, atol=1e-4 * float(jnp.abs(e).max()))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["x", "w", "both"])
@few_then_all
def test_a_batch_of_no_examples(axes, functions, rng):
    x, w = draw(rng)
    call = jax.jit(jax.vmap(together(functions), axes))
    none = [a if axis is None else jax.tree.map(lambda a: a[None][:0], a) for a, axis in zip((x, w), axes)]
    for a, e in zip(jax.tree.leaves(call(*none)), jax.tree.leaves(jax.eval_shape(together(functions), x, w))):
        assert a.shape == (0, *e.shape) and a.dtype == e.dtype


@few_then_all
def test_gradients_inside_shard_map_equal_those_of_one_device(functions, rng):
    x, w = draw(rng, 4)
    mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])

    def each(x, w):
        """The mean over devices of what each computes from its own examples."""
        return jax.lax.pmean(total(functions, x, w), "d")

    def alone(x, w):
        return (total(functions, x[:2], w) + total(functions, x[2:], w)) / 2

    spread = jax.shard_map(each, mesh=mesh, in_specs=(PartitionSpec("d"), PartitionSpec()), out_specs=PartitionSpec())
    actual, expected = (compiled(jax.grad(f, argnums=(0, 1)), x, w) for f in (spread, alone))
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-4, atol=1e-4 * float(jnp.abs(e).max()))


@few_then_all
def test_export_for_several_platforms_with_any_batch(functions, rng):
    x, w = draw(rng, 3)
    (batch,) = export.symbolic_shape("b")
    symbolic = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    exported = export.export(jax.jit(together(functions)), platforms=("cpu", "cuda", "tpu"))(symbolic, w)
    check_close(exported.call(x, w), compiled(together(functions), x, w))


def test_without_jit():
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    with jax.disable_jit():
        assert F.conv(x, kernel, padding="SAME").shape == x.shape
        assert F.max_pool(x, 2, strides=2, padding=0).shape == (1, 2, 2, 1)


def test_a_window_of_many_elements_is_a_small_program():
    """Forms with a term for every tap are for few taps: 1,024 took minutes to compile."""
    kernel = jnp.ones((32, 32, 3, 8))
    step = jax.jit(jax.grad(lambda x, k: F.conv(x, k, strides=32, padding="VALID").sum(), (0, 1)))
    assert len(step.lower(jnp.ones((2, 64, 64, 3)), kernel).as_text().splitlines()) < 200


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@few_then_all
def test_strict_promotion_changes_nothing(functions, dtype, rng):
    x, w = jax.tree.map(lambda a: a.astype(dtype), draw(rng, 2))

    def loss(x, w):
        y = together(functions)(x, w)
        return sum(jnp.sum(jnp.sin(a.astype(jnp.float32))) for a in jax.tree.leaves(y)), y

    def step():
        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, w)

    with jax.numpy_dtype_promotion("strict"):
        strict = step()
    for a, e in zip(jax.tree.leaves(strict), jax.tree.leaves(step())):
        assert a.dtype == e.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(e))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_strict_promotion_takes_norms_with_wide_parameters(dtype, rng):
    x, w = draw(rng, 2)
    norms = {n: (FUNCTIONS | BATCHED)[n] for n in ("batch_norm", "layer_norm", "group_norm")}
    with jax.numpy_dtype_promotion("strict"):
        strict = compiled(together(norms), x.astype(dtype), w)
    for name, expected in compiled(together(norms), x.astype(dtype), w).items():
        assert strict[name].dtype == dtype
        np.testing.assert_array_equal(np.asarray(strict[name]), np.asarray(expected))
