"""Convolutions and pools against torch on configurations that hypothesis draws; skipped where torch is absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functional.compiled import compiled
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import jaxconv.functional as F

torch = pytest.importorskip("torch")

TOLERANCE = 1e-5  # of the largest number in torch's answer
drawn = dict(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
fast = settings(max_examples=6, **drawn)


def torch_of(x):
    """(n, *space, c) as torch's (n, c, *space)."""
    return torch.tensor(np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1)), requires_grad=True)


def array_of(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def check_close(actual, expected, tolerance=TOLERANCE):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-3))


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    space, window, strides, dilation = each(1, 9), each(1, 4), each(1, 3), each(1, 3)
    return dict(
        space=space,
        window=window,
        strides=strides,
        dilation=dilation,
        padding=each(0, 3),
        groups=draw(st.integers(1, 3)),
        images=draw(st.integers(1, 2)),
        inputs=draw(st.integers(1, 3)),
        features=draw(st.integers(1, 3)),
        extra=tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilation)),
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def wide_convolutions(draw):
    """Maps and channels of sizes at which the CPU takes forms of its own: dense, grouped, depthwise, points."""
    case = draw(convolutions())
    rank = len(case["space"])
    window = tuple(draw(st.sampled_from([1, 2, 3, 5, 7] if rank < 3 else [1, 2, 3])) for _ in range(rank))
    channels = [(1, 3, 64), (1, 64, 64), (1, 256, 64), (1, 64, 256), (8, 4, 4), (32, 1, 2), (32, 1, 1), (64, 1, 1)]
    groups, inputs, features = draw(st.sampled_from(channels))
    return case | dict(
        space=tuple(draw(st.integers(7, 32 if rank < 3 else 10)) for _ in range(rank)),
        window=draw(st.sampled_from([window, (1,) * rank])),
        padding=tuple(draw(st.integers(0, 5)) for _ in range(rank)),
        images=draw(st.sampled_from([1, 2, 8])),
        groups=groups,
        inputs=inputs,
        features=features,
    )


