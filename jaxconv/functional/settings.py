"""Settings as callers may write them, made full: one value for every spatial dimension."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, SupportsFloat

import jax
import numpy as np
from jax import export

from jaxconv.functional.arrays import is_real

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
