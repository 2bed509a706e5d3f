"""One run on several processes: how they find each other, stop together, and end when one of them dies.

JAX's processes share their fate: an operation over all devices waits for every one of them. So none may go on alone,
none may wait for a dead one, and whatever one process decides by itself (which checkpoint is good, whether the
directory holds this run) all have to hear: process 0 decides, `agreed` tells the others.
"""

import ctypes
import errno
import hashlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

HEARTBEAT_SECONDS = 30
"""A process that was not heard of for so long is dead, and ends all others (JAX's default is 100)."""

FAILED = 1

Value = TypeVar("Value")


FINAL_ERRORS = (
    ValueError,
    FloatingPointError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
"""Errors that another call avoids; others of the system (a full disk, no network) may pass by themselves."""

FINAL_NUMBERS = (errno.ENAMETOOLONG, errno.ELOOP)
"""Likewise of those that have no class of their own."""

LOST = re.compile(r"Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|[Cc]onnection (reset|closed)")
"""What XLA says, in a plain ValueError at times, when another process is gone."""


class PeerError(ValueError):
    """Process 0 refused; the message is its own, and the same command would be refused again."""


class PeerLostError(RuntimeError):
    """Another process failed or is gone; the same command may continue the run."""


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
    handler = signal.getsignal(signal.SIGTERM)
    try:
        jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except ValueError as error:
        raise ValueError(
            f"{found or coordinator} seems to have started several processes, but JAX cannot tell which one this is "
            f"({error}). Give coordinator, process_id and process_count, or process_count 1 to train alone."
        ) from error
    _take_over_sigterm(handler)


_notifier: list[Callable[[int], None]] = []


def _take_over_sigterm(handler: Any) -> None:
    """Python hears of SIGTERM again, and passes it on to JAX's preemption service by `notify_peers`.

    JAX's handler, written in C, takes the place of Python's. It is kept as a function, for there is no call for it.
    """
    libc = ctypes.CDLL(None)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    address = libc.signal(signal.SIGTERM, None)
    if address:
        _notifier[:] = [ctypes.CFUNCTYPE(None, ctypes.c_int)(address)]
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)


def notify_peers() -> None:
    """Tell all processes that this one is to end; `reached_preemption_sync_point` answers at the same call on each."""
    for notify in _notifier:
        notify(signal.SIGTERM)


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
        tell: whether the others hear the value too, which is a JSON value then. Else they get None.

    Raises:
        PeerError: on the other processes, if `decide` raised one of `FINAL_ERRORS` on process 0, where it goes on.
        PeerLostError: likewise, if it raised another one, or if a process is gone.
    """
    if jax.process_count() == 1:
        return decide()
    value, raised = None, None
    if is_first():
        try:
            value = decide()
        except Exception as error:
            raised = error
    message = {"value": value if tell else None, "error": raised and str(raised), "final": is_final(raised)}
    told = json.loads(_broadcast_text(json.dumps(message)))
    if raised is not None:
        raise raised
    if told["error"] is not None:
        raise (PeerError if told["final"] else PeerLostError)(f"process 0: {told['error']}")
    return value if is_first() else told["value"]


def is_final(error: BaseException | None) -> bool:
    """Whether the same call would end in this error again."""
    numbered = isinstance(error, OSError) and error.errno in FINAL_NUMBERS
    return numbered or (isinstance(error, FINAL_ERRORS) and not isinstance(error, PeerLostError | ConnectionError))


def gathered(text: str) -> list[str]:
    """What each process says, on all of them, in the order of their numbers. All call it at the same time."""
    if jax.process_count() == 1:
        return [text]
    content = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(content.size))
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: content.size] = content
    if not padded.size:
        return [""] * len(sizes)
    rows = np.asarray(multihost_utils.process_allgather(padded), np.uint8)
    return [row[:size].tobytes().decode() for row, size in zip(rows, sizes, strict=True)]


def require_same(name: str, value: Any) -> None:
    """Refuse to go on where processes see different things, and would wait for each other later.

    Args:
        name: what it is.
        value: anything whose `repr` tells it apart.

    Raises:
        ValueError: on the processes whose value is not that of process 0.
    """
    digest = hashlib.sha256(repr(value).encode()).hexdigest()
    if agreed(lambda: digest) != digest:
        raise ValueError(
            f"{name} must be the same on every process; process {jax.process_index()} has another than process 0."
        )


@contextmanager
def peers_lost() -> Iterator[None]:
    """Within, what XLA says of processes that are gone is a `PeerLostError`, and no mistake in the call."""
    try:
        yield
    except ValueError as error:
        if type(error) is ValueError and jax.process_count() > 1 and LOST.search(str(error)):
            raise PeerLostError(f"another process is gone: {error}") from error
        raise


def broadcast(tree: Any) -> Any:
    """The arrays of process 0, to the bit: bytes are sent, since adding zeros would make +0.0 of -0.0.

    Args:
        tree: of NumPy arrays, of the same shapes and types on every process.
    """

    def sent(leaf: np.ndarray) -> np.ndarray:
        content = np.frombuffer(np.ascontiguousarray(leaf).tobytes(), np.uint8)
        received = np.asarray(multihost_utils.broadcast_one_to_all(content)).astype(np.uint8)
        return np.frombuffer(received.tobytes(), leaf.dtype).reshape(leaf.shape)

    return jax.tree.map(sent, tree)


def _broadcast_text(text: str) -> str:
    content = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(content.size)))
    padded = content if is_first() else np.zeros(size, np.uint8)
    return broadcast(padded).tobytes().decode()


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
