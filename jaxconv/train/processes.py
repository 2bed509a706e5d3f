"""One run on several processes: how they find each other, stop together, and end when one of them dies.

JAX's processes share their fate: an operation over all devices waits for every one of them. So none may go on alone,
none may wait for a dead one, and whatever one process decides by itself (which checkpoint is good, whether the
directory holds this run) all have to hear: process 0 decides, `agreed` tells the others.
"""

import ast
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

HEARTBEAT_SECONDS = 30
"""A process that was not heard of for so long is dead, and ends all others (JAX's default is 100)."""

FAILED = 1

Value = TypeVar("Value")


class PeerError(ValueError):
    """Process 0 refused or failed; the message is its own."""


def _several(name: str) -> Callable[[Mapping[str, str]], bool]:
    return lambda environ: environ.get(name, "").isdecimal() and int(environ[name]) > 1


def _on_tpu(environ: Mapping[str, str]) -> bool:
    """On a TPU host, alone or one of a slice: JAX asks its metadata which."""
    chips = [*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*")]
    return bool(chips) and find_spec("libtpu") is not None and environ.get("JAX_PLATFORMS", "tpu").startswith("tpu")


LAUNCHERS: dict[str, Callable[[Mapping[str, str]], bool]] = {
    "JAX_COORDINATOR_ADDRESS": lambda environ: bool(environ.get("JAX_COORDINATOR_ADDRESS")),
    "Slurm": lambda environ: _several("SLURM_NTASKS")(environ) and "SLURM_STEP_NODELIST" in environ,
    "Open MPI": _several("OMPI_COMM_WORLD_SIZE"),
    "Kubernetes": lambda environ: "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" in environ,
    "Cloud TPU": _on_tpu,
}
"""Who may have started several processes, and how that shows. How many and which one this is JAX finds out itself."""


def launcher(environ: Mapping[str, str] = os.environ) -> str | None:
    """The first of `LAUNCHERS` that seems to have started this process as one of several, or None."""
    return next((name for name, shows in LAUNCHERS.items() if shows(environ)), None)


def connect(coordinator: str | None = None, process_id: int | None = None, process_count: int | None = None) -> None:
    """Join the other processes of this run, before anything uses a device.

    With no argument the launcher of `LAUNCHERS` that started this process is asked; where there is none, the process is
    alone. `process_count=1` keeps it alone under any launcher.

    Args:
        coordinator: HOST:PORT where process 0 can be reached from all.
        process_id: number of this process, from 0.
        process_count: number of processes.

    Raises:
        ValueError: if the three do not fit each other.
        RuntimeError: if the others cannot be reached within five minutes.
    """
    _require_whole(coordinator, process_id, process_count)
    found = None if coordinator or process_count == 1 else launcher()
    if process_count == 1 or not (coordinator or found):
        return
    arguments = {"coordinator_address": coordinator, "num_processes": process_count, "process_id": process_id}
    try:
        jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except ValueError as error:
        raise ValueError(
            f"{found or coordinator} seems to have started several processes, but JAX cannot tell which one this is "
            f"({error}). Give coordinator, process_id and process_count, or process_count 1 to train alone."
        ) from error


def _require_whole(coordinator: str | None, process_id: int | None, process_count: int | None) -> None:
    if process_count is not None and process_count < 1:
        raise ValueError(f"process_count must be positive; got {process_count}.")
    given = [coordinator is not None, process_id is not None, process_count is not None]
    if any(given) and not all(given) and not (process_count == 1 and not coordinator):
        raise ValueError(
            "coordinator, process_id and process_count go together; "
            f"got {coordinator}, {process_id} and {process_count}."
        )
    if coordinator is None or process_id is None or process_count is None:
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"coordinator must be HOST:PORT; got {coordinator}.")
    if not 0 <= process_id < process_count:
        raise ValueError(
            f"process_id must lie between 0 and process_count - 1 = {process_count - 1}; got {process_id}."
        )


def is_first() -> bool:
    """Whether this process is the one that reads and writes the run directory."""
    return jax.process_index() == 0


def agreed(decide: Callable[[], Value], *, tell: bool = True) -> Value | None:
    """Process 0 decides; the others wait for it, and fail where it fails.

    Args:
        decide: called on process 0 alone.
        tell: whether the others hear the value too, which is text or a number then. Else they get None.

    Raises:
        PeerError: on the other processes, if `decide` raised on process 0 (where its own exception goes on).
    """
    if jax.process_count() == 1:
        return decide()
    value, raised = None, None
    if is_first():
        try:
            value = decide()
        except Exception as error:
            raised = error
    text = repr((type(raised).__name__, str(raised)) if raised else (None, value if tell else None))
    name, told = ast.literal_eval(_broadcast_text(text))
    if raised is not None:
        raise raised
    if name is not None:
        raise PeerError(f"process 0: {told}")
    return value if is_first() else told


def _broadcast_text(text: str) -> str:
    content = np.frombuffer(text.encode(), np.uint8) if is_first() else np.zeros(0, np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(content.size)))
    padded = content if is_first() else np.zeros(size, np.uint8)
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8)).decode()


def leave(code: int, error: BaseException | None = None) -> NoReturn:
    """End this process at once, so that the others notice: an orderly exit would wait for them, and they for it.

    Args:
        code: the exit code.
        error: shown with its traceback before.
    """
    if error is not None:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
