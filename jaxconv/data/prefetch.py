"""Batches in the order of the steps, read ahead of their use by threads or by worker processes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from jaxconv.data.dataset import AnyDataset, StreamedDataset
from jaxconv.data.order import batch_indices
from jaxconv.data.worker import Worker, pickled_for_workers

_AHEAD_BYTES = 2**30
_THREADS = 16

Batch = tuple[np.ndarray, np.ndarray]
"""Images, uint8 (b, h, w, c), and labels, int32 (b,)."""


class Loader:
    """Reads batches ahead of their use; its threads and processes live until it is closed.

    Args:
        datasets: the splits that worker processes decode where they are no arrays yet; threads read all others.
        workers: how many processes decode. 0 is right unless the threads of one process are the limit: decoding
            itself runs outside Python's lock, and what a worker has decoded must be copied to this process.

    Raises:
        ValueError: if `workers` is negative.
        TypeError: if workers could not import the records of a data set.
    """

    def __init__(self, datasets: Sequence[AnyDataset] = (), *, workers: int = 0) -> None:
        if workers < 0:
            raise ValueError(f"workers must be zero or positive; got {workers}.")
        streamed = [dataset for dataset in datasets if isinstance(dataset, StreamedDataset)]
        self._by_workers = streamed if workers else []
        pickled = pickled_for_workers(self._by_workers)
        self.workers = [Worker(streamed, pickled) for _ in range(workers)] if streamed else []
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self.workers:
            self._idle.put(worker)
        self._threads = len(self.workers) or max(1, min(os.cpu_count() or 1, _THREADS))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="jaxconv-loader")

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and the threads; what was being read is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in self.workers:
            worker.kill()  # which wakes the thread that waits for it
        self._pool.shutdown()
        for worker in self.workers:
            worker.close()

    def read(
        self, dataset: AnyDataset, batches: Iterable[np.ndarray], *, batch_size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, dict[int, str]]]:
        """Reads batches of examples, each given by its positions, in order.

        At most two for each thread wait or are being read, and no more than fit into a gigabyte.

        Args:
            dataset: a split, decoded or not.
            batches: the positions of each batch; taken as the reading goes on.
            batch_size: the most positions in one.

        Yields:
            Images, labels, and those of the positions that are bad with the reason.

        Raises:
            ImageError: if an image cannot be used and none in its place.
            LoaderError: if a worker dies.
        """
        batch_bytes = max(1, batch_size * int(np.prod(dataset.image_shape)))
        most = max(1, min(2 * self._threads, _AHEAD_BYTES // batch_bytes))
        waiting: deque[Future[tuple[np.ndarray, np.ndarray, dict[int, str]]]] = deque()
        try:
            for indices in batches:
                ready = waiting.popleft().result() if len(waiting) == most else None
                waiting.append(self._pool.submit(self._gather, dataset, indices))
                if ready is not None:
                    yield ready
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _gather(self, dataset: AnyDataset, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        if not isinstance(dataset, StreamedDataset) or not any(dataset is known for known in self._by_workers):
            images, labels = dataset.gather(indices)
            return images, labels, dataset.bad_among(indices.tolist())
        worker = self._idle.get()  # there are as many threads as workers: one is idle
        try:
            images, labels, bad = worker.read(dataset, indices.tolist())
        finally:
            self._idle.put(worker)
        dataset.bad.update(bad)
        return images, labels, bad


def batches(
    dataset: AnyDataset,
    seed: int,
    first_step: int,
    last_step: int,
    batch_size: int,
    *,
    rows: slice = slice(None),
    loader: Loader | None = None,
    on_bad: Callable[[Mapping[int, str]], None] | None = None,
) -> Iterator[Batch]:
    """The batches of a stretch of steps.

    The batch of step s holds the examples `batch_indices(seed, s, ...)`: however many threads or processes decode it
    and wherever a run begins again, it is the same.

    Args:
        dataset: a split, decoded or not.
        seed: see `batch_indices`.
        first_step: the first step.
        last_step: the step after the last.
        batch_size: examples in a batch.
        rows: which of the batch's rows to read, for a process that trains on a part of each batch.
        loader: reads the batches; None has threads of their own read them.
        on_bad: called before a batch is yielded that has bad images, with their positions in the split and the
            reasons. It is called for each such batch, at the same step however many read ahead; what it raises ends
            the stretch there.

    Yields:
        (images, labels) for each step from `first_step` to `last_step` - 1.

    Raises:
        ImageError: if an image cannot be used and none in its place.
        LoaderError: if a worker of `loader` dies.
    """
    steps = range(first_step, last_step)
    indices = (batch_indices(seed, s, length=len(dataset), batch_size=batch_size)[rows] for s in steps)
    for images, labels, bad in _read(dataset, indices, batch_size, loader):
        if bad and on_bad is not None:
            on_bad(bad)
        yield images, labels


def ordered_batches(
    dataset: AnyDataset,
    batch_size: int,
    *,
    rows: slice = slice(None),
    loader: Loader | None = None,
    on_bad: Callable[[Mapping[int, str]], None] | None = None,
) -> Iterator[Batch]:
    """Every example once, in the order of the split; the last batch may be smaller.

    Args:
        dataset: a split, decoded or not.
        batch_size: examples in a batch.
        rows: which of the batch's rows to read, for a process that evaluates a part of each batch.
        loader: reads the batches; None has threads of their own read them.
        on_bad: called before a batch is yielded that has bad images, as in `batches`.

    Yields:
        (images, labels).

    Raises:
        ImageError: if an image cannot be used and none in its place.
        LoaderError: if a worker of `loader` dies.
    """
    starts = range(0, len(dataset), batch_size)
    positions = (np.arange(start, start + batch_size)[rows] for start in starts)
    indices = (wanted[wanted < len(dataset)] for wanted in positions)
    for images, labels, bad in _read(dataset, indices, batch_size, loader):
        if bad and on_bad is not None:
            on_bad(bad)
        yield images, labels


def _read(
    dataset: AnyDataset, indices: Iterable[np.ndarray], batch_size: int, loader: Loader | None
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[int, str]]]:
    if loader is not None:
        yield from loader.read(dataset, indices, batch_size=batch_size)
        return
    with Loader() as own:
        yield from own.read(dataset, indices, batch_size=batch_size)
