import json
import os
import pickle

import numpy as np
import pytest

from jaxconv.data.image import ImageError
from jaxconv.data.prepared import TfdsRecords, find_prepared, prepared_names, stored_splits
from jaxconv.data.usable import read_usable


@pytest.fixture
def rows(rng, png):
    pixels = rng.integers(0, 256, (9, 12, 12, 3), np.uint8)
    return pixels, [(png(image), index % 3) for index, image in enumerate(pixels)]


@pytest.fixture
def directory(tmp_path, rows, write_tfds):
    return write_tfds(tmp_path, "bugs", {"train": rows[1], "test": rows[1][:4]})


def touch(root, path, file_format="array_record"):
    folder = root / path
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(json.dumps({"fileFormat": file_format} if file_format else {}))
    return folder


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("length", [0, 40])
def test_a_damaged_description_is_named(tmp_path, directory, file, length):
    os.truncate(directory / file, length)
    with pytest.raises(ValueError, match=f"{directory}.* is damaged: "):
        _ = TfdsRecords(find_prepared("bugs", [tmp_path])[0], "bugs", "train", "train").classes


def test_every_example_is_read(directory, rows):
    records = TfdsRecords(directory, "bugs", "train", "train")
    assert records.classes == ("ant", "bee", "cow") and len(records) == 9
    images, labels = records.read(range(9), (12, 12, 3))
    assert images.dtype == np.uint8 and labels.dtype == np.int32
    for image, label in zip(images, labels, strict=True):
        (index,) = np.flatnonzero((rows[0] == image).all(axis=(1, 2, 3)))
        assert label == index % 3
    some, _ = records.read([7, 2, 7], (12, 12, 3))
    np.testing.assert_array_equal(some, images[[7, 2, 7]])


def test_the_fifth_that_is_held_out_and_the_rest_make_the_whole(directory):
    whole, _ = TfdsRecords(directory, "bugs", "train", "train").read(range(9), (12, 12, 3))
    held = TfdsRecords(directory, "bugs", "held_out", "train", "held_out")
    kept = TfdsRecords(directory, "bugs", "train", "train", "kept")
    assert (len(held), len(kept)) == (2, 7)
    np.testing.assert_array_equal(held.read([0, 1], (12, 12, 3))[0], whole[[0, 5]])
    np.testing.assert_array_equal(kept.read(range(7), (12, 12, 3))[0], whole[[1, 2, 3, 4, 6, 7, 8]])
    assert held.key() != kept.key()


def test_pixels_are_those_that_tfds_decodes(directory):
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(directory).as_data_source(split="test")
    images, labels = TfdsRecords(directory, "bugs", "test", "test").read(range(4), (12, 12, 3))
    np.testing.assert_array_equal(images, [example["image"] for example in source])
    np.testing.assert_array_equal(labels, [example["label"] for example in source])


def test_the_shape_is_the_stated_one_or_the_one_asked_for(tmp_path, rows, write_tfds):
    import tensorflow_datasets as tfds

    for name, shape in [("free", (None, None, 3)), ("fixed", (12, 12, 3)), ("gray", (12, 12, 1))]:
        write_tfds(tmp_path, name, {"train": rows[1]}, image=tfds.features.Image(shape=shape))
    shapes = {
        name: TfdsRecords(tmp_path / name / "1.0.0", name, "train", "train").shape for name in ("free", "fixed", "gray")
    }
    assert shapes["free"](None, False) == (160, 160, 3)
    assert shapes["free"](20, False) == (20, 20, 3)
    assert shapes["fixed"](None, False) == (12, 12, 3)
    assert shapes["gray"](None, False) == (12, 12, 1)


def test_a_bad_image_is_named(tmp_path, rows, write_tfds):
    broken = [(rows[1][0][0][:100], 0)]
    directory = write_tfds(tmp_path, "bad", {"train": broken})
    with pytest.raises(ImageError, match="bad, train, example 0: not a readable image"):
        TfdsRecords(directory, "bad", "train", "train").read([0], (12, 12, 3))


def test_a_record_that_was_damaged_is_named_and_replaced(directory, rows):
    """array_record keeps a digest of each record: one flipped bit, wherever it is, is one bad example."""
    whole, labels = TfdsRecords(directory, "bugs", "train", "train").read(range(9), (12, 12, 3))
    shard = next(directory.glob("*train*"))
    data = bytearray(shard.read_bytes())
    data[data.index(rows[1][4][0]) + 80] ^= 1
    shard.write_bytes(data)
    bad: dict[int, str] = {}
    images, got = read_usable(TfdsRecords(directory, "bugs", "train", "train"), range(9), (12, 12, 3), bad)
    ((index, why),) = bad.items()
    assert why.startswith(f"bugs, train, example {index}: not a readable record (Corrupted Riegeli/records file")
    stand_ins = [(i + 1) % 9 if i == index else i for i in range(9)]
    np.testing.assert_array_equal(images, whole[stand_ins])
    np.testing.assert_array_equal(got, labels[stand_ins])


def test_a_shard_that_was_cut_is_an_error(directory):
    shard = next(directory.glob("*train*"))
    os.truncate(shard, 70_000)
    with pytest.raises(ImageError, match=r"bugs, train, none of the 9 from .* not a readable record"):
        read_usable(TfdsRecords(directory, "bugs", "train", "train"), range(9), (12, 12, 3), {})


