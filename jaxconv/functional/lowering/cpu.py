"""Convolutions on the CPU: the form that `choice` names, in float32 for half types.

`sharded` is 1 where XLA is to divide the program among devices, which loops over images would keep it from, and 2 where
it may divide an array among some of the devices only.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxconv.functional.lowering import choice, plain, unseen, when
from jaxconv.functional.lowering.taps import out_space


def conv(x, kernel, *, sharded=0, **settings):
    """See `plain.conv`."""
    case = _case(x.shape, kernel.shape, sharded=sharded, **settings)
    if ends := _unseen(case):
        settings = unseen.settings_of(ends, kernel.shape[:-2], **settings)
        return conv(x, unseen.cut(kernel, ends), **settings)
    return _run(choice.CONV, plain.conv, case, x, kernel, settings)


def conv_input_grad(dy, kernel, *, space, sharded=0, **settings):
    """See `plain.conv_input_grad`."""
    x = (dy.shape[0], *space, kernel.shape[-2] * settings["groups"])
    case = _case(x, kernel.shape, sharded=sharded, **settings)
    if ends := _unseen(case):
        settings = unseen.settings_of(ends, kernel.shape[:-2], **settings)
        return conv_input_grad(dy, unseen.cut(kernel, ends), space=space, **settings)
    if case is not None:
        dy, settings = _seeing(dy, kernel.shape[:-2], **settings)
    case = _case(x, kernel.shape, sharded=sharded, **settings)
    return _run(choice.INPUT_GRAD, _plain_input_grad, case, dy, kernel, settings | {"space": space})


def _seeing(dy, window, *, strides, padding, dilation, groups):
    """`dy` and the settings without the first positions, whose windows see nothing but padding.

    The convolution that gives the gradient would cut them off by a negative padding. Where it has a positive one at the
    other end, XLA for the CPU reads beside the array under jax 0.10.
    """
    unseen = [
        min(max(0, -((d * (taps - 1) - low) // s)), out - 1)
        for taps, s, (low, _), d, out in zip(window, strides, padding, dilation, dy.shape[1:-1])
    ]
    seen = tuple((low - n * s, high) for n, s, (low, high) in zip(unseen, strides, padding))
    dy = lax.slice(dy, (0, *unseen, 0), dy.shape) if any(unseen) else dy
    return dy, dict(strides=strides, padding=seen, dilation=dilation, groups=groups)


def _plain_input_grad(dy, kernel, *, padding, **settings):
    """XLA's own form, with a third tap of zeros where a dense window of 2 has stride 2.

    XLA for the CPU would end the process there if another dimension has more taps than outputs (it exchanges the
    operands of such a convolution, and then finds that its window does not fit).
    """
    halves = [w == s == 2 and d == 1 for w, s, d in zip(kernel.shape, settings["strides"], settings["dilation"])]
    kernel = jnp.pad(kernel, [*((0, int(half)) for half in halves), (0, 0), (0, 0)]) if any(halves) else kernel
    padding = tuple((low, high + half) for (low, high), half in zip(padding, halves))
    return plain.conv_input_grad(dy, kernel, padding=padding, **settings)


def conv_kernel_grad(x, dy, *, window, sharded=0, **settings):
    """See `plain.conv_kernel_grad`."""
    kernel = (*window, x.shape[-1] // settings["groups"], dy.shape[-1])
    case = _case(x.shape, kernel, sharded=sharded, **settings)
    if ends := _unseen(case):
        settings = unseen.settings_of(ends, window, **settings)
        part = conv_kernel_grad(x, dy, window=tuple(end - first for first, end in ends), **settings)
        return unseen.filled(part, ends, window)
    # A normalised activation written out for a depthwise form took 225 MiB more in a step of MobileNetV2, and longer.
    maps = 0 if case is not None and when.depthwise(case) else 2
    return _run(choice.KERNEL_GRAD, plain.conv_kernel_grad, case, x, dy, settings | {"window": window}, maps)


def _case(x, kernel, *, sharded, strides, padding, dilation, groups):
    # Sizes may be symbols (jax.export). A batch of unknown size is treated as one image; beyond that, and for empty
    # arrays, there is nothing to choose by.
    if not all(isinstance(size, int) for size in (*x[1:], *kernel)) or 0 in (*x, *kernel):
        return None
    images = x[0] if isinstance(x[0], int) else 1
    out = out_space(x[1:-1], kernel[:-2], strides, padding, dilation)
    channels, features = kernel[-2], kernel[-1] // groups
    sizes = (images, x[1:-1], out, kernel[:-2], channels, features)
    return when.Case(*sizes, strides, padding, dilation, groups, sharded)


def _unseen(case):
    """The ends of the window's elements that see anything, if others do not; on one device."""
    if case is None or case.sharded:
        return None
    settings = dict(strides=case.strides, padding=case.padding, dilation=case.dilation)
    ends = unseen.seeing(case.space, case.out, case.window, **settings)
    return None if ends == [(0, taps) for taps in case.window] else ends


def _run(table, default, case, a, b, settings, maps=1):
    """The form for two arguments, of which the first, or as many as `maps` says, are maps and not kernels."""
    if case is None or not jnp.issubdtype(a.dtype, jnp.floating):
        return default(a, b, **settings)
    form = choice.pick(table, case)
    # XLA has no half-precision arithmetic on most CPUs: it would widen and round every single operation.
    wide = np.promote_types(a.dtype, np.float32)
    arrays = [a.astype(wide), b.astype(wide)]
    if form is not None:
        arrays[:maps] = map(_once, arrays[:maps])
    return (form or default)(*arrays, **settings).astype(a.dtype)


def _once(a):
    """`a`, written out before a form reads it.

    A form reads slices, and XLA would work out in each slice all elementwise work that has led to it: past the sum of
    a residual block, what led to the block, and so on through a stage. With this a training step of RegNetY-800MF took
    27 s to compile, 42 without, and 0.93 of the time to run (`experiments/LOG.md`).
    """
    return lax.optimization_barrier(a)
