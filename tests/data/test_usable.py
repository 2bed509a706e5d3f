"""What stands in the place of an example that cannot be used."""

import numpy as np
import pytest
from data.damaged import bad_files, damaged_folder, odd_files, write

from jaxconv.data import StreamedDataset, batches, load_dataset
from jaxconv.data.folder import FolderRecords, ImageFolder
from jaxconv.data.image import ImageError, read_image
from jaxconv.data.usable import LONGEST_RUN, Without, read_usable


class Numbers:
    """Records whose image number i is filled with i, of which some cannot be used; each attempt is noted."""

    name, split, classes = "numbers", "train", ("even", "odd")

    def __init__(self, count, *unusable):
        self.count, self.unusable, self.tried = count, set(unusable), []

    def __len__(self):
        return self.count

    def key(self):
        return {"kind": "numbers"}

    def fingerprint(self):
        return "1"

    def shape(self, image_size, progress):
        return 2, 2, 1

    def read(self, indices, shape):
        self.tried += indices
        for index in indices:
            if index in self.unusable:
                raise ImageError(f"number {index} is no image")
        images = np.stack([np.full(shape, index, np.int64).astype(np.uint8) for index in indices])
        return images, np.array(indices, np.int32) % 2


@pytest.mark.parametrize(
    ("unusable", "expected"),
    [
        ([], [0, 1, 2, 3, 4]),
        ([2], [0, 1, 3, 3, 4]),
        ([1, 2], [0, 3, 3, 3, 4]),
        ([4], [0, 1, 2, 3, 0]),
        ([0, 3, 4], [1, 1, 2, 1, 1]),
    ],
)
def test_the_next_usable_one_stands_in_with_its_label(unusable, expected):
    bad = {}
    images, labels = read_usable(Numbers(5, *unusable), range(5), (2, 2, 1), bad)
    np.testing.assert_array_equal(images[:, 0, 0, 0], expected)
    np.testing.assert_array_equal(labels, np.array(expected) % 2)
    assert images.dtype == np.uint8 and labels.dtype == np.int32
    assert bad == {index: f"number {index} is no image" for index in unusable}


def test_what_stands_there_depends_on_nothing_but_the_position(rng):
    unusable = rng.choice(60, 20, replace=False).tolist()
    whole, whole_labels = read_usable(Numbers(60, *unusable), range(60), (2, 2, 1), {})
    bad: dict[int, str] = {}
    records = Numbers(60, *unusable)
    for _ in range(30):
        some = rng.choice(60, 7).tolist()
        images, labels = read_usable(records, some, (2, 2, 1), bad)
        np.testing.assert_array_equal(images, whole[some])
        np.testing.assert_array_equal(labels, whole_labels[some])


def test_a_bad_example_is_tried_once_only():
    records, bad = Numbers(5, 2), {}
    for _ in range(3):
        read_usable(records, [1, 2], (2, 2, 1), bad)
    assert records.tried.count(2) == 2  # in the batch, and by itself to find out


def test_when_everything_is_gone_that_is_an_error_and_no_search():
    records = Numbers(10_000, *range(10_000))
    with pytest.raises(ImageError, match=r"of 100 examples in a row one at least can be used; .* number 7 is no image"):
        read_usable(records, [7, 8, 9], (2, 2, 1), {})
    assert len(records.tried) <= 3 + LONGEST_RUN
    with pytest.raises(ImageError, match="none of the 3 from example 1 on can"):
        read_usable(Numbers(3, 0, 1, 2), [1], (2, 2, 1), {})


def test_the_longest_run_that_is_bridged():
    images, _ = read_usable(Numbers(250, *range(1, LONGEST_RUN)), [1], (2, 2, 1), {})
    assert images[0, 0, 0, 0] == LONGEST_RUN
    with pytest.raises(ImageError, match="none of the 100"):
        read_usable(Numbers(250, *range(1, LONGEST_RUN + 1)), [1], (2, 2, 1), {})


def test_records_without_some():
    rest = Without(Numbers(6, 1), [1, 4])
    assert len(rest) == 4 and (rest.name, rest.split, rest.classes) == ("numbers", "train", ("even", "odd"))
    images, labels = rest.read([0, 1, 2, 3], (2, 2, 1))
    np.testing.assert_array_equal(images[:, 0, 0, 0], [0, 2, 3, 5])
    np.testing.assert_array_equal(labels, [0, 0, 1, 1])


@pytest.fixture
def folder(tmp_path):
    damaged_folder(tmp_path / "pets")
    return tmp_path / "pets"


@pytest.mark.parametrize("name", bad_files())
def test_each_kind_of_damage_is_told_apart(tmp_path, name):
    content, message = bad_files()[name]
    write(tmp_path / name, content)
    with pytest.raises(ImageError, match=rf"{name}: .*{message}"):
        read_image(tmp_path / name, channels=3)


