"""Calls compiled as one program: the time of a small test is that of its compilations, one an operation when eager."""

import jax


def compiled(function, *arrays, **settings):
    """`function(*arrays, **settings)` under `jax.jit`, with the settings static."""
    return jax.jit(lambda *arrays: function(*arrays, **settings))(*arrays)
