"""What arrays that callers give must be, and the dtype of their sums."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


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
