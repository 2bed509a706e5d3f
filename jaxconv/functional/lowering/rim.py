"""Windows over the rim of an array apart from those inside, so that no padded copy of it is written."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from jaxconv.functional.lowering.taps import out_space


def apart(form: Callable[..., Array], x, *, window, strides, padding, dilation) -> Array:
    """`form(x, padding)`, with windows inside reading `x` itself and those over its rim a small, padded part of it.

    Args:
        form: function of an array (n, *space, c) and its padding, giving an element (n, *out, k) for each place of a
            window that it sees.
        x: array (n, *space, c).
        window: size of the window.
        strides: its strides.
        padding: its padding.
        dilation: its dilation.
    """
    space = x.shape[1:-1]
    whole = [(0, o) for o in out_space(space, window, strides, padding, dilation)]
    inside = [
        (-(-low // s), (size + low - d * (taps - 1) - 1) // s + 1)
        for size, taps, s, (low, _), d in zip(space, window, strides, padding, dilation)
    ]
    inside = [(max(first, 0), min(last, o)) for (first, last), (_, o) in zip(inside, whole)]
    if inside == whole or any(first >= last for first, last in inside):
        return form(x, padding)

    def part(ranges):
        seen = [
            (a * s - low, (b - 1) * s - low + d * (taps - 1) + 1)
            for (a, b), taps, s, (low, _), d in zip(ranges, window, strides, padding, dilation)
        ]
        # Where windows see nothing but padding, what is read of `x` is empty.
        start, stop = zip(*((min(max(a, 0), size), min(max(b, 0), size)) for (a, b), size in zip(seen, space)))
        before = [min(max(-a, 0), b - a) for a, b in seen]
        beyond = tuple((p, b - a - p - (z - y)) for p, (a, b), y, z in zip(before, seen, start, stop))
        return form(lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1])), beyond)

    def joined(done):
        axis = len(done)
        if axis == len(window):
            return part(done)
        (first, last), (_, end), rest = inside[axis], whole[axis], whole[axis + 1 :]
        before = [part([*done, (0, first), *rest])] if first else []
        after = [part([*done, (last, end), *rest])] if last < end else []
        return jnp.concatenate([*before, joined([*done, (first, last)]), *after], axis + 1)

    return joined([])
