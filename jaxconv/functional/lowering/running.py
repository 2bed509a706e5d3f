"""Maxima and sums of many neighbours, from those of half as many: the program is short for large windows too."""

import jax.numpy as jnp
from jax import lax


def maximum(x, size, axis):
    """Of `size` neighbours along `axis`, from two that `reach` as far already, and may overlap."""
    reach = 1
    while reach < size:
        step = min(reach, size - reach)
        left = x.shape[axis] - step
        x = jnp.maximum(_part(x, 0, left, axis), _part(x, step, left, axis))
        reach += step
    return x


def total(x, size, axis):
    """Of `size` neighbours along `axis`, from those of powers of two, which the digits of `size` name."""
    left = x.shape[axis] - size + 1
    reach, done, result = 1, 0, None
    while True:
        if size & reach:
            part = _part(x, done, left, axis)
            result, done = part if result is None else result + part, done + reach
        if done == size:
            return result
        x = _part(x, 0, x.shape[axis] - reach, axis) + _part(x, reach, x.shape[axis] - reach, axis)
        reach *= 2


def _part(x, start, size, axis):
    return lax.slice_in_dim(x, start, start + size, axis=axis)
