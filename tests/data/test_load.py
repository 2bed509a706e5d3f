import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxconv.data import Dataset, StreamedDataset, decoded, load_dataset, load_digits, normalization
from jaxconv.data import prepare as prepare_module

DATA = os.environ.get("JAXCONV_DATA")


def load(name, data_dir=None, image_size=None):
    return load_dataset(name, data_dir=data_dir, image_size=image_size, progress=False)


@pytest.fixture
def rows(rng, png):
    pixels = rng.integers(0, 256, (10, 12, 12, 3), np.uint8)
    return [(png(image), index % 3) for index, image in enumerate(pixels)]


def test_importing_and_loading_the_digits_imports_nothing_heavy():
    heavy = "tensorflow tensorflow_datasets grain PIL torch pandas matplotlib rich orbax".split()
    script = f"""
import sys, jaxconv.data
before = sorted(set({heavy}) & set(sys.modules))
jaxconv.data.load_dataset("digits")
print(before, sorted(set({heavy}) & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_digits():
    (train, test), (expected, _) = load("digits"), load_digits()
    np.testing.assert_array_equal(train.images, expected.images)
    assert len(test) == 360
    train, test = load("digits", image_size=32)
    assert train.image_shape == test.image_shape == (32, 32, 1)
    np.testing.assert_allclose(train.images.mean(), expected.images.mean(), rtol=0.02)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_published_sets_are_prepared_and_decoded(originals, name):
    root, arrays = originals
    train, test = load(name, root)
    assert isinstance(train, Dataset) and (train.name, train.split, test.split) == (name, "train", "test")
    for ds, split in ((train, "train"), (test, "test")):
        images, labels = arrays[name][split]
        where = [int(np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0]) for image in ds.images]
        assert sorted(where) == list(range(len(images)))
        np.testing.assert_array_equal(ds.labels, labels[where])
    again, _ = load(name)
    np.testing.assert_array_equal(again.images, train.images)


def test_a_prepared_set_is_read_from_data_dir_which_stays_as_it_is(tmp_path, rows, write_tfds, cache):
    write_tfds(tmp_path, "nette", {"train": rows, "validation": rows[:4]}, config="small")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for name in ("nette", "nette/small", "nette/small:1.0.0"):
        train, validation = load(name, tmp_path, 12)
        assert (train.name, validation.split, len(train), len(validation)) == ("nette/small", "validation", 10, 4)
        assert train.classes == ("ant", "bee", "cow")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert len([path for path in (cache / "decoded").iterdir() if path.is_dir()]) == 2


def test_tfds_own_folder_is_searched(rows, write_tfds, own_places):
    write_tfds(own_places / "tensorflow_datasets", "bugs", {"train": rows, "test": rows[:4]})
    train, test = load("bugs", image_size=12)
    assert (len(train), len(test)) == (10, 4)


def test_images_of_unknown_size_become_squares(tmp_path, rng, png, write_tfds):
    rows = [(png(rng.integers(0, 256, (h, w, 3), np.uint8)), 0) for h, w in [(20, 30), (30, 20), (200, 180)]]
    write_tfds(tmp_path, "photos", {"train": rows, "test": rows})
    assert load("photos", tmp_path)[0].image_shape == (160, 160, 3)
    assert load("photos", tmp_path, 16)[0].image_shape == (16, 16, 3)


def test_which_split_is_for_evaluation(tmp_path, rows, write_tfds):
    secret = [(data, -1) for data, _ in rows]
    write_tfds(tmp_path, "both", {"train": rows, "validation": rows[:3], "test": rows[:4]})
    write_tfds(tmp_path, "contest", {"train": rows, "validation": rows[:3], "test": secret})
    write_tfds(tmp_path, "alone", {"train": rows})
    write_tfds(tmp_path, "odd", {"everything": rows})
    assert load("both", tmp_path, 12)[1].split == "test"
    assert load("contest", tmp_path, 12)[1].split == "validation"
    train, held_out = load("alone", tmp_path, 12)
    assert (len(train), len(held_out), held_out.split) == (8, 2, "held_out")
    both = np.concatenate([train.images, held_out.images])
    assert len(np.unique(both.reshape(10, -1), axis=0)) == 10
    with pytest.raises(ValueError, match="a data set has a split train; odd has everything"):
        load("odd", tmp_path)


def test_a_large_set_is_streamed(tmp_path, rows, write_tfds, monkeypatch):
    write_tfds(tmp_path, "bugs", {"train": rows, "test": rows[:4]})
    expected, _ = load("bugs", tmp_path, 12)
    monkeypatch.setattr(decoded, "DECODED_LIMIT_BYTES", 1000)
    streamed, _ = load("bugs", tmp_path, 11)
    assert isinstance(streamed, StreamedDataset) and streamed.classes == ("ant", "bee", "cow")
    images, labels = streamed.gather([8, 0])
    assert images.shape == (2, 11, 11, 3)
    np.testing.assert_array_equal(labels, expected.labels[[8, 0]])


def save_folder(root, names):
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


def test_a_folder_of_images(tmp_path, monkeypatch):
    save_folder(tmp_path / "animals", ["train/cat/a.png", "train/dog/b.png", "val/cat/c.png"])
    train, val = load(str(tmp_path / "animals"))
    assert (train.name, train.classes, val.split) == ("animals", ("cat", "dog"), "val")
    np.testing.assert_array_equal(train.images[:, 0, 0, 0], [0, 1])
    np.testing.assert_array_equal(val.images[:, 0, 0, 0], [2])
    monkeypatch.chdir(tmp_path)
    for name in ("animals", "./animals", f"../{tmp_path.name}/animals", Path("animals")):
        assert load(name)[0].classes == ("cat", "dog")


def test_a_tfds_name_is_not_a_folder(tmp_path, originals, monkeypatch):
    root, _ = originals
    save_folder(tmp_path / "mnist", ["train/cat/a.png", "val/cat/b.png"])
    monkeypatch.chdir(tmp_path)
    assert len(load("mnist", root)[0].classes) == 10
    assert load("./mnist")[0].classes == load("mnist/")[0].classes == ("cat",)


def test_a_folder_without_splits_is_split_and_that_is_told(tmp_path, capsys):
    save_folder(tmp_path, [f"cat/{number}.png" for number in range(12)])
    train, held_out = load_dataset(str(tmp_path))
    assert (len(train), len(held_out)) == (11, 1)
    assert "11 images to train on, 1 held out" in capsys.readouterr().err


def test_an_image_that_was_replaced_is_seen(tmp_path):
    save_folder(tmp_path, ["train/cat/a.png", "val/cat/b.png"])
    assert load(str(tmp_path))[0].images.max() == 0
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(tmp_path / "train/cat/a.png")
    assert load(str(tmp_path))[0].images.max() == 77


@pytest.mark.parametrize(
    ("name", "close"), [("minst", "mnist"), ("cifar_10", "cifar10"), ("digts", "digits"), ("bugz", "bugs")]
)
def test_an_unknown_name_lists_the_closest(tmp_path, name, close):
    (tmp_path / "bugs" / "1.0.0").mkdir(parents=True)
    (tmp_path / "bugs" / "1.0.0" / "dataset_info.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"'{name}' is none of them. The closest: .*\b{close}\b"):
        load(name, tmp_path)


def test_a_name_like_no_other_lists_the_usual():
    with pytest.raises(ValueError, match="The closest: digits, mnist, fashion_mnist, cifar10, cifar100"):
        load("qqqqqqqqqqqqqq")


def test_a_path_that_is_none_is_told():
    for name in ("./nowhere/images", Path("nowhere/images")):
        with pytest.raises(ValueError, match="nowhere/images is not a folder"):
            load(name)


def test_a_set_that_takes_tensorflow_says_so_and_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "find_spec", lambda name: None)
    folder = tmp_path / "stl10" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text('{"fileFormat": "tfrecord"}')
    with pytest.raises(ValueError) as caught:
        load("stl10", tmp_path)
    for part in ("pip install tensorflow", str(tmp_path), f"{folder} is not in the array_record format"):
        assert part in str(caught.value)


def test_a_version_that_is_not_made_is_refused(originals):
    message = r"mnist is made here in version \d+\.\d+\.\d+ and no configuration; got 'mnist:1\.2\.3'"
    with pytest.raises(ValueError, match=message):
        load("mnist:1.2.3", originals[0])


@pytest.mark.parametrize("image_size", [0, -4])
def test_a_size_below_one_is_refused(image_size):
    with pytest.raises(ValueError, match=f"image_size is at least 1 pixel; got {image_size}"):
        load("digits", image_size=image_size)


PUBLISHED = {
    "mnist": ([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], [0.1307], [0.3081]),
    "fashion_mnist": ([6000] * 10, [0.2860], [0.3530]),
}


@pytest.mark.zoo
@pytest.mark.skipif(DATA is None, reason="JAXCONV_DATA names no folder with the published files")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_published_files_give_the_published_numbers(name):
    assert DATA is not None
    counts, mean, std = PUBLISHED[name]
    train, test = load(name, Path(DATA))
    assert train.images.shape == (60000, 28, 28, 1) and test.images.shape == (10000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(train.labels), counts)
    np.testing.assert_allclose(np.concatenate(normalization(train)), mean + std, atol=6e-5)
    if name == "fashion_mnist":
        assert train.classes[9] == "Ankle boot" and np.all(np.bincount(test.labels) == 1000)