def draw_arrays(case, layout):
    """x, a kernel (*window, inputs, groups * features), and torch's weight, whose first axes are as `layout` says."""
    rng = np.random.default_rng(case["seed"])
    groups, inputs, features = case["groups"], case["inputs"], case["features"]
    x = jnp.asarray(rng.standard_normal((case["images"], *case["space"], groups * inputs)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((*case["window"], inputs, groups * features)), jnp.float32)
    split = np.asarray(kernel).reshape(*case["window"], inputs, groups, features)
    split = np.moveaxis(split, (-2, -1, -3) if layout == "out first" else (-2, -3, -1), (0, 1, 2))
    weight = split.reshape(split.shape[0] * split.shape[1], *split.shape[2:])
    return x, kernel, torch.tensor(np.ascontiguousarray(weight), requires_grad=True)


def kernel_of(weight_gradient, case, layout):
    """torch's gradient of its weight, arranged as our kernel."""
    groups, inputs, features = case["groups"], case["inputs"], case["features"]
    first, second = (features, inputs) if layout == "out first" else (inputs, features)
    split = weight_gradient.numpy().reshape(groups, first, second, *case["window"])
    split = np.moveaxis(split, (0, 1, 2), (-2, -1, -3) if layout == "out first" else (-2, -3, -1))
    return split.reshape(*case["window"], inputs, groups * features)


def value_and_gradients(function, x, kernel, dy, **keywords):
    def both(x, kernel, dy):
        y, pull = jax.vjp(lambda x, kernel: function(x, kernel, **keywords), x, kernel)
        return y, *pull(dy)

    return jax.jit(both)(x, kernel, dy)


def check_conv(case):
    rank = len(case["space"])
    covered = [d * (w - 1) + 1 for w, d in zip(case["window"], case["dilation"])]
    assume(all(size + 2 * p >= f for size, p, f in zip(case["space"], case["padding"], covered)))
    x, kernel, weight = draw_arrays(case, "out first")
    settings = dict(dilation=case["dilation"], groups=case["groups"])
    convolve = getattr(torch.nn.functional, f"conv{rank}d")
    theirs = torch_of(x)
    expected = convolve(theirs, weight, stride=case["strides"], padding=case["padding"], **settings)
    dy = torch.ones_like(expected).cumsum(-1).cos()
    expected.backward(dy)
    pairs = tuple((p, p) for p in case["padding"])
    y, dx, dkernel = value_and_gradients(
        F.conv, x, kernel, jnp.asarray(array_of(dy)), strides=case["strides"], padding=pairs, **settings
    )
    check_close(y, array_of(expected))
    check_close(dx, array_of(theirs.grad))
    check_close(dkernel, kernel_of(weight.grad, case, "out first"))


def check_conv_transpose(case):
    rank = len(case["space"])
    geometry = zip(*(case[name] for name in ("space", "window", "strides", "padding", "dilation", "extra")))
    assume(all((n - 1) * s - 2 * p + d * (w - 1) + 1 + e > 0 for n, w, s, p, d, e in geometry))
    x, kernel, weight = draw_arrays(case, "in first")
    settings = dict(dilation=case["dilation"], groups=case["groups"], output_padding=case["extra"])
    convolve = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    theirs = torch_of(x)
    expected = convolve(theirs, weight, stride=case["strides"], padding=case["padding"], **settings)
    dy = torch.ones_like(expected).cumsum(-1).cos()
    expected.backward(dy)
    pairs = tuple((p, p) for p in case["padding"])
    y, dx, dkernel = value_and_gradients(
        F.conv_transpose, x, kernel, jnp.asarray(array_of(dy)), strides=case["strides"], padding=pairs, **settings
    )
    check_close(y, array_of(expected))
    check_close(dx, array_of(theirs.grad))
    check_close(dkernel, kernel_of(weight.grad, case, "in first"))


@st.composite
def pools(draw):
    rank = draw(st.integers(1, 3))
    window = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    return dict(
        space=tuple(draw(st.integers(1, 9)) for _ in range(rank)),
        window=window,
        strides=tuple(draw(st.integers(1, 4)) for _ in range(rank)),
        padding=tuple(draw(st.integers(0, w // 2)) for w in window),  # torch allows no more
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
        kind=draw(st.sampled_from(["max", "avg", "lp", "adaptive avg", "adaptive max"])),
        seed=draw(st.integers(0, 2**16)),
    )


def check_pool(case):
    rank, kind = len(case["space"]), case["kind"]
    rng = np.random.default_rng(case["seed"])
    x = jnp.asarray(rng.standard_normal((2, *case["space"], 2)), jnp.float32)
    theirs = torch_of(x)
    geometry = dict(kernel_size=case["window"], stride=case["strides"])
    ours = dict(window=case["window"], strides=case["strides"])
    if kind in ("max", "avg"):
        function = F.max_pool if kind == "max" else F.avg_pool
        geometry |= dict(padding=case["padding"], ceil_mode=case["ceil_mode"])
        ours |= dict(padding=tuple((p, p) for p in case["padding"]), ceil_mode=case["ceil_mode"])
        if kind == "avg":
            geometry["count_include_pad"] = ours["count_include_pad"] = case["count_include_pad"]
    elif kind == "lp":
        function, geometry["norm_type"] = F.lp_pool, 2
        if rank == 1:  # torch multiplies by what it takes as kernel_size
            geometry["kernel_size"] = case["window"][0]
        ours |= dict(padding=0, p=2)
    else:
        function = F.adaptive_avg_pool if kind == "adaptive avg" else F.adaptive_max_pool
        geometry, ours = dict(output_size=case["window"]), dict(size=case["window"])
    padded = zip(case["space"], case["window"], case["padding"] if kind in ("max", "avg") else (0,) * rank)
    if kind == "avg" and rank == 3:  # torch refuses here what it accepts in one and two dimensions
        assume(all(size >= w for size, w in zip(case["space"], case["window"])))
    rounded_up = case["ceil_mode"] and kind in ("max", "avg")
    assume("adaptive" in kind or rounded_up or all(size + 2 * p >= w for size, w, p in padded))
    name = kind.replace("adaptive ", "adaptive_") + f"_pool{rank}d"
    expected = getattr(torch.nn.functional, name)(theirs, **geometry)
    dy = torch.ones_like(expected).cumsum(-1).cos()
    expected.backward(dy)

    def both(x, dy):
        y, pull = jax.vjp(lambda x: function(x, **ours), x)
        return y, pull(dy)[0]

    y, dx = compiled(both, x, jnp.asarray(array_of(dy)))
    check_close(y, array_of(expected))
    check_close(dx, array_of(theirs.grad))


@fast
@given(convolutions())
def test_conv(case):
    check_conv(case)


@pytest.mark.slow
@settings(max_examples=200, **drawn)
@given(convolutions())
def test_conv_at_length(case):
    check_conv(case)


@pytest.mark.slow
@settings(max_examples=100, **drawn)
@given(wide_convolutions())
def test_wide_convs(case):
    check_conv(case)


@fast
@given(convolutions())
def test_conv_transpose(case):
    check_conv_transpose(case)


@pytest.mark.slow
@settings(max_examples=150, **drawn)
@given(convolutions())
def test_conv_transpose_at_length(case):
    check_conv_transpose(case)


@fast
@given(pools())
def test_pools(case):
    check_pool(case)


@pytest.mark.slow
@settings(max_examples=150, **drawn)
@given(pools())
def test_pools_at_length(case):
    check_pool(case)


def test_norms(rng):
    x = jnp.asarray(1 + rng.standard_normal((3, 5, 4, 6)), jnp.float32)
    scale, bias = (jnp.asarray(rng.standard_normal(6), jnp.float32) for _ in range(2))
    affine = dict(weight=torch.tensor(np.asarray(scale)), bias=torch.tensor(np.asarray(bias)))
    functional, theirs = torch.nn.functional, torch_of(x)
    mean, variance = compiled(F.batch_moments, x)
    check_close(
        compiled(F.batch_norm, x, mean, variance, scale, bias, epsilon=1e-5),
        array_of(functional.batch_norm(theirs, None, None, **affine, training=True, eps=1e-5)),
    )
    check_close(
        compiled(F.group_norm, x, scale, bias, groups=3, epsilon=1e-5),
        array_of(functional.group_norm(theirs, 3, **affine, eps=1e-5)),
    )
    last = torch.tensor(np.asarray(x))
    check_close(
        compiled(F.layer_norm, x, scale, bias, epsilon=1e-6),
        functional.layer_norm(last, (6,), **affine, eps=1e-6).numpy(),
    )
    check_close(
        compiled(F.local_response_norm, x, size=4, alpha=0.1, beta=0.75, k=2),
        array_of(functional.local_response_norm(theirs, 4, alpha=0.1, beta=0.75, k=2)),
    )


def test_losses(rng):
    logits = jnp.asarray(3 * rng.standard_normal((7, 5)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 5, 7), jnp.int32)
    soft = jnp.asarray(rng.dirichlet(np.ones(5), 7), jnp.float32)
    functional, theirs = torch.nn.functional, torch.tensor(np.asarray(logits))
    hard = torch.tensor(np.asarray(labels), dtype=torch.int64)
    probabilities = torch.tensor(np.asarray(soft))
    for smoothing in (0.0, 0.1):
        for ours, target in [(labels, hard), (soft, probabilities)]:
            check_close(
                compiled(F.cross_entropy, logits, ours, smoothing=smoothing),
                functional.cross_entropy(theirs, target, label_smoothing=smoothing).numpy(),
            )
    check_close(
        compiled(F.binary_cross_entropy, logits, soft),
        functional.binary_cross_entropy_with_logits(theirs, probabilities).numpy(),
    )
    # torch divides the sum over classes by their number.
    check_close(
        compiled(F.multiclass_hinge, logits, labels, margin=0.5),
        5 * functional.multi_margin_loss(theirs, hard, margin=0.5).numpy(),
    )
