"""Elements of a window that see nothing but padding, wherever the window stands: convolutions without them.

Of 3x3 on a map of one position all but the middle, of a window dilated past a small map most.
"""

from typing import Any

import jax.numpy as jnp


def seeing(space, out, window, *, strides, padding, dilation):
    """For each dimension the first element of the window that sees a position, and the end of those."""
    return [_ends(*along) for along in zip(space, out, window, strides, padding, dilation, strict=True)]


def _ends(size, out, taps, stride, padding, step):
    # What is cut off of the window is cut off of the padding, too, of which something is left.
    low, high = padding
    first = min(-(-(low - stride * (out - 1)) // step), low // step, taps - 1)
    beyond = min(taps - 1 - (size - 1 + low) // step, high // step)
    first, beyond = max(first, 0), max(beyond, 0)
    return (first, taps - beyond) if first + beyond < taps else (0, taps)


def cut(kernel, ends):
    """`kernel` (*window, c, k) without the others."""
    return kernel[tuple(slice(*pair) for pair in ends)]


def filled(kernel, ends, window):
    """The inverse: zeros for the others, as their gradients are."""
    around = [(first, taps - end) for (first, end), taps in zip(ends, window)]
    return jnp.pad(kernel, [*around, (0, 0), (0, 0)]) if any(map(any, around)) else kernel


def settings_of(ends, window, *, padding, dilation, **settings) -> dict[str, Any]:
    """The settings of a convolution by what is left of the window."""
    left = tuple(
        (low - first * step, high - (taps - end) * step)
        for (first, end), taps, (low, high), step in zip(ends, window, padding, dilation)
    )
    return dict(padding=left, dilation=dilation, **settings)
