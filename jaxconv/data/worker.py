"""A process that reads examples for another one.

It is no fork and no `multiprocessing` process: it imports jaxconv.data alone, never the program that started it, and
so neither JAX nor that program's accelerator; a script needs no `if __name__ == "__main__"` for it. The two hold the
ends of one socket and of nothing else, so each sees at once when the other dies, by whatever means.
"""

import io
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FunctionType
from typing import Any

import numpy as np

from jaxconv.data.dataset import StreamedDataset

_PROGRAM = (
    "import sys; from multiprocessing.connection import Connection; connection = Connection(int(sys.argv[1])); "
    "sys.path[:] = connection.recv(); from jaxconv.data.worker import serve; serve(connection)"
)
_SECONDS_TO_DIE = 5.0


class LoaderError(ChildProcessError):
    """A loader worker died; the message says of what, and what it was reading."""


def pickled_for_workers(datasets: Sequence[StreamedDataset]) -> bytes:
    """The data sets as a worker is told of them.

    Raises:
        TypeError: if the records of one are defined in the program itself, which workers do not import.
    """
    buffer = io.BytesIO()
    _ForWorkers(buffer).dump(list(datasets))
    return buffer.getvalue()


class _ForWorkers(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        named = value if isinstance(value, type | FunctionType) else type(value)
        if named.__module__ == "__main__":
            raise TypeError(
                "records that loader workers read are defined in a module that can be imported; "
                f"{named.__qualname__} is defined in the program itself."
            )
        return NotImplemented


class Worker:
    """A process that reads examples of some data sets, for one thread at a time; it starts with the first request.

    Args:
        datasets: what it can read.
        pickled: the same, from `pickled_for_workers`.
    """

    def __init__(self, datasets: Sequence[StreamedDataset], pickled: bytes) -> None:
        self._datasets, self._untold = list(datasets), pickled
        self._started: tuple[subprocess.Popen[bytes], Connection] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process, once it has been started."""
        return self._started and self._started[0].pid

    def read(self, dataset: StreamedDataset, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        """Images, labels, and those of the positions that are bad with the reason, as `StreamedDataset` reads them.

        Raises:
            LoaderError: if the process dies.
            ImageError: as reading in this process does; likewise any other error, with the worker's traceback as note.
        """
        process, connection = self._started = self._started or self._start()
        try:
            answer = self._ask(connection, dataset, indices)
            if not isinstance(answer, BaseException):
                labels, bad, shape = answer
                images = np.empty(shape, np.uint8)
                _receive_into(connection, images)
                return images, labels, bad
        except (EOFError, OSError) as error:  # its end of the connection is closed, perhaps in the middle of an answer
            raise LoaderError(
                f"a loader worker must live as long as the run; process {process.pid} {_end_of(process)} while it was "
                f"asked for {len(indices)} examples of {dataset.name}, {dataset.split}."
            ) from error
        raise answer

    def kill(self) -> None:
        """End the process, which holds nothing that could be lost; a thread that waits for it gets a `LoaderError`."""
        if self._started is not None:
            self._started[0].kill()

    def close(self) -> None:
        """End the process and forget it; no thread may be reading any more."""
        self.kill()
        if self._started is not None:
            process, connection = self._started
            connection.close()
            with suppress(subprocess.TimeoutExpired):  # in a system call that cannot be interrupted: it ends after it
                process.wait(_SECONDS_TO_DIE)

    def _start(self) -> tuple[subprocess.Popen[bytes], Connection]:
        here, there = Pipe()
        with there:
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(there.fileno())],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "JAX_PLATFORMS": "cpu"},  # records may import what imports JAX
                start_new_session=True,  # Ctrl-C in a terminal is for the program, which then saves
            )
        return process, here

    def _ask(self, connection: Connection, dataset: StreamedDataset, indices: Sequence[int]) -> Any:
        if self._untold:
            _request(connection, sys.path)
            connection.send_bytes(self._untold)
            self._untold = b""
        number = next(n for n, known in enumerate(self._datasets) if known is dataset)
        _request(connection, (number, list(indices)))
        return connection.recv()


def _request(connection: Connection, value: Any) -> None:
    # `connection.send` pickles into a BytesIO. Where the other end is dead, the error holds frames that hold it and the
    # view of it; if Python ends with the error in a cycle, it may free the one before the other, and crashes.
    connection.send_bytes(pickle.dumps(value))


def _end_of(process: subprocess.Popen[bytes]) -> str:
    """What ended the process."""
    try:
        code = process.wait(_SECONDS_TO_DIE)
    except subprocess.TimeoutExpired:
        return "closed its connection"
    if code >= 0:
        return f"ended with exit code {code} (its error output is above)"
    hint = " (out of memory, most likely, if nobody sent it)" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


def serve(connection: Connection) -> None:
    """The worker's side: answers requests until the other end is closed, which the other process's death does too.

    Args:
        connection: brings the data sets, pickled, then requests: the number of a data set and positions.
    """
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to every process of a job: the trainer then saves, and ends us
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        datasets: list[StreamedDataset] = pickle.loads(connection.recv_bytes())
        while True:
            number, indices = connection.recv()
            _answer(connection, datasets[number], indices)


def _answer(connection: Connection, dataset: StreamedDataset, indices: list[int]) -> None:
    try:
        images, labels = dataset.gather(indices)
    except Exception as error:
        error.add_note(f"in loader worker {os.getpid()}:\n{traceback.format_exc()}")
        connection.send(_sendable(error))
        return
    connection.send((labels, dataset.bad_among(indices), images.shape))
    _send(connection, np.ascontiguousarray(images))


def _send(connection: Connection, array: np.ndarray) -> None:
    """Writes an array of bytes as it is."""
    left = memoryview(array.reshape(-1))
    while left:
        left = left[os.write(connection.fileno(), left) :]


def _receive_into(connection: Connection, array: np.ndarray) -> None:
    """Reads an array of bytes; `Connection.recv_bytes_into` would copy them twice on the way.

    Raises:
        EOFError: if the other end is closed before.
    """
    left = memoryview(array.reshape(-1))
    while left:
        count = os.readv(connection.fileno(), [left])
        if count == 0:
            raise EOFError("the other end was closed in the middle of an array")
        left = left[count:]


def _sendable(error: Exception) -> Exception:
    """The error, or its text where it does not survive being sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error class may fail in any way here
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
