"""Data parallelism. The only file that names a mesh or a sharding.

A step is written for one device. Here it is compiled over a mesh of all devices: the state is replicated, the batch is
split along its first axis, and the compiler inserts the sums across devices. This is what `jax.pmap` became (JAX
implements `pmap` itself this way since 0.8), with one difference that we want: batch norm sees the global batch, so
the parameters do not depend on the number of devices. The devices may belong to several processes, which all run the
same program on their own rows of each batch (`processes.py`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxconv.train.processes import broadcast

AXIS = "data"


def data_mesh(devices: int | None = None) -> Mesh:
    """A one-dimensional mesh over the first `devices` devices (all of them by default).

    Raises:
        ValueError: if there are fewer devices than asked for, or more than those while several processes share the run.
    """
    available = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    count = len(available) if devices is None else devices
    if not 1 <= count <= len(available):
        raise ValueError(
            f"devices must lie between 1 and the number of devices here; got {count} of {len(available)} "
            f"({available[0].platform})."
        )
    if jax.process_count() > 1 and count < len(available):
        raise ValueError(
            f"devices must be all {len(available)} where {jax.process_count()} processes share a run; got {count}."
        )
    return Mesh(np.array(available[:count]), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy of every leaf on every device.

    The copy owns its memory and may be donated. `jax.device_put` does not promise that: on the first device it may
    hand out the source itself, even with `may_alias=False`, and donating the copy then deletes the source.

    Args:
        tree: of arrays, the same on every process.
        mesh: from `data_mesh`.
    """
    return _copier(mesh)(place(tree, NamedSharding(mesh, P())) if jax.process_count() > 1 else tree)


@lru_cache
def _copier(mesh: Mesh) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=NamedSharding(mesh, P()))


def place(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Arrays that every process holds whole, on the devices of all of them."""
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def placed(leaf: Any) -> jax.Array:
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(placed, tree)


def from_first(tree: Any, mesh: Mesh) -> Any:
    """The arrays of process 0 on every device; the other processes give arrays of the same shapes and types."""
    if jax.process_count() == 1:
        return replicate(tree, mesh)
    return replicate(broadcast(tree), mesh)


def local_rows(size: int, mesh: Mesh) -> slice:
    """Which of the `size` rows of a batch this process provides; all of them where it is alone."""
    indices = NamedSharding(mesh, P(AXIS)).addressable_devices_indices_map((size,)).values()
    rows = [index[0].indices(size) for index in indices if index is not None]
    return slice(min(start for start, _, _ in rows), max(stop for _, stop, _ in rows))


def shard_batch(batch: Any, mesh: Mesh, *, size: int) -> Any:
    """Each device its rows of a batch, of which this process holds those of `local_rows`.

    Args:
        batch: tree of arrays (rows, ...).
        mesh: from `data_mesh`.
        size: rows of the whole batch, a multiple of the number of devices.
    """
    sharding = NamedSharding(mesh, P(AXIS))

    def placed(leaf: Any) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, np.asarray(leaf), (size, *np.shape(leaf)[1:]))

    return jax.tree.map(placed, batch)


def shard_batches(batches: Sequence[Any], mesh: Mesh, *, size: int, most: int) -> Any:
    """Each device its rows of some batches, which lie behind one another.

    Args:
        batches: at least one; of each this process holds the rows of `local_rows`.
        mesh: from `data_mesh`.
        size: rows of a whole batch, a multiple of the number of devices.
        most: for how many there is space.

    Returns:
        Tree of arrays (most, size, ...), zero behind the last batch.
    """
    sharding = NamedSharding(mesh, P(None, AXIS))

    def placed(*leaves: np.ndarray) -> jax.Array:
        stack = leaves[0][None]
        if most > 1:
            stack = np.zeros((most, *leaves[0].shape), leaves[0].dtype)
            np.stack(leaves, out=stack[: len(leaves)])
        return jax.make_array_from_process_local_data(sharding, stack, (most, size, *leaves[0].shape[1:]))

    return jax.tree.map(placed, *batches)


def shard_columns(array: np.ndarray, mesh: Mesh) -> jax.Array:
    """Each device its columns of an array (rows, columns) that every process holds whole."""
    return place(array, NamedSharding(mesh, P(None, AXIS)))


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
