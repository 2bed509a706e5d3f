"""Elements of a window that see nothing but padding are left out, and nothing changes."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest

from jaxconv.functional.lowering import cpu, plain, unseen

# space, window, strides, padding, dilation, groups, and the window that is left
CASES = {
    "one position": ((1, 1), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, (1, 1)),
    "two of stride 2": ((2, 3), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, (2, 3)),
    "dilated past the map": ((5, 9), (3, 3), (1, 1), ((6, 6), (6, 6)), (6, 6), 1, (1, 3)),
    "dilated and strided": ((7, 6), (11, 5), (2, 2), ((20, 20), (8, 8)), (4, 4), 1, (3, 3)),
    "one side": ((3, 4), (3, 5), (1, 1), ((0, 5), (4, 0)), (1, 1), 1, (3, 4)),
    "depthwise": ((2, 2), (5, 7), (1, 1), ((2, 2), (3, 3)), (1, 1), 4, (3, 3)),
    "groups of a line": ((3,), (9,), (1,), ((4, 4),), (1,), 2, (5,)),
    "padding alone": ((2, 2), (2, 2), (4, 4), ((3, 3), (3, 3)), (1, 1), 1, (2, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_three_contractions_equal_those_of_xla(name, rng):
    space, window, strides, padding, dilation, groups, left = CASES[name]
    settings = dict(strides=strides, padding=padding, dilation=dilation, groups=groups)
    x = rng.standard_normal((2, *space, 4), "f")
    kernel = rng.standard_normal((*window, 4 // groups, 8), "f")
    dy = rng.standard_normal(jax.eval_shape(lambda x, k: plain.conv(x, k, **settings), x, kernel).shape, "f")
    for function, arrays, more in (
        ("conv", (x, kernel), {}),
        ("conv_input_grad", (dy, kernel), {"space": space}),
        ("conv_kernel_grad", (x, dy), {"window": window}),
    ):
        ours, theirs = (jax.jit(partial(getattr(m, function), **settings, **more))(*arrays) for m in (cpu, plain))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
    ends = unseen.seeing(space, dy.shape[1:-1], window, strides=strides, padding=padding, dilation=dilation)
    assert tuple(end - first for first, end in ends) == left


def test_none_is_left_out_that_sees_anything_and_the_places_stay():
    cut = 0
    sizes = (1, 2, 5), (1, 3, 4), (1, 2, 3), (1, 2, 5), (-1, 0, 1, 4, 8), (-1, 0, 2, 7)
    for size, taps, stride, step, low, high in itertools.product(*sizes):
        out = (size + low + high - step * (taps - 1) - 1) // stride + 1
        if out < 1:
            continue
        settings = dict(strides=(stride,), padding=((low, high),), dilation=(step,))
        [(first, end)] = ends = unseen.seeing((size,), (out,), (taps,), **settings)
        seen = [i for i in range(taps) if any(0 <= i * step - low + stride * o < size for o in range(out))]
        assert set(seen) <= set(range(first, end)) <= set(range(taps)) and end > first
        ((left, right),) = unseen.settings_of(ends, (taps,), **settings)["padding"]
        assert (size + left + right - step * (end - first - 1) - 1) // stride + 1 == out
        assert (left >= 0 or not first) and (right >= 0 or end == taps)
        cut += end - first < taps
    assert cut > 300
