import threading
import time

import numpy as np
import pytest

from jaxconv.data import Dataset, Loader, StreamedDataset, batch_indices, batches, ordered_batches, prefetch
from jaxconv.data.image import ImageError


class Slow:
    """Records that take their time, the earlier the longer, and note which threads decode them."""

    name, split, classes = "slow", "train", ("a",)

    def __init__(self, broken=None):
        self.threads, self.broken, self.running, self.most = set(), broken, 0, 0
        self.lock = threading.Lock()

    def __len__(self):
        return 40

    def key(self):
        return {}

    def fingerprint(self):
        return ""

    def shape(self, image_size, progress):
        return 2, 2, 1

    def read(self, indices, shape):
        with self.lock:
            self.threads.add(threading.get_ident())
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.02 * (1 - indices[0] / 40))
        with self.lock:
            self.running -= 1
        if self.broken in indices:
            raise ImageError("number 17 is no image")
        return np.stack([np.full(shape, i, np.uint8) for i in indices]), np.zeros(len(indices), np.int32)


@pytest.fixture(params=["decoded", "streamed"])
def dataset(request):
    if request.param == "streamed":
        return StreamedDataset(Slow(), (2, 2, 1))
    return Dataset.from_arrays(np.arange(40, dtype=np.uint8).repeat(4).reshape(40, 2, 2), np.zeros(40, int))


@pytest.mark.parametrize("processors", [1, 4])
def test_a_batch_is_a_function_of_seed_and_step(dataset, processors, monkeypatch):
    monkeypatch.setattr(prefetch.os, "cpu_count", lambda: processors)
    steps = list(batches(dataset, 7, 3, 15, 6))
    assert len(steps) == 12
    for step, (images, labels) in enumerate(steps, 3):
        assert images.shape == (6, 2, 2, 1) and images.dtype == np.uint8 and labels.dtype == np.int32
        np.testing.assert_array_equal(images[:, 0, 0, 0], batch_indices(7, step, length=40, batch_size=6))


def test_threads_decode_ahead_while_the_consumer_works(monkeypatch):
    monkeypatch.setattr(prefetch.os, "cpu_count", lambda: 3)
    records = Slow()
    for _ in batches(StreamedDataset(records, (2, 2, 1)), 0, 0, 12, 4):
        time.sleep(0.001)
    assert threading.get_ident() not in records.threads
    assert records.most == 3


def test_memory_bounds_what_waits(monkeypatch):
    monkeypatch.setattr(prefetch.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(prefetch, "_AHEAD_BYTES", 16)
    records = Slow()
    assert len(list(batches(StreamedDataset(records, (2, 2, 1)), 0, 0, 4, 4))) == 4
    assert records.most == 1


def test_an_error_of_reading_reaches_the_consumer_at_its_batch():
    class Failing(Slow):
        def read(self, indices, shape):
            if 17 in indices:
                raise OSError("the disk has gone")
            return super().read(indices, shape)

    got = []
    with pytest.raises(OSError, match="the disk has gone"):
        for images, _ in ordered_batches(StreamedDataset(Failing(), (2, 2, 1)), 5):
            got += images[:, 0, 0, 0].tolist()
    assert got == list(range(15))


def test_bad_images_are_told_before_their_batch():
    dataset, told = StreamedDataset(Slow(broken=17), (2, 2, 1)), []
    for step, (images, _) in enumerate(batches(dataset, 7, 0, 20, 6, on_bad=told.append)):
        wanted = batch_indices(7, step, length=40, batch_size=6)
        np.testing.assert_array_equal(images[:, 0, 0, 0], np.where(wanted == 17, 18, wanted))
        assert told == ([{17: "number 17 is no image"}] if 17 in wanted else [])
        told.clear()


def test_what_is_told_may_end_the_stretch():
    def refuse(bad):
        raise ValueError(f"no {sorted(bad)}")

    with pytest.raises(ValueError, match=r"no \[17\]"):
        list(batches(StreamedDataset(Slow(broken=17), (2, 2, 1)), 7, 0, 20, 6, on_bad=refuse))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_rows_of_all_processes_are_the_batch(dataset, processes):
    """Each of several training processes reads its own rows; the union is the batch, in its order."""
    share = 8 // processes
    parts = [
        [batch for batch in batches(dataset, 3, 2, 9, 8, rows=slice(p * share, (p + 1) * share))]
        for p in range(processes)
    ]
    for step, (images, labels) in enumerate(batches(dataset, 3, 2, 9, 8)):
        np.testing.assert_array_equal(np.concatenate([part[step][0] for part in parts]), images)
        np.testing.assert_array_equal(np.concatenate([part[step][1] for part in parts]), labels)


def test_only_the_rows_asked_for_are_decoded():
    class Noted(Slow):
        def read(self, indices, shape):
            with self.lock:
                decoded.update(indices)
            return super().read(indices, shape)

    decoded: set[int] = set()
    list(batches(StreamedDataset(Noted(), (2, 2, 1)), 3, 0, 4, 10, rows=slice(2, 5)))
    assert decoded == {int(i) for s in range(4) for i in batch_indices(3, s, length=40, batch_size=10)[2:5]}


def test_one_loader_serves_several_stretches_and_splits(dataset):
    other = Dataset.from_arrays(np.full((3, 2, 2), 9, np.uint8), np.zeros(3, int))
    before = threading.active_count()
    with Loader() as loader:
        for first in (0, 5):
            got = list(batches(dataset, 7, first, first + 5, 6, loader=loader))
            for one, two in zip(got, batches(dataset, 7, first, first + 5, 6), strict=True):
                np.testing.assert_array_equal(one[0], two[0])
            ((images, _),) = ordered_batches(other, 4, loader=loader)
            assert images.shape == (3, 2, 2, 1) and (images == 9).all()
    assert threading.active_count() == before


def test_a_closed_loader_reads_no_more(dataset):
    loader = Loader()
    stretch = batches(dataset, 7, 0, 10**6, 6, loader=loader)
    next(stretch)
    loader.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        list(stretch)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="workers must be zero or positive; got -1"):
        Loader(workers=-1)


def test_an_abandoned_iterator_stops_decoding(dataset):
    before = threading.active_count()
    steps = batches(dataset, 0, 0, 10**9, 4)
    next(steps)
    del steps
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_ordered_batches_have_every_example_once(dataset):
    got = [images[:, 0, 0, 0] for images, _ in ordered_batches(dataset, 16)]
    assert [len(part) for part in got] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(got), np.arange(40))
