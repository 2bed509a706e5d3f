"""Declare a parameter, and read it at the call.

A constructor only declares: a shape and the function that will draw the values. Building a network, however large,
therefore costs no arithmetic, and its shapes can be looked at without memory.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike

from jaxconv.functional.combine import spread
from jaxconv.functional.settings import whole
from jaxconv.nn.initializers import Initializer


def parameter(shape: Sequence[int], init: Initializer) -> nnx.Param:
    """Declares a float32 parameter of `shape` that `init(rng, shape)` will draw.

    Raises:
        TypeError: if a size is no whole number.
        ValueError: if one is below 1.
    """
    return nnx.Param(_declared(shape), init=init)


def statistic(shape: Sequence[int], init: Initializer) -> nnx.BatchStat:
    """Declares a float32 running statistic of `shape`, whose first value `init(rng, shape)` gives.

    Raises:
        TypeError: if a size is no whole number.
        ValueError: if one is below 1.
    """
    return nnx.BatchStat(_declared(shape), init=init)


def _declared(shape: Sequence[int]) -> jax.ShapeDtypeStruct:
    sizes = tuple(whole("a parameter's size, such as its channels,", size, 1) for size in shape)
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def is_drawn(variable: nnx.Variable) -> bool:
    """Whether the variable holds values and not only a declaration."""
    return not isinstance(variable.get_value(), jax.ShapeDtypeStruct)


def read(variable: nnx.Variable, dtype: DTypeLike) -> Array:
    """The values of `variable` in `dtype`, the dtype of the input that they meet.

    Raises:
        ValueError: if the variable was declared and never drawn.
    """
    value = variable.get_value()
    if isinstance(value, jax.ShapeDtypeStruct):
        raise ValueError(
            "Parameters are declared first and drawn later: call jaxconv.nn.initialize(module) or "
            f"jaxconv.nn.functionalize(module) before module(x). Not drawn: {type(variable).__name__} "
            f"of shape {value.shape}."
        )
    return jnp.asarray(value, dtype)


def per_channel(values: Array, like: Array) -> Array:
    """`values` (c,) with the axes of `like` (n, *space, c), so that adding or scaling by them states what it does."""
    return spread(values.reshape((1,) * (like.ndim - 1) + (-1,)), like)
