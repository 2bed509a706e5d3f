"""Settings as callers may write them, made full: one value for every spatial dimension; and what arrays must be."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any, SupportsFloat

import jax.numpy as jnp
import numpy as np
from jax import Array, export

_PADDING_RULE = '"SAME", "SAME_LOWER", "VALID", an int or one (low, high) pair a dimension'
NAMED_PADDINGS = ("SAME", "SAME_LOWER", "VALID")

Padding = str | int | Sequence[int] | Sequence[Sequence[int]]
"""A name, one int P for every side, or one (low, high) pair for each dimension."""


def whole(name: str, value: Any, least: int) -> int:
    """`value` as an int that is at least `least`.

    Raises:
        TypeError: `value` is no whole number.
        ValueError: it is smaller than `least`.
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number; got {value!r}.")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, known when traced; got {value!r}.") from error
    if number < least:
        raise ValueError(f"{name} must be at least {least}; got {number}.")
    return number


def number(name: str, value: Any) -> int | float:
    """`value` as a Python number, which takes the dtype of the arrays that it meets.

    Raises:
        TypeError: `value` is no number.
    """
    message = f"{name} must be a number, known when traced; got {value!r}."
    if isinstance(value, bool | np.bool_) or not isinstance(value, SupportsFloat):
        raise TypeError(message)
    try:
        return value if isinstance(value, int) else float(value)
    except TypeError as error:
        raise TypeError(message) from error


def flag(name: str, value: Any) -> bool:
    """`value` as a bool.

    Raises:
        TypeError: `value` is none.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; got {value!r}.")
    return bool(value)


def spatial_size(size: Any) -> Any:
    """`size` as an int that is at least 1, or as the symbol of `jax.export` that it is.

    Raises:
        TypeError: `size` is neither.
        ValueError: it is smaller than 1.
    """
    return size if export.is_symbolic_dim(size) else whole("size", size, 1)


def known(value: Any, purpose: str) -> Any:
    """`value`, which follows from spatial sizes, if it is no symbol of `jax.export`.

    Raises:
        TypeError: it is.
    """
    if export.is_symbolic_dim(value):
        raise TypeError(f"Spatial sizes must be known, only the batch may be symbolic, for {purpose}.")
    return value


def spatial_sizes(space: Any) -> tuple[Any, ...]:
    """`spatial_size` of every dimension.

    Raises:
        TypeError: `space` is no sequence of sizes.
        ValueError: a size is smaller than 1.
    """
    if isinstance(space, str) or not isinstance(space, Iterable):
        raise TypeError(f"space must be a sequence of sizes, one for each spatial dimension; got {space!r}.")
    return tuple(map(spatial_size, space))


def per_dimension(name: str, value: Any, rank: int, *, least: int = 1) -> tuple[int, ...]:
    """One int for each of `rank` spatial dimensions; a single int stands for all of them.

    Raises:
        TypeError: an entry is no whole number.
        ValueError: there are not `rank` entries, or one is smaller than `least`.
    """
    entries = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(entries) != rank:
        raise ValueError(
            f"{name} must be one int or one for each spatial dimension, of which there are {rank}; got {value!r}."
        )
    return tuple(whole(name, entry, least) for entry in entries)


def padding_per_dimension(padding: Any, rank: int) -> tuple[str | tuple[int, int], ...]:
    """For each of `rank` dimensions a padding's name or its (low, high) pair.

    Raises:
        TypeError: a width is no whole number.
        ValueError: an unknown name, a negative width, or not one pair for each dimension.
    """
    if isinstance(padding, str):
        return (named_padding(padding),) * rank
    if not isinstance(padding, Sequence):
        width = whole("padding", padding, 0)
        return ((width, width),) * rank
    if len(padding) != rank or not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in padding):
        raise ValueError(
            f"padding must be {_PADDING_RULE}; there are {rank} spatial dimensions, padding is {padding!r}."
        )
    return tuple((whole("padding", low, 0), whole("padding", high, 0)) for low, high in padding)


def named_padding(name: str) -> str:
    """`name`, if it is one of the paddings that have a name.

    Raises:
        ValueError: it is not.
    """
    if name not in NAMED_PADDINGS:
        raise ValueError(f"padding must be {_PADDING_RULE}; got {name!r}.")
    return name


def space_rank(x) -> int:
    """The number of spatial dimensions of `x` (n, *space, c).

    Raises:
        ValueError: there is none.
    """
    check_rank("(n, *space, c) with at least one spatial dimension", x, 3)
    return x.ndim - 2


def check_arrays(**arrays) -> None:
    """Accepts what has a shape and a dtype, as arrays of JAX and NumPy have.

    Raises:
        TypeError: one has none.
    """
    for name, array in arrays.items():
        if not (hasattr(array, "shape") and hasattr(array, "dtype")):
            raise TypeError(f"{name} must be an array of JAX or NumPy; got {type(array).__name__}.")


def check_rank(layout: str, x, least: int, name: str = "x") -> None:
    """Accepts `x`, which messages call `name`, if it has at least as many dimensions as its layout.

    Raises:
        TypeError: it is no array.
        ValueError: it has not.
    """
    check_arrays(**{name: x})
    if x.ndim < least:
        raise ValueError(f"{name} must be {layout}; its shape is {x.shape}.")


def floating_array(name: str, x) -> Array:
    """`x` as an array of JAX, if it is floating, for the function `name`.

    Raises:
        TypeError: it is not.
    """
    check_arrays(x=x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name} takes floating numbers and keeps their dtype; x is {x.dtype}.")
    return jnp.asarray(x)


def real_array(name: str, x) -> Array:
    """`x` as an array of JAX, if it holds floating or whole numbers, for the function `name`.

    Raises:
        TypeError: it does not.
    """
    check_arrays(x=x)
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
        raise TypeError(f"{name} takes real numbers; x is {x.dtype}.")
    return jnp.asarray(x)


def accumulator(dtype) -> jnp.dtype:
    """The dtype of sums of `dtype`: itself if it is floating and no half type, else float32."""
    wide = jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize >= 4
    return jnp.dtype(dtype if wide else jnp.float32)


def check_mask(where, x) -> None:
    """Accepts a mask of examples, or None, for `x` (n, ...).

    Raises:
        TypeError: it is no array of bool.
        ValueError: it is not (n,).
    """
    if where is None:
        return
    check_arrays(where=where)
    if where.dtype != jnp.bool_:
        raise TypeError(f"where must be bool, which examples count; its dtype is {where.dtype}.")
    if where.shape != x.shape[:1]:
        raise ValueError(f"where must be (n,), one for each of the {x.shape[0]} examples; its shape is {where.shape}.")
