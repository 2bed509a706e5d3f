"""Settings as callers may write them, made full: one value for every spatial dimension; and what arrays must be."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export

_PADDING_RULE = '"SAME", "SAME_LOWER", "VALID", an int or one (low, high) pair a dimension'
_WHOLE = 2**31  # Python's ints from here on fit no dtype that JAX would give them
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


def number(name: str, value: Any, least: int | float | None = None) -> int | float:
    """`value` as a Python number, which takes the dtype of the arrays that it meets.

    Raises:
        TypeError: `value` is no real number.
        ValueError: it is beyond all floating numbers or, if there is a `least`, smaller than that or NaN.
    """
    if isinstance(value, int) and abs(value) >= _WHOLE:
        value = _as_float(name, value)
    message = f"{name} must be a number, known when traced; got {value!r}."
    array = isinstance(value, jax.Array | np.ndarray | np.generic)
    if isinstance(value, bool) or (array and not is_real(value.dtype)) or not isinstance(value, SupportsFloat):
        raise TypeError(message)
    try:
        result = value if isinstance(value, int) else float(value)
    except TypeError as error:
        raise TypeError(message) from error
    if least is not None and not result >= least:
        rule = "a number" if math.isnan(result) else f"at least {least}"
        raise ValueError(f"{name} must be {rule}; got {result}.")
    return result


def _as_float(name: str, value: int) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{name} must be within the range of floating numbers.") from error


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
        ValueError: it is empty, or a size is smaller than 1.
    """
    unordered = isinstance(space, str | bytes | Set | Mapping) or np.ndim(space) == 0
    if unordered or not isinstance(space, Iterable):
        raise TypeError(f"space must be a sequence of sizes, one for each spatial dimension; got {space!r}.")
    sizes = tuple(map(spatial_size, space))
    if not sizes:
        raise ValueError(f"space must have at least one dimension; got {space!r}.")
    return sizes


def per_dimension(name: str, value: Any, rank: int, *, least: int = 1) -> tuple[int, ...]:
    """One int for each of `rank` spatial dimensions; a single int stands for all of them.

    Raises:
        TypeError: an entry is no whole number.
        ValueError: there are not `rank` entries, or one is smaller than `least`.
    """
    entries = tuple(value) if _is_sequence(value) else (value,) * rank
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
    if not _is_sequence(padding):
        width = whole("padding", padding, 0)
        return ((width, width),) * rank
    if len(padding) != rank or not all(_is_sequence(pair) and len(pair) == 2 for pair in padding):
        raise ValueError(
            f"padding must be {_PADDING_RULE}; there are {rank} spatial dimensions, padding is {padding!r}."
        )
    return tuple((whole("padding", low, 0), whole("padding", high, 0)) for low, high in padding)


def _is_sequence(value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, bytes)


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


def check_positions(x) -> None:
    """Accepts `x` (n, *space, c) if it has a position in every spatial dimension.

    Raises:
        ValueError: it has not.
    """
    if 0 in x.shape[1:-1]:
        raise ValueError(f"x must have a position in every spatial dimension; its shape is {x.shape}.")


def check_arrays(**arrays) -> None:
    """Accepts arrays of JAX and NumPy, and what JAX takes for one (`nnx.Param`), of numbers or of bool.

    Raises:
        TypeError: one is something else.
    """
    for name, array in arrays.items():
        ours = isinstance(array, jax.Array | np.ndarray | np.generic) or hasattr(array, "__jax_array__")
        if not ours or isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"{name} must be an array of JAX or NumPy; got {type(array).__name__}.")
        if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == jnp.bool_):
            raise TypeError(f"{name} must be an array of numbers; its dtype is {array.dtype}.")


def check_key(key) -> None:
    """Accepts a random key, of the new style or the old.

    Raises:
        TypeError: it is none.
        ValueError: it is several.
    """
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and (getattr(key, "dtype", None) != jnp.uint32 or not key.ndim):
        raise TypeError(f"key must be a random key, as jax.random.key(0) is; got {type(key).__name__}.")
    if key.ndim != (0 if typed else 1):
        raise ValueError(f"key must be a single one; it has shape {key.shape}. jax.random.split makes several of one.")


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


def real_array(name: str, x, called: str = "x") -> Array:
    """`x`, which messages call `called`, as an array of JAX, if it holds real numbers, for the function `name`.

    Raises:
        TypeError: it does not.
    """
    check_arrays(**{called: x})
    if not is_real(x.dtype):
        raise TypeError(f"{name} takes real numbers; {called} is {x.dtype}.")
    return jnp.asarray(x)


def is_real(dtype) -> bool:
    """Whether it is a dtype of floating or whole numbers."""
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


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
