import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxconv.functional.lowering import plain, trilinear

# images, space, channels, features, window, strides, padding, dilation, groups
CASES = {
    "dense": (2, (6, 7), 3, 4, (3, 2), (1, 1), ((1, 0), (2, 1)), (1, 1), 1),
    "strided": (2, (9, 8), 4, 4, (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), 1),
    "dilated": (1, (9, 9), 2, 3, (3, 3), (2, 1), ((2, 2), (2, 2)), (2, 2), 1),
    "line": (2, (11,), 3, 4, (3,), (2,), ((1, 1),), (1,), 1),
    "volume": (1, (5, 4, 6), 2, 2, (2, 3, 3), (1, 2, 1), ((0, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
    "pointwise": (2, (5, 6), 4, 3, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "pointwise strided and padded": (2, (7, 6), 4, 3, (1, 1), (2, 3), ((1, 0), (1, 2)), (1, 1), 1),
    "depthwise": (2, (6, 7), 4, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    "depthwise strided, multiplied": (1, (8, 9), 3, 6, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 3),
    "depthwise line": (2, (9,), 4, 4, (5,), (1,), ((4, 0),), (1,), 4),
    "grouped": (2, (6, 7), 8, 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "grouped, dilated": (2, (7, 7), 6, 6, (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 3),
    "grouped pointwise": (2, (6, 7), 8, 12, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 4),
}
NAMES = list(CASES)


def first_fast(*names):
    """The first case in every run, the others where the slow tests run too."""
    return [names[0], *(pytest.param(name, marks=pytest.mark.slow) for name in names[1:])]


def make(name, rng, dtype=np.float32):
    images, space, channels, features, window, strides, padding, dilation, groups = CASES[name]
    x = jnp.asarray(rng.standard_normal((images, *space, channels)), dtype)
    kernel = jnp.asarray(rng.standard_normal((*window, channels // groups, features)), dtype)
    return x, kernel, dict(strides=strides, padding=padding, dilation=dilation, groups=groups)


def close(actual, expected, tolerance=1e-5):
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert a.shape == b.shape and a.dtype == b.dtype
        b = np.asarray(b, np.float64)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("name", NAMES)
def test_the_three_contractions_equal_those_of_xla(name, rng):
    x, kernel, settings = make(name, rng)
    y = plain.conv(x, kernel, **settings)
    dy = jnp.asarray(rng.standard_normal(y.shape, "f"))
    close(trilinear.conv(x, kernel, **settings), y)
    space, window = x.shape[1:-1], kernel.shape[:-2]
    dx, dkernel = jax.vjp(lambda x, kernel: plain.conv(x, kernel, **settings), x, kernel)[1](dy)
    close(trilinear.conv_input_grad(dy, kernel, space=space, **settings), dx)
    close(trilinear.conv_kernel_grad(x, dy, window=window, **settings), dkernel)


@pytest.mark.parametrize("name", first_fast("strided", "depthwise", "grouped, dilated"))
def test_derivatives_of_second_order_in_both_modes(name, rng):
    x, kernel, settings = make(name, rng)
    check_grads(lambda x, k: jnp.sin(trilinear.conv(x, k, **settings)), (x / 4, kernel / 4), 2, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", ["line", "grouped"])
def test_hessian(name, rng):
    x, kernel, settings = make(name, rng)

    def loss(conv):
        return lambda kernel: jnp.sum(jnp.sin(conv(x, kernel, **settings)))

    expected = jax.jit(jax.hessian(loss(plain.conv)))(kernel)
    close(jax.jit(jax.hessian(loss(trilinear.conv)))(kernel), expected)
    close(jax.jit(jax.jacrev(jax.jacfwd(loss(trilinear.conv))))(kernel), expected)


@pytest.mark.parametrize("which", [(0, None), (None, 0), (0, 0), (1, 2)])
@pytest.mark.parametrize("name", first_fast("strided", "depthwise strided, multiplied", "grouped"))
def test_vmap_of_either_argument_and_of_both(name, which, rng):
    x, kernel, settings = make(name, rng)
    dy = jnp.sin(plain.conv(x, kernel, **settings))
    space, window = x.shape[1:-1], kernel.shape[:-2]
    contractions = (
        (lambda a, b: trilinear.conv(a, b, **settings), x, kernel),
        (lambda a, b: trilinear.conv_input_grad(a, b, space=space, **settings), dy, kernel),
        (lambda a, b: trilinear.conv_kernel_grad(a, b, window=window, **settings), x, dy),
    )
    scales = np.asarray([1.0, -2.0, 0.5], "f")

    def many(a, axis):
        return a if axis is None else jnp.stack([a * s + s for s in scales], axis)

    for function, a, b in contractions:
        batches = [many(a, which[0]), many(b, which[1])]
        one = [
            function(*(v if axis is None else jnp.take(v, i, axis) for v, axis in zip(batches, which)))
            for i in range(len(scales))
        ]
        close(jax.vmap(function, which)(*batches), jnp.stack(one))


def test_a_batch_of_batches(rng):
    x, kernel, settings = make("grouped", rng)
    kernels = jnp.stack([kernel, 2 * kernel, -kernel])
    grad = jax.grad(lambda k, x: jnp.sum(jnp.sin(trilinear.conv(x[None], k, **settings))))
    got = jax.vmap(jax.vmap(grad, (None, 0)), (0, None))(kernels, x)
    assert got.shape == (3, 2, *kernel.shape)
    close(got, jnp.stack([jnp.stack([grad(k, a) for a in x]) for k in kernels]))


@pytest.mark.parametrize("transform", [jax.jit, jax.checkpoint])
def test_linearize_checkpoint_and_scan(transform, rng):
    x, kernel, settings = make("depthwise", rng)

    @transform
    def loss(kernel, conv=trilinear.conv):
        return jnp.sum(jnp.sin(conv(x, kernel, **settings)))

    expected, derivative = jax.linearize(lambda k: loss(k), kernel)
    direct = jax.jvp(lambda k: jnp.sum(jnp.sin(plain.conv(x, k, **settings))), (kernel,), (jnp.ones_like(kernel),))
    close((expected, derivative(jnp.ones_like(kernel))), direct)

    def step(k, _):
        return k - 0.1 * jax.grad(lambda k: loss(k))(k), None

    scanned = jax.lax.scan(step, kernel, None, length=2)[0]
    close(scanned, step(step(kernel, None)[0], None)[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", first_fast("dense", "pointwise", "depthwise", "grouped"))
def test_half_types_accumulate_in_float32(dtype, name, rng):
    x, kernel, settings = make(name, rng, dtype)
    dy = jnp.asarray(rng.standard_normal(plain.conv(x, kernel, **settings).shape), dtype)

    got = results(trilinear.conv, x, kernel, dy, **settings)
    exact = results(plain.conv, *(a.astype("float32") for a in (x, kernel, dy)), **settings)
    for a, b in zip(got, exact):
        assert a.dtype == dtype
        # Rounded once, at the end: within one unit in the last place of the exact result.
        close(a.astype("float32"), b.astype(dtype).astype("float32"), float(jnp.finfo(dtype).eps))


def results(conv, x, kernel, dy, **settings):
    """Output, input gradient and kernel gradient."""
    y, pull = jax.vjp(lambda x, k: conv(x, k, **settings), x, kernel)
    return y, *pull(dy)


@pytest.mark.parametrize("name", ["dense", "depthwise strided, multiplied"])
def test_float64_is_computed_in_float64(name, rng):
    with jax.enable_x64(True):
        x, kernel, settings = make(name, rng, np.float64)
        dy = jnp.sin(plain.conv(x, kernel, **settings))
        ours, theirs = (results(conv, x, kernel, dy, **settings) for conv in (trilinear.conv, plain.conv))
        close(ours, theirs, 1e-13)


def test_integers_are_convolved_exactly():
    x, kernel, settings = make("grouped", np.random.default_rng(0))
    x, kernel = jnp.int32(9 * x), jnp.int32(9 * kernel)
    np.testing.assert_array_equal(trilinear.conv(x, kernel, **settings), plain.conv(x, kernel, **settings))


def program(function, arrays, platform):
    return jax.jit(function).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", first_fast("strided", "pointwise", "depthwise", "grouped"))
def test_gpu_and_tpu_get_the_program_of_lax(name, platform, rng):
    x, kernel, settings = make(name, rng)

    def f(conv):
        def f(x, kernel):
            return conv(x, kernel, **settings)

        def grad(x, kernel):
            return jax.grad(lambda *a: jnp.sum(f(*a)), (0, 1))(x, kernel)

        return f, grad

    for ours, theirs in zip(f(trilinear.conv), f(plain.conv)):
        assert program(ours, (x, kernel), platform) == program(theirs, (x, kernel), platform)
    assert "convolution" in program(f(trilinear.conv)[0], (x, kernel), platform)


@pytest.mark.parametrize("inside", ["highest", "BF16_BF16_F32_X3", None])
@pytest.mark.parametrize("outside", ["high", None])
def test_precision_is_that_of_the_call_for_derivatives_too(inside, outside, rng):
    x, kernel, settings = make("grouped", rng)

    def derivatives(conv):
        def f(x, kernel):
            with jax.default_matmul_precision(inside):
                return jnp.sum(jnp.sin(conv(x, kernel, **settings)))

        return lambda x, kernel: (jax.grad(f, (0, 1))(x, kernel), jax.jvp(jax.grad(f), (x, kernel), (x, kernel)))

    traced = [jax.jit(derivatives(conv)).trace(x, kernel) for conv in (trilinear.conv, plain.conv)]
    with jax.default_matmul_precision(outside):  # where a program is lowered does not matter
        ours, theirs = (sorted(precisions(one.lower(lowering_platforms=("tpu",)).as_text())) for one in traced)
    assert ours == theirs and len(ours) > 4


def precisions(text):
    return re.findall(r"stablehlo\.convolution.*?precision_config = (\[.*?\])", text)


def test_eager_calls_have_the_precision_in_force(rng):
    x, kernel, settings = make("dense", rng)
    expected = trilinear.conv(x, kernel, **settings)
    for precision in ("highest", "bfloat16"):  # one after another, so that none is another's compiled program
        with jax.default_matmul_precision(precision):
            text = str(jax.make_jaxpr(lambda x: trilinear.conv(x, kernel, **settings))(x))
            close(trilinear.conv(x, kernel, **settings), expected)
        assert f"precision={precision}" in text


def test_the_cpu_gets_another_program_whatever_the_default_backend(rng):
    x, kernel, settings = make("pointwise", rng)
    text = program(lambda x, kernel: trilinear.conv(x, kernel, **settings), (x, kernel), "cpu")
    assert "dot_general" in text and "convolution" not in text


def test_export_for_several_platforms_at_once(rng):
    x, kernel, settings = make("depthwise", rng)
    grad = jax.grad(lambda k: jnp.sum(jnp.sin(trilinear.conv(x, k, **settings))))
    exported = jax.export.export(jax.jit(grad), platforms=["cpu", "cuda", "tpu"])(kernel)
    close(exported.call(kernel), grad(kernel))


@pytest.mark.parametrize("name", ["dense", "pointwise", "depthwise"])
def test_export_with_a_symbolic_batch(name, rng):
    x, kernel, settings = make(name, rng)
    (n,) = jax.export.symbolic_shape("n")
    shape = jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype)
    exported = jax.export.export(jax.jit(lambda x: trilinear.conv(x, kernel, **settings)))(shape)
    close(exported.call(x), plain.conv(x, kernel, **settings))


@pytest.mark.parametrize("spec", [PartitionSpec("d"), PartitionSpec(None, "d")], ids=["batch", "height"])
@pytest.mark.parametrize("name", first_fast("dense", "strided", "pointwise", "depthwise", "grouped"))
def test_sharded_inputs_give_the_numbers_of_one_device(name, spec, rng):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    _, kernel, settings = make(name, rng)
    x = jnp.asarray(rng.standard_normal((8, 16, 6, kernel.shape[-2] * settings["groups"]), "f"))
    sharded = jax.device_put(x, NamedSharding(mesh, spec))

    def loss(x, kernel):
        y = trilinear.conv(x, kernel, **settings)
        return jnp.sum(jnp.sin(y)), y

    step = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    replicated = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    close(step(sharded, replicated), step(x, kernel))


@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
@pytest.mark.parametrize("spec", [(None, "a"), (None, "b"), (None, None, "b"), ("a",), ("a", "b")])
@pytest.mark.parametrize("groups, window", [(1, 3), (4, 3), (8, 9)])
def test_a_mesh_axis_that_divides_nothing(groups, window, spec, kind, rng):
    """XLA adds its kernel gradients up over it, too, where a spatial dimension is divided along another."""
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(kind,) * 2)
    x = jnp.asarray(rng.standard_normal((4, 8, 16, 8)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((window, window, 8 // groups, 8)), jnp.float32)
    settings = dict(strides=(1, 1), padding=((window // 2,) * 2,) * 2, dilation=(1, 1), groups=groups)
    step = jax.jit(jax.grad(lambda x, kernel: jnp.sum(jnp.sin(trilinear.conv(x, kernel, **settings))), (0, 1)))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))
    close(step(sharded, jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))), step(x, kernel))


@pytest.mark.parametrize(
    "height, channels, groups, window, stride, padding, dilation",
    [
        pytest.param(16, 8, 1, 3, 2, (4, 1), 1, id="XLA's kernel gradient is 0.5 off"),
        pytest.param(8, 3, 1, 3, 2, (0, 2), 1, id="XLA's kernel gradient is 1.0 off"),
        pytest.param(8, 8, 1, 5, 2, (4, 1), 2, id="XLA's input gradient is 0.95 off"),
        pytest.param(24, 8, 1, 1, 2, (1, 1), 1, id="XLA's input gradient ends the process"),
        pytest.param(8, 64, 32, 5, 2, (0, 2), 2, id="blocks of groups were 0.5 off"),
        pytest.param(16, 8, 1, 1, 1, (0, 1), 1, id="more positions than rows"),
        pytest.param(8, 8, 8, 8, 8, (0, 0), 1, id="one position: XLA takes the wrong rows of each channel"),
    ],
)
def test_windows_that_xla_cannot_divide(height, channels, groups, window, stride, padding, dilation, rng):
    """Over a height divided among devices."""
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jnp.asarray(rng.standard_normal((2, height, 5, channels)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((window, 3, channels // groups, 2 * groups)), jnp.float32)
    settings = dict(strides=(stride, 1), padding=(padding, (1, 1)), dilation=(dilation, 1), groups=groups)

    def loss(x, kernel):
        y = trilinear.conv(x, kernel, **settings)
        return jnp.sum(jnp.sin(y)), y

    step = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec(None, "d")))
    close(step(sharded, jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))), step(x, kernel))


@pytest.mark.parametrize("spec", [PartitionSpec("d"), PartitionSpec(None, "d")], ids=["batch", "height"])
@pytest.mark.parametrize("name", first_fast("dense", "pointwise", "depthwise", "grouped"))
def test_explicit_axes_divide_as_in_lax(name, spec, rng):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))
    _, kernel, settings = make(name, rng)
    x = jnp.asarray(rng.standard_normal((8, 16, 6, kernel.shape[-2] * settings["groups"]), "f"))
    # As many positions as rows: lax divides nothing else.
    settings["padding"] = tuple((d * (w // 2),) * 2 for w, d in zip(kernel.shape, settings["dilation"]))

    def gradients(conv, *arrays):
        def loss(x, kernel):
            y = conv(x, kernel, **settings)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(*arrays)

    divided = jax.device_put(x, NamedSharding(mesh, spec)), jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
    got, theirs = gradients(trilinear.conv, *divided), gradients(plain.conv, *divided)
    close(got, gradients(trilinear.conv, x, kernel))
    assert [jax.typeof(a) for a in jax.tree.leaves(got)] == [jax.typeof(a) for a in jax.tree.leaves(theirs)]


@pytest.mark.parametrize("name", first_fast("dense", "strided", "pointwise", "depthwise", "grouped"))
def test_gradients_inside_shard_map_equal_those_of_one_device(name, rng):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    _, kernel, settings = make(name, rng)
    x = jnp.asarray(rng.standard_normal((8, 6, 7, kernel.shape[-2] * settings["groups"]), "f"))

    def loss(kernel, x):
        return jnp.sum(jnp.sin(trilinear.conv(x, kernel, **settings)))

    def mean_loss(kernel, x):
        return jax.lax.pmean(loss(kernel, x), "d")

    spec = PartitionSpec("d")
    grads = jax.shard_map(
        jax.value_and_grad(mean_loss, (0, 1)),
        mesh=mesh,
        in_specs=(PartitionSpec(), spec),
        out_specs=(PartitionSpec(), (PartitionSpec(), spec)),
    )
    value, (dkernel, dx) = jax.jit(grads)(kernel, x)
    close((value * 8, (dkernel * 8, dx * 8)), jax.value_and_grad(loss, (0, 1))(kernel, x))


def test_eager_calls_compile_once(rng):
    x, kernel, settings = make("depthwise", rng)
    events = []

    def listener(event, duration, **_):
        events.append(event)

    trilinear.conv(x + 1, kernel, **settings)
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        trilinear.conv(x + 1, kernel, **settings)
        again = [event for event in events if "backend_compile" in event]
        jax.jit(lambda x: x + 2)(x)
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert not again
    assert any("backend_compile" in event for event in events)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_part_of_a_mesh_axis_that_divides_nothing(groups, rng):
    """A reshape leaves the images of one half of the batch on every second device."""
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jnp.asarray(rng.standard_normal((8, 16, 16, 8)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 3, 8 // groups, 8)), jnp.float32)
    settings = dict(strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=groups)

    def loss(x, kernel):
        rows = x.reshape(2, 4, 16, 16, 8)[0].reshape(1, 64, 16, 8)
        return jnp.sum(jnp.sin(trilinear.conv(rows, kernel, **settings)))

    step = jax.jit(jax.grad(loss, (0, 1)))
    divided, whole = NamedSharding(mesh, PartitionSpec("d")), NamedSharding(mesh, PartitionSpec())
    close(step(jax.device_put(x, divided), jax.device_put(kernel, whole)), step(x, kernel))


def test_what_is_not_finite_in_one_groups_kernel_stays_there(rng):
    """Small groups are computed together, with zeros between them."""
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((2, 5, 5, 8), (3, 3, 2, 8)))
    settings = dict(strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=4)
    broken, others = kernel.at[..., 2:4].set(jnp.nan), jnp.array([0, 1, 4, 5, 6, 7])
    for function in (trilinear.conv, partial(trilinear.conv_input_grad, space=(5, 5))):
        y, expected = (jax.jit(lambda k, f=function: f(x, k, **settings))(k) for k in (broken, kernel))
        assert jnp.isnan(y[..., 2:4]).all()
        np.testing.assert_array_equal(y[..., others], expected[..., others])


def test_a_symbolic_batch_of_both_arguments(rng):
    (n,) = jax.export.symbolic_shape("n")
    both = [jax.ShapeDtypeStruct((n, *shape), jnp.float32) for shape in ((2, 5, 5, 3), (3, 3, 3, 4))]
    settings = dict(strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1)
    with pytest.raises(TypeError, match=r"makes groups of the batch, whose size must be known; it is n\."):
        jax.eval_shape(jax.vmap(lambda x, k: trilinear.conv(x, k, **settings)), *both)


@pytest.mark.parametrize("stride", [17, 64])
def test_depthwise_gradients_with_many_phases(stride, rng):
    """A term in the program for each takes long to compile."""
    x, kernel = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((1, 130, 130, 4), (3, 3, 1, 4)))
    settings = dict(strides=(stride,) * 2, padding=((1, 1),) * 2, dilation=(1, 1), groups=4)

    def grad(conv):
        return jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(conv(x, kernel, **settings)))))

    lowered = grad(trilinear.conv).lower(x)
    assert len(lowered.as_text().splitlines()) < 500
    close(lowered.compile()(x), grad(plain.conv)(x))