def test_records_can_be_sent_to_another_process_after_they_were_read(directory):
    records = TfdsRecords(directory, "bugs", "train", "train")
    here = records.read(range(9), (12, 12, 3))
    sent = pickle.loads(pickle.dumps(records))
    for one, other in zip(here, sent.read(range(9), (12, 12, 3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_set_without_an_image_or_a_label_is_refused(tmp_path, rows, write_tfds):
    import tensorflow_datasets as tfds

    no_label = write_tfds(tmp_path, "nolabel", {"train": rows[1]}, label="none")
    two = {"left": tfds.features.ClassLabel(num_classes=3), "right": tfds.features.ClassLabel(num_classes=3)}
    two_labels = write_tfds(tmp_path, "two", {"train": rows[1]}, label="none", extra=two)
    for directory, found in [(no_label, "has image"), (two_labels, "has image, left, right")]:
        with pytest.raises(ValueError, match=f"one image and one class label; .*{found}"):
            TfdsRecords(directory, directory.parent.name, "train", "train").shape(None, False)


def test_sixteen_bit_sets_are_refused(tmp_path, rows, write_tfds):
    import tensorflow_datasets as tfds

    deep = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
    directory = write_tfds(tmp_path, "deep", {"train": rows[1]}, image=deep)
    with pytest.raises(ValueError, match="images are uint8; image of deep is uint16"):
        TfdsRecords(directory, "deep", "train", "train").shape(None, False)


def test_secret_labels_are_recognized(tmp_path, rows, write_tfds):
    secret = [(data, -1) for data, _ in rows[1]]
    directory = write_tfds(tmp_path, "contest", {"train": rows[1], "test": secret})
    assert TfdsRecords(directory, "contest", "train", "train").labelled()
    assert not TfdsRecords(directory, "contest", "test", "test").labelled()


def test_the_fingerprint_changes_with_the_files(directory):
    records = TfdsRecords(directory, "bugs", "train", "train")
    first = records.fingerprint()
    assert records.fingerprint() == first
    shard = next(directory.glob("*train*"))
    os.utime(shard, ns=(0, 0))
    second = records.fingerprint()
    (directory / "features.json").write_text((directory / "features.json").read_text() + " ")
    assert len({first, second, records.fingerprint()}) == 3


def test_splits_and_their_sizes(directory):
    assert stored_splits(directory) == {"train": 9, "test": 4}


def test_the_first_folder_and_the_highest_version_count(tmp_path):
    old = touch(tmp_path / "a", "bugs/9.0.0")
    new = touch(tmp_path / "a", "bugs/10.0.0")
    other = touch(tmp_path / "b", "bugs/11.0.0")
    touch(tmp_path / "a", "bugs/incomplete.XYZ_12.0.0")
    roots = [tmp_path / "nowhere", tmp_path / "a", tmp_path / "b"]
    assert find_prepared("bugs", roots) == (new, [])
    assert find_prepared("bugs:9.0.0", roots) == (old, [])
    assert find_prepared("bugs:11.0.0", roots) == (other, [])
    assert find_prepared("bugs:8.0.0", roots) == (None, [])
    assert find_prepared("no such name!", roots) == (None, [])


def test_configs(tmp_path):
    small = touch(tmp_path, "nette/160px/1.0.0")
    assert find_prepared("nette", [tmp_path]) == find_prepared("nette/160px", [tmp_path]) == (small, [])
    large = touch(tmp_path, "nette/320px/1.0.0")
    with pytest.raises(ValueError, match=r"several forms of nette .* name one: nette/160px, nette/320px"):
        find_prepared("nette", [tmp_path])
    (tmp_path / "nette" / ".config").mkdir()
    (tmp_path / "nette" / ".config" / "metadata.json").write_text('{"default_config_name": "320px"}')
    assert find_prepared("nette", [tmp_path]) == (large, [])
    assert find_prepared("nette/160px:1.0.0", [tmp_path]) == (small, [])


def test_the_default_config_is_the_one_that_tfds_records(tmp_path, rows, write_tfds):
    directory = write_tfds(tmp_path, "nette", {"train": rows[1]}, config="big")
    touch(tmp_path, "nette/small/1.0.0")
    assert find_prepared("nette", [tmp_path])[0] == directory


@pytest.mark.parametrize("file_format", ["tfrecord", None])
def test_what_tensorflow_alone_can_read_is_told(tmp_path, file_format):
    folder = touch(tmp_path / "a", "bugs/1.0.0", file_format)
    assert find_prepared("bugs", [tmp_path / "a"]) == (None, [f"{folder} is not in the array_record format."])
    readable = touch(tmp_path / "b", "bugs/1.0.0")
    assert find_prepared("bugs", [tmp_path / "a", tmp_path / "b"]) == (readable, [])


def test_prepared_names(tmp_path):
    for path in ["bugs/1.0.0", "nette/160px/1.0.0", "downloads/extracted"]:
        touch(tmp_path, path)
    assert prepared_names([tmp_path, tmp_path / "nowhere"]) == ["bugs", "nette/160px"]
