"""Gradients where the window moves by strides, for each position modulo the strides, a phase: there it moves by one."""

import itertools
import math

import jax.numpy as jnp
from jax import lax

from jaxconv.functional.lowering import blocks, columns, plain
from jaxconv.functional.lowering.chunk import add_over_images, map_over_images
from jaxconv.functional.lowering.taps import add, flip, interleave, offsets, pad, phase_shifts, untap

# Elements of the input in a chunk of images of a kernel gradient. Measured on 36 random layers: 2^16 to 2^20 and all
# images at once are as fast for some, and each of them twice as slow for others.
_ELEMENTS = 2**19


def input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """For strides above 1 and few channels: one convolution whose features are all positions modulo the stride."""
    *window, c, _ = kernel.shape
    shifts = [phase_shifts(*s) for s in zip(window, strides, padding, dilation)]
    axes, around = [], []
    for size, s, out, shift in zip(space, strides, dy.shape[1:-1], shifts):
        low = min(min(phase.values(), default=0) for phase in shift)
        high = max(max(phase.values(), default=0) for phase in shift)
        axes.append((low, high - low + 1))
        around.append((-low, -(-size // s) + high - out))
    # Kernel of one phase: at tap t of the window, the tap of the original window that is shifted by low + t.
    zero = jnp.zeros(kernel.shape[-2:], kernel.dtype)
    rows = []
    for t in offsets([taps for _, taps in axes]):
        features = []
        for phase in offsets(strides):
            wanted = [
                [i for i, shift in shifts[a][phase[a]].items() if shift == axes[a][0] + t[a]]
                for a in range(len(window))
            ]
            features.append(kernel[tuple(i for (i,) in wanted)] if all(wanted) else zero)
        rows.append(jnp.concatenate(features))
    merged = jnp.stack(rows).reshape(*(taps for _, taps in axes), -1, kernel.shape[-1])
    merged = lax.optimization_barrier(merged.swapaxes(-1, -2))
    ones = (1,) * len(window)
    y = plain.conv(dy, merged, strides=ones, padding=around, dilation=ones, groups=1)
    parts = y.reshape(*y.shape[:-1], len(offsets(strides)), c)
    return interleave([parts[..., p, :] for p in range(len(offsets(strides)))], strides, space)


def input_grad_columns(dy, kernel, *, space, strides, padding, dilation, groups):
    """`columns.input_grad_columns`, where one phase after another adds up the taps that reach it."""
    *window, c, k = kernel.shape
    matrix, number = kernel.reshape(-1, k), {offset: n for n, offset in enumerate(offsets(window))}
    shifts = [phase_shifts(*along) for along in zip(window, strides, padding, dilation)]
    coarse, ones = [-(-size // s) for size, s in zip(space, strides)], (1,) * len(window)

    def phase(products, position):
        terms = []
        for taps in itertools.product(*(along[p].items() for along, p in zip(shifts, position))):
            first = number[tuple(i for i, _ in taps)] * c
            part, ahead = products[..., first : first + c], [(shift, 0) for _, shift in taps]
            terms.append(untap(part, (0,) * len(window), ones, ones, coarse, ahead))
        return add(terms) if terms else jnp.zeros((products.shape[0], *coarse, c), products.dtype)

    def grad(dy):
        products = lax.dot_general(dy, matrix, (((dy.ndim - 1,), (1,)), ((), ())))
        return interleave([phase(products, position) for position in offsets(strides)], strides, space)

    return map_over_images(grad, dy)


def input_grad_products(dy, kernel, *, space, strides, padding, dilation, groups):
    """For windows of whole strides: one product of `dy` with the kernel of all phases, its taps added up (col2im)."""
    *window, _, k = kernel.shape
    taps = [w // s for w, s in zip(window, strides)]
    phased = blocks.to_channels(kernel.reshape(1, *window, -1), strides)  # (1, *taps, phases of c of k)
    matrix = lax.optimization_barrier(phased.reshape(-1, k))
    coarse, ones = [o + t - 1 for o, t in zip(dy.shape[1:-1], taps)], (1,) * len(taps)

    def grad(dy):
        products = lax.dot_general(dy, matrix, (((dy.ndim - 1,), (1,)), ((), ())))
        phases = columns.added(products, taps, coarse, ones, ((0, 0),) * len(taps), ones)
        whole = blocks.from_channels(phases, strides)
        return pad(whole, [(-low, low + size - had) for size, had, (low, _) in zip(space, whole.shape[1:-1], padding)])

    # Where windows lie side by side nothing is added up, and chunks were 0.4 to 1.1 times as fast.
    return map_over_images(grad, dy) if math.prod(taps) > 1 else grad(dy)


def kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """Without dilation: one product of all taps of `dy`, a row for each feature (im2col), with the phases of `x`."""
    taps = [-(-w // s) for w, s in zip(window, strides)]
    seen = [(o - 1 + t) * s for o, t, s in zip(dy.shape[1:-1], taps, strides)]
    ends = [(low, size - low - had) for size, had, (low, _) in zip(seen, x.shape[1:-1], padding)]
    ones = (1,) * len(window)
    settings = dict(window=taps, strides=ones, padding=[(t - 1, t - 1) for t in taps], dilation=ones, groups=1)

    def grad(x, dy):
        phases = lax.optimization_barrier(blocks.to_channels(pad(x, ends), strides))
        return columns.kernel_grad_columns(dy, phases, **settings)

    dphases = flip(add_over_images(grad, x, dy, at_once=max(1, _ELEMENTS // math.prod(x.shape[1:]))))
    dkernel = jnp.moveaxis(blocks.from_channels(jnp.moveaxis(dphases, -2, 0), strides), 0, -1)
    return dkernel[tuple(slice(size) for size in window)]