@pytest.mark.parametrize("name", odd_files())
def test_images_of_unusual_kinds_are_good(tmp_path, name):
    write(tmp_path / name, odd_files()[name])
    assert read_image(tmp_path / name, channels=3, size=(32, 32)).shape == (32, 32, 3)


def test_a_damaged_folder_is_loaded_and_says_what_is_bad(folder, capsys):
    train, test = load_dataset(folder)
    assert (len(train), len(test)) == (12 + 3 + 12 + 4, 8)
    assert [why.split(":")[0].rsplit("/", 1)[1] for why in train.bad.values()] == [
        "bomb.png",
        "missing.jpg",
        "truncated.jpg",
    ]
    assert [why.split(":")[0].rsplit("/", 1)[1] for why in test.left_out.values()] == [
        "empty.jpg",
        "flipped.png",
        "text.jpg",
    ]
    output = capsys.readouterr().err
    assert "pets, train: 3 unusable images are replaced by the next usable ones" in output
    assert "pets, val: 3 unusable images are left out" in output
    paths = [path for path, _ in ImageFolder.open(folder).splits["train"]]
    for index in train.bad:
        stand_in = next(p for p in paths[index:] if p.name not in bad_files())
        np.testing.assert_array_equal(train.images[index], read_image(stand_in, channels=train.image_shape[-1]))


def test_what_is_left_out_does_not_change_what_is_measured(folder, tmp_path):
    damaged_folder(tmp_path / "whole", bad=False)
    (_, test), (_, whole) = (load_dataset(tmp_path / name, image_size=32, progress=False) for name in ("pets", "whole"))
    assert test.image_shape == whole.image_shape
    np.testing.assert_array_equal(test.images, whole.images)
    np.testing.assert_array_equal(test.labels, whole.labels)


def test_the_cache_remembers_what_is_bad(folder, capsys):
    first = load_dataset(folder, progress=False)
    assert capsys.readouterr().err == ""
    again = load_dataset(folder)
    output = capsys.readouterr().err
    assert "Decoding" not in output and "3 unusable images are replaced" in output
    for one, other in zip(first, again, strict=True):
        assert one.bad == other.bad and one.left_out == other.left_out
        np.testing.assert_array_equal(one.images, other.images)


def test_an_image_that_was_mended_counts_again(folder):
    load_dataset(folder, progress=False)
    for name in ("truncated.jpg", "empty.jpg"):
        place = folder / ("train" if name == "truncated.jpg" else "val") / "a"
        (place / name).write_bytes((place / "m00.jpg").read_bytes())
    train, test = load_dataset(folder, progress=False)
    assert (len(train.bad), len(test.left_out), len(test)) == (2, 2, 9)


def test_decoded_and_streamed_are_the_same(folder, monkeypatch):
    decoded = load_dataset(folder, image_size=32, progress=False)
    monkeypatch.setattr("jaxconv.data.decoded.DECODED_LIMIT_BYTES", 0)
    monkeypatch.setattr("jaxconv.data.decoded._FORMAT", "another, so that the cache is not used")
    streamed = load_dataset(folder, image_size=32, progress=False)
    for one, other in zip(decoded, streamed, strict=True):
        assert isinstance(other, StreamedDataset) and len(one) == len(other) and one.left_out == other.left_out
        images, labels = other.gather(range(len(other)))
        np.testing.assert_array_equal(images, one.images)
        np.testing.assert_array_equal(labels, one.labels)
    assert streamed[0].bad == decoded[0].bad


def test_bad_images_are_told_when_their_batch_comes(folder, monkeypatch):
    """Whether decoded or streamed, and however far ahead it was read."""
    told = {}
    for kind in ("decoded", "streamed"):
        if kind == "streamed":
            monkeypatch.setattr("jaxconv.data.decoded.DECODED_LIMIT_BYTES", 0)
            monkeypatch.setattr("jaxconv.data.decoded._FORMAT", "another, so that the cache is not used")
        train, _ = load_dataset(folder, image_size=32, progress=False)
        told[kind], now = [], []
        for step, _ in enumerate(batches(train, 5, 0, 12, 6, on_bad=now.append)):
            told[kind] += [(step, index) for bad in now for index in bad]
            now.clear()
    assert told["decoded"] == told["streamed"]
    assert len({index for _, index in told["decoded"]}) == 3
    assert len(told["decoded"]) >= 6  # 72 examples are more than two epochs of 31


def test_a_folder_of_which_nothing_can_be_read(tmp_path):
    for path in ("train/a/x.png", "train/b/y.png", "val/a/z.png"):
        write(tmp_path / path, b"nothing")
    with pytest.raises(ImageError, match=r"one image at least has a readable header; of the 3 in .* none has"):
        load_dataset(tmp_path, progress=False)


def test_a_streamed_split_finds_its_bad_ones_as_it_goes(folder):
    records = FolderRecords(ImageFolder.open(folder), "train")
    train = StreamedDataset(records, (32, 32, 3))
    assert not train.bad
    train.gather(range(len(train)))
    assert len(train.bad) == 3 and train.bad_among([0, *train.bad]) == train.bad
