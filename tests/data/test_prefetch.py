import threading
import time

import numpy as np
import pytest

from jaxconv.data import Dataset, StreamedDataset, batch_indices, batches, ordered_batches, prefetch
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


def test_a_bad_image_reaches_the_consumer():
    dataset = StreamedDataset(Slow(broken=17), (2, 2, 1))
    with pytest.raises(ImageError, match="number 17 is no image"):
        list(ordered_batches(dataset, 5))


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
