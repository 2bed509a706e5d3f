"""Data parallelism. The only file that names a mesh or a sharding.

A step is written for one device. Here it is compiled over a mesh of all devices: the state is replicated, the batch is
split along its first axis, and the compiler inserts the sums across devices. This is what `jax.pmap` became (JAX
implements `pmap` itself this way since 0.8), with one difference that we want: batch norm sees the global batch, so
the parameters do not depend on the number of devices.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "data"


def data_mesh(devices: int | None = None) -> Mesh:
    """A one-dimensional mesh over the first `devices` devices (all of them by default).

    Raises:
        ValueError: if there are fewer devices than asked for.
    """
    available = jax.devices()
    count = len(available) if devices is None else devices
    if not 1 <= count <= len(available):
        raise ValueError(
            f"devices must lie between 1 and the number of devices here; got {count} of {len(available)} "
            f"({available[0].platform})."
        )
    return Mesh(np.array(available[:count]), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy of every leaf on every device.

    The copy owns its memory and may be donated. `jax.device_put` does not promise that: on the first device it may
    hand out the source itself, even with `may_alias=False`, and donating the copy then deletes the source.
    """
    return _copier(mesh)(tree)


@lru_cache
def _copier(mesh: Mesh) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=NamedSharding(mesh, P()))


def shard_batch(batch: Any, mesh: Mesh, *, axis: int = 0) -> Any:
    """Each device its rows along `axis`, which must be a multiple of the number of devices."""
    sharding = NamedSharding(mesh, P(*[None] * axis, AXIS))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), batch)


def require_divisible(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that the devices of the mesh cannot share evenly.

    Raises:
        ValueError: if `batch_size` is no multiple of the number of devices.
    """
    if batch_size % mesh.size:
        raise ValueError(
            f"batch_size must be a multiple of the number of devices; got batch_size {batch_size} "
            f"on {mesh.size} devices."
        )


def compile_step(
    step: Callable[..., Any], mesh: Mesh, *, batch_arguments: int, batch_axis: int = 0
) -> Callable[..., Any]:
    """Compile `step(state, *replicated, *batch)` over `mesh`.

    Args:
        step: a pure function written for one device; returns replicated values.
        mesh: from `data_mesh`.
        batch_arguments: how many of the last arguments are split over the devices; the rest is replicated.
        batch_axis: the axis along which they are split.

    Returns:
        The compiled function. It takes over (donates) the memory of its first argument.
    """
    whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P(*[None] * batch_axis, AXIS))

    def placed(*arguments: Any) -> Any:
        count = len(arguments) - batch_arguments
        rows = jax.lax.with_sharding_constraint(arguments[count:], split)
        return jax.lax.with_sharding_constraint(step(*arguments[:count], *rows), whole)

    return jax.jit(placed, donate_argnums=0)


def compile_evaluation(function: Callable[..., Any], mesh: Mesh, *, batch_arguments: int) -> Callable[..., Any]:
    """As `compile_step`, but nothing is donated: the state lives on."""
    split, whole = NamedSharding(mesh, P(AXIS)), NamedSharding(mesh, P())

    def placed(*arguments: Any) -> Any:
        count = len(arguments) - batch_arguments
        rows = jax.lax.with_sharding_constraint(arguments[count:], split)
        return jax.lax.with_sharding_constraint(function(*arguments[:count], *rows), whole)

    return jax.jit(placed)


def unrolls() -> bool:
    """Whether steps are dispatched one by one: XLA's convolutions are slow inside loops on CPU, and only there."""
    return jax.default_backend() == "cpu"
