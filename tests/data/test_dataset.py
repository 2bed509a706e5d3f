import numpy as np
import pytest

from jaxconv.data import Dataset, StreamedDataset


def test_from_arrays_keeps_uint8_images_without_a_copy(rng):
    images = rng.integers(0, 256, (6, 5, 4, 3), np.uint8)
    ds = Dataset.from_arrays(images, [0, 1, 2, 0, 1, 2])
    assert np.shares_memory(ds.images, images)
    assert len(ds) == 6 and ds.image_shape == (5, 4, 3) and ds.in_memory
    assert ds.classes == ("0", "1", "2")
    assert ds.labels.dtype == np.int32


def test_from_arrays_adds_the_channel_of_gray_images(rng):
    images = rng.integers(0, 256, (6, 5, 4), np.uint8)
    ds = Dataset.from_arrays(images, np.arange(6) % 2, classes=["cat", "dog"], name="pets", split="test")
    np.testing.assert_array_equal(ds.images[..., 0], images)
    assert (ds.name, ds.split, ds.classes) == ("pets", "test", ("cat", "dog"))


def test_from_arrays_rounds_floats_to_the_nearest_value():
    values = np.arange(256, dtype=np.float32)
    jitter = np.where(values % 2 == 0, 0.4, -0.4)
    images = (np.clip(values + jitter, 0, 255) / 255).astype(np.float32).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(Dataset.from_arrays(images, [0]).images.ravel(), values)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3), np.uint8), [0, 0], r"shape \(n, h, w, c\).*got \(2, 3\)"),
        (np.zeros((2, 4, 4, 1), np.int64), [0, 0], "uint8 from 0 to 255 or floats from 0 to 1; got int64"),
        (np.full((2, 4, 4, 1), 1.5), [0, 0], r"lie in \[0, 1\]; got values from 1.5"),
        (np.full((2, 4, 4, 1), np.nan), [0, 0], r"lie in \[0, 1\]; got values from nan"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 0, 0], r"one for each image; got int32 of shape \(3,\) for 2"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0.0, 1.0], "labels are integers.*float64"),
        (np.zeros((2, 4, 4, 1), np.uint8), [[0], [1]], r"labels are integers.*\(2, 1\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, -1], "indices into the 1 classes; got values from -1 to 0"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0, 2**40], "fit into int32"),
        (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, np.int32), "at least one image"),
    ],
)
def test_from_arrays_refuses_what_is_no_data_set(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(images, labels)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match="indices into the 2 classes; got values from 0 to 2"):
        Dataset.from_arrays(np.zeros((3, 4, 4), np.uint8), [0, 1, 2], classes=["a", "b"])


def test_a_dataset_takes_uint8_images_only():
    with pytest.raises(ValueError, match=r"images are uint8 of shape \(n, h, w, c\); got float32"):
        Dataset("x", "train", np.zeros((1, 4, 4, 1), np.float32), np.zeros(1, np.int32), ("a",))


def test_gather_returns_the_rows_asked_for(rng):
    images = rng.integers(0, 256, (6, 5, 4, 3), np.uint8)
    ds = Dataset.from_arrays(images, [0, 1, 2, 3, 4, 5])
    got, labels = ds.gather([4, 0, 4])
    np.testing.assert_array_equal(got, images[[4, 0, 4]])
    np.testing.assert_array_equal(labels, [4, 0, 4])
    assert not np.shares_memory(got, images)


def test_a_streamed_dataset_decodes_what_is_asked_for(squares):
    ds = StreamedDataset(squares, (4, 5, 3))
    images, labels = ds.gather(np.array([3, 6]))
    assert images.shape == (2, 4, 5, 3) and images.dtype == np.uint8 and labels.dtype == np.int32
    np.testing.assert_array_equal(images[:, 0, 0, 0], [3, 6])
    np.testing.assert_array_equal(labels, [1, 0])
    assert not ds.in_memory and len(ds) == 7 and (ds.name, ds.split) == ("squares", "train")
