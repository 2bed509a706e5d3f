"""What the steps of an experiment are computed from: a data set on the devices, or batches as they are read."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh

from jaxconv.data import Batch, Dataset, Loader, batch_indices, batches
from jaxconv.train.bad_images import BadImages
from jaxconv.train.experiment import Experiment
from jaxconv.train.parallel import local_rows, replicate, shard_batches, shard_columns

RESIDENT_BYTES = 4 * 2**30
"""Data sets of up to this size are kept on the device."""


class Feed:
    """Gives the batches of steps, in any number.

    Args:
        experiment: whose data they are.
        mesh: the devices.
        bad_images: is told of those that cannot be used.

    Attributes:
        resident: whether all data lie on the devices.
        whole: images and labels that do, for every call; nothing where batches are read.
        loader: reads images, of the evaluation data too.
    """

    def __init__(self, experiment: Experiment, mesh: Mesh, bad_images: BadImages) -> None:
        data = experiment.train_data
        self._experiment, self._mesh, self._bad_images = experiment, mesh, bad_images
        self.loader = Loader((data, experiment.eval_data), workers=experiment.workers)
        self._ahead: tuple[int, Iterator[Batch]] | None = None
        self.resident = isinstance(data, Dataset) and data.in_memory and data.images.nbytes <= RESIDENT_BYTES
        self.whole: tuple[jax.Array, ...] = ()
        if self.resident:
            assert isinstance(data, Dataset)
            self.whole = replicate((np.asarray(data.images), data.labels), mesh)

    def close(self) -> None:
        """End the threads and processes that read images."""
        self._ahead = None
        self.loader.close()

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step."""
        e = self._experiment
        return batch_indices(e.seed, step, length=len(e.train_data), batch_size=e.batch_size)

    def take(self, first: int, length: int, most: int) -> tuple[int, tuple[jax.Array, ...], Exception | None]:
        """What some steps need.

        Args:
            first: steps before them.
            length: how many they are.
            most: for how many the arrays have space.

        Returns:
            For how many steps it could be read, the last arguments of `make_stretch`'s function, and what kept the next
            batch from being read.
        """
        if not self.resident:
            return self._read_several(first, length, most)
        rows = np.zeros((most, self._experiment.batch_size), np.int32)
        for number in range(length):
            rows[number] = self.rows(first + number)
        return length, (shard_columns(rows, self._mesh),), None

    def _read_several(self, first: int, length: int, most: int) -> tuple[int, tuple[jax.Array, ...], Exception | None]:
        read = []
        try:
            for step in range(first, first + length):
                read.append(self._read(step))
        except Exception as error:  # raised behind the steps before it
            return len(read), self._placed(read, most), error
        return len(read), self._placed(read, most), None

    def _placed(self, read: list[Batch], most: int) -> tuple[jax.Array, ...]:
        return shard_batches(read, self._mesh, size=self._experiment.batch_size, most=most) if read else ()

    def _read(self, step: int) -> Batch:
        """This process's rows of a step; those of the steps after it are being read, across stretches and epochs."""
        e = self._experiment
        if self._ahead is None or self._ahead[0] != step:
            last = max(e.total_steps, step + 1)
            on_bad = partial(self._bad_images.drawn, e.train_data.split)
            options = {"rows": local_rows(e.batch_size, self._mesh), "loader": self.loader, "on_bad": on_bad}
            ahead = batches(e.train_data, e.seed, step, last, e.batch_size, **options)
        else:
            ahead = self._ahead[1]
        batch = next(ahead)
        self._ahead = (step + 1, ahead)
        return batch
