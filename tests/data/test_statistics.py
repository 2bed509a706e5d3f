import errno
import os

import numpy as np
import pytest

from jaxconv.data import Dataset, StreamedDataset, load_digits, normalization, statistics


def test_mean_and_std_are_those_of_all_pixels(rng, monkeypatch):
    images = rng.integers(0, 256, (50, 6, 5, 3), np.uint8)
    monkeypatch.setattr(statistics, "_CHUNK_BYTES", 7 * 6 * 5 * 3)
    mean, std = normalization(Dataset.from_arrays(images, np.zeros(50, int)))
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-6)


def test_the_digits_have_the_published_mean():
    # The mean of all 1,797 is 4.884165 of 16; the training split's is near it.
    mean, std = normalization(load_digits()[0])
    np.testing.assert_allclose(mean, [4.884 / 16], atol=2e-3)
    np.testing.assert_allclose(std, [6.017 / 16], atol=2e-3)


def test_a_constant_channel_can_be_divided_by():
    mean, std = normalization(Dataset.from_arrays(np.full((3, 4, 4), 51, np.uint8), [0, 0, 0]))
    np.testing.assert_allclose(mean, [0.2], rtol=1e-6)
    np.testing.assert_allclose(std, [1 / 255], rtol=1e-6)


def test_a_streamed_split_is_sampled_evenly(squares, monkeypatch):
    monkeypatch.setattr(statistics, "_SAMPLE", 4)
    mean, _ = normalization(StreamedDataset(squares, (4, 5, 3)))
    np.testing.assert_allclose(mean * 255, np.full(3, np.mean([0, 1, 3, 5])), rtol=1e-6)


def test_the_result_is_kept_in_the_cache(tmp_path, monkeypatch):
    ds = Dataset("x", "train", np.eye(4, dtype=np.uint8)[None, :, :, None], np.zeros(1, np.int32), ("a",), tmp_path)
    first = normalization(ds)
    monkeypatch.setattr(statistics, "_measure", lambda ds: pytest.fail("measured again"))
    np.testing.assert_array_equal(normalization(ds), first)
    assert [f.name for f in tmp_path.iterdir()] == ["normalization.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"mean": [0.1', b'{"mean": [], "std": []}', b'{"mean": [{}], "std": [1]}']
)
def test_what_was_kept_and_is_damaged_is_measured_again(tmp_path, content):
    ds = Dataset("x", "train", np.eye(4, dtype=np.uint8)[None, :, :, None], np.zeros(1, np.int32), ("a",), tmp_path)
    first = normalization(ds)
    (tmp_path / "normalization.json").write_bytes(content)
    np.testing.assert_array_equal(normalization(ds), first)
    assert (tmp_path / "normalization.json").read_bytes() != content


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_only_read(tmp_path, monkeypatch, number):
    def refuse(path, text):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(statistics, "write_text", refuse)
    ds = Dataset("x", "train", np.full((1, 4, 4, 1), 51, np.uint8), np.zeros(1, np.int32), ("a",), tmp_path)
    np.testing.assert_allclose(normalization(ds)[0], [0.2], rtol=1e-6)
