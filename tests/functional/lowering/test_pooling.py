import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxconv.functional.lowering import cpu_max_pool, plain, pooling

# space, window, strides, padding
CASES = {
    "halves": ((8, 6), (2, 2), (2, 2), ((0, 0), (0, 0))),
    "overlapping": ((9, 8), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "dense": ((5, 6), (3, 2), (1, 1), ((1, 1), (1, 0))),
    "gaps": ((9, 7), (2, 1), (3, 2), ((0, 0), (0, 0))),
    "line": ((11,), (3,), (2,), ((1, 0),)),
    "volume": ((4, 5, 6), (2, 3, 2), (2, 1, 2), ((0, 0), (1, 1), (0, 0))),
    "wide": ((25, 26), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "wide dense": ((24, 25), (3, 2), (1, 1), ((1, 1), (1, 0))),
    "wide gaps": ((30, 29), (2, 1), (3, 2), ((1, 1), (0, 0))),
    "long line": ((600,), (3,), (2,), ((1, 1),)),
    "wide volume": ((9, 10, 11), (2, 2, 2), (2, 1, 2), ((1, 0), (0, 1), (1, 1))),
    "large": ((16, 17), (12, 13), (2, 2), ((2, 2), (3, 3))),
    "side by side": ((17, 13), (6, 5), (6, 5), ((1, 0), (0, 2))),
    "one place": ((7, 8), (7, 6), (1, 3), ((0, 0), (0, 0))),
    "far": ((60,), (27,), (1,), ((3, 20),)),
}
NAMES = list(CASES)
POOLS = [(pooling.max_pool, plain.max_pool), (pooling.sum_pool, plain.sum_pool)]


def make(name, rng, dtype="float32"):
    """Small integers, so that maxima are tied and sums exact."""
    space, window, strides, padding = CASES[name]
    x = jnp.asarray(rng.integers(-3, 4, (2, *space, 3)), dtype)
    return x, dict(window=window, strides=strides, padding=padding)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize("name", NAMES)
def test_pools_equal_those_of_xla(name, dtype, rng):
    x, settings = make(name, rng, dtype)
    for ours, theirs in POOLS:
        y, expected = ours(x, **settings), theirs(x, **settings)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_those_of_xla_ties_too_and_tangents_are_their_transpose(name, pool, rng):
    x, settings = make(name, rng)
    t = jnp.asarray(rng.integers(-9, 9, x.shape), x.dtype)
    dy = jnp.asarray(rng.integers(-9, 9, plain.max_pool(x, **settings).shape), x.dtype)
    ours, theirs = (lambda x, f=f: f(x, **settings) for f in pool)
    dx = jax.vjp(ours, x)[1](dy)[0]
    np.testing.assert_array_equal(dx, jax.vjp(theirs, x)[1](dy)[0])
    assert jnp.vdot(jax.jvp(ours, (x,), (t,))[1], dy) == jnp.vdot(t, dx)


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
@pytest.mark.parametrize("name", ["overlapping", "line", "volume"])
def test_tangents_equal_those_of_xla_where_maxima_are_unique(name, pool, rng):
    x, settings = make(name, rng)
    x, t = (jnp.asarray(rng.standard_normal(x.shape), x.dtype) for _ in range(2))
    ours, theirs = (lambda x, f=f: f(x, **settings) for f in pool)
    np.testing.assert_allclose(jax.jvp(ours, (x,), (t,))[1], jax.jvp(theirs, (x,), (t,))[1], atol=1e-6)


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
def test_second_derivatives_in_every_combination_of_modes(pool, rng):
    x, settings = make("overlapping", rng)
    x, t = (jnp.asarray(rng.standard_normal(x.shape), x.dtype) for _ in range(2))
    ours, theirs = (lambda x, f=f: jnp.sum(jnp.sin(f(jnp.cos(x), **settings))) for f in pool)
    expected = jax.jvp(jax.grad(theirs), (x,), (t,))[1]
    for product in (
        jax.jvp(jax.grad(ours), (x,), (t,))[1],
        jax.grad(lambda x: jnp.vdot(jax.grad(ours)(x), t))(x),
        jax.grad(lambda x: jax.jvp(ours, (x,), (t,))[1])(x),
    ):
        np.testing.assert_allclose(product, expected, atol=1e-5)


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
def test_vmap_equals_a_loop(pool, rng):
    x, settings = make("overlapping", rng)
    many = jnp.asarray(rng.integers(-3, 4, (*x.shape, 5)), "f")
    ts = jnp.asarray(rng.standard_normal((5, *x.shape), "f"))

    def function(x):
        return pool[0](x, **settings)

    grad = jax.grad(lambda x: jnp.sum(jnp.sin(function(x))))
    for f in (function, grad):
        np.testing.assert_allclose(jax.vmap(f, -1)(many), jnp.stack([f(many[..., i]) for i in range(5)]), atol=1e-6)
    # Many tangents at one point: only one of the two arguments of the linear map has a batch.
    _, push = jax.linearize(function, x)
    np.testing.assert_allclose(jax.vmap(push)(ts), jnp.stack([push(t) for t in ts]), atol=1e-6)


def program(function, arrays, platform):
    return jax.jit(function).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
def test_gpu_and_tpu_get_the_program_of_lax(pool, platform, rng):
    x, settings = make("overlapping", rng)

    def both(pool):
        def f(x):
            return jax.value_and_grad(lambda x: jnp.sum(jnp.sin(pool(x, **settings))))(x)

        return f

    ours, theirs = (program(both(p), (x,), platform) for p in pool)
    assert ours == theirs
    assert "reduce_window" in ours


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
@pytest.mark.parametrize("spec", [PartitionSpec("d"), PartitionSpec(None, "d")], ids=["batch", "height"])
def test_sharded_inputs_give_the_numbers_of_one_device(pool, spec, rng):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    _, settings = make("overlapping", rng)
    x = jnp.asarray(rng.integers(-3, 4, (8, 16, 6, 2)), "f")
    grad = jax.jit(jax.grad(lambda x: jnp.sum(pool[0](x, **settings) ** 2)))
    np.testing.assert_array_equal(grad(jax.device_put(x, NamedSharding(mesh, spec))), grad(x))


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
@pytest.mark.parametrize(
    "devices, rows, window, stride, padding",
    [
        pytest.param(4, 8, 8, 8, (0, 0), id="one place: XLA takes the wrong rows"),
        pytest.param(4, 8, 7, 7, (0, 0), id="one place, not of all rows"),
        pytest.param(4, 4, 3, 3, (1, 0), id="a row a device: XLA's maxima are wrong"),
        pytest.param(8, 8, 4, 4, (2, 0), id="the same, of more devices"),
        pytest.param(2, 4, 6, 2, (3, 0), id="XLA's maxima end the process"),
        pytest.param(2, 40, 31, 7, (9, 4), id="a large window"),
        pytest.param(4, 8, 64, 64, (56, 0), id="a large window of one place"),
    ],
)
def test_windows_that_xla_cannot_divide(devices, rows, window, stride, padding, pool, rng):
    """Over a height divided among devices: values, tangents and gradients."""
    mesh = jax.make_mesh((devices,), ("d",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:devices])
    settings = dict(window=(window, 2), strides=(stride, 2), padding=(padding, (0, 0)))
    x, t = (jnp.asarray(rng.integers(-9, 9, (2, rows, 8, 3)), "f") for _ in range(2))

    def every(x, t):
        y, tangent = jax.jvp(lambda x: pool[0](x, **settings), (x,), (t,))
        return y, tangent, jax.grad(lambda x: jnp.sum(pool[0](x, **settings) ** 2))(x)

    divided = jax.device_put((x, t), NamedSharding(mesh, PartitionSpec(None, "d")))
    for got, expected in zip(jax.jit(every)(*divided), jax.jit(every)(x, t)):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("pool", POOLS, ids=["max", "sum"])
def test_gradients_inside_shard_map_equal_those_of_one_device(pool, rng):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    _, settings = make("overlapping", rng)
    x = jnp.asarray(rng.integers(-3, 4, (8, 6, 6, 2)), "f")

    def loss(scale, x):
        return jnp.sum(pool[0](scale * x, **settings) ** 2)

    def total(scale, x):
        return jax.lax.psum(loss(scale, x), "d")

    replicated, spec = PartitionSpec(), PartitionSpec("d")
    grads = jax.shard_map(jax.grad(total, (0, 1)), mesh=mesh, in_specs=(replicated, spec), out_specs=(replicated, spec))
    scale = jnp.float32(2.0)
    for got, expected in zip(jax.jit(grads)(scale, x), jax.grad(loss, (0, 1))(scale, x)):
        np.testing.assert_array_equal(got, expected)


def test_the_gradient_of_a_half_type_is_summed_in_float32(rng):
    x, settings = make("dense", rng, "bfloat16")
    dy = jnp.asarray(rng.standard_normal(plain.max_pool(x, **settings).shape), x.dtype)
    for ours, theirs in POOLS:
        got = jax.vjp(lambda x, f=ours: f(x, **settings), x)[1](dy)[0]
        exact = jax.vjp(lambda x, f=theirs: f(x, **settings), x.astype("float32"))[1](dy.astype("float32"))[0]
        np.testing.assert_array_equal(got, exact.astype(got.dtype))


@pytest.mark.parametrize("padding", [0, 1])
def test_nan_is_chosen_as_select_and_scatter_chooses(padding, rng):
    x = rng.integers(0, 3, (2, 7, 6, 3)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    settings = dict(window=(3, 2), strides=(2, 1), padding=((padding,) * 2,) * 2)
    dy = jnp.asarray(rng.standard_normal(plain.max_pool(jnp.asarray(x), **settings).shape), jnp.float32)
    ours = cpu_max_pool.max_pool_scatter(dy, jnp.asarray(x), **settings)
    np.testing.assert_allclose(ours, plain.max_pool_scatter(dy, jnp.asarray(x), **settings), rtol=1e-6)


@pytest.mark.parametrize("window, stride", [(5, 2), (6, 6), (20, 20)])
def test_nan_of_a_large_window_takes_its_gradient_to_an_element_of_it(window, stride, rng):
    """To which one is not said: one dimension after another is looked at."""
    x = rng.integers(0, 3, (2, 20, 20, 3)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    settings = dict(window=(window,) * 2, strides=(stride,) * 2, padding=((0, 0),) * 2)
    for dy in jnp.eye(((20 - window) // stride + 1) ** 2, dtype="float32")[::3]:
        y = plain.max_pool(jnp.asarray(x), **settings)
        dy = jnp.broadcast_to(dy.reshape(y.shape[1:-1])[..., None], y.shape)
        dx = cpu_max_pool.max_pool_scatter(dy, jnp.asarray(x), **settings)
        seen = plain.sum_pool_transpose(dy, space=(20, 20), **settings)
        np.testing.assert_array_equal(dx.sum((1, 2)), 1)
        assert not np.any((dx != 0) & (seen == 0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_large_windows_of_half_types(dtype, rng):
    """One dimension after another, rounded once."""
    x = jnp.asarray(rng.integers(-9, 9, (2, 19, 18, 3)), dtype)
    t = jnp.asarray(rng.integers(-9, 9, x.shape), dtype)
    settings = dict(window=(8, 9), strides=(3, 4), padding=((1, 2), (0, 3)))

    def pool(x):
        return pooling.max_pool(x, **settings)

    y, tangent = jax.jvp(pool, (x,), (t,))
    (gradient,) = jax.vjp(pool, x)[1](y)
    wide = jax.vjp(pool, x.astype("float32"))[1](y.astype("float32"))[0]
    assert gradient.dtype == tangent.dtype == x.dtype
    np.testing.assert_array_equal(gradient, wide.astype(dtype))
    assert jnp.vdot(tangent.astype("float32"), y.astype("float32")) == jnp.vdot(t.astype("float32"), wide)


def test_tangents_of_a_large_window_are_a_small_program():
    """With a term for each of 1,600 elements they took 18 s to compile."""
    x = jax.ShapeDtypeStruct((1, 40, 40, 1), jnp.float32)
    settings = dict(window=(40, 40), strides=(40, 40), padding=((0, 0), (0, 0)))
    push = jax.jit(lambda x, t: jax.jvp(lambda x: pooling.max_pool(x, **settings), (x,), (t,)))
    assert len(push.lower(x, x).as_text().splitlines()) < 200


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e4m3b11fnuz", "float8_e5m2"])
def test_padding_never_wins_where_a_type_has_no_infinity(dtype):
    x = -jnp.ones((1, 4, 4, 1)).astype(dtype)
    y = pooling.max_pool(x, window=(3, 3), strides=(1, 1), padding=((1, 1), (1, 1)))
    np.testing.assert_array_equal(y.astype("float32"), x.astype("float32"))
