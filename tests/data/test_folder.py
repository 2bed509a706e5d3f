import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxconv.data.folder import FolderRecords, ImageFolder
from jaxconv.data.image import ImageError


def save(path, shape=(12, 10, 3), value=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path, **options)


@pytest.fixture
def animals(tmp_path):
    for split, names in [("train", ["cat/a", "cat/sub/b", "dog/c"]), ("val", ["dog/d"])]:
        for value, name in enumerate(names):
            save(tmp_path / split / f"{name}.png", value=value)
    return tmp_path


def test_splits_in_folders(animals):
    folder = ImageFolder.open(animals)
    assert folder.classes == ("cat", "dog") and list(folder.splits) == ["train", "val"]
    train, val = (FolderRecords(folder, split) for split in folder.splits)
    assert (len(train), len(val), train.name, train.classes) == (3, 1, animals.name, ("cat", "dog"))
    images, labels = train.read([2, 0, 1], (12, 10, 3))
    np.testing.assert_array_equal(images[:, 0, 0, 0], [2, 0, 1])
    np.testing.assert_array_equal(labels, [1, 0, 0])
    np.testing.assert_array_equal(val.read([0], (12, 10, 3))[1], [1])
    assert train.key() != val.key()


@pytest.mark.parametrize("name", ["validation", "valid", "test"])
def test_the_split_for_evaluation_has_several_names(animals, name):
    (animals / "val").rename(animals / name)
    assert list(ImageFolder.open(animals).splits) == ["train", name]


def test_splits_may_begin_with_a_capital(animals):
    for split in ("train", "val"):
        (animals / split).rename(animals / f"_{split}")  # in two steps, for file systems that do not tell cases apart
        (animals / f"_{split}").rename(animals / split.capitalize())
    folder = ImageFolder.open(animals)
    assert folder.classes == ("cat", "dog")
    assert {split: len(files) for split, files in folder.splits.items()} == {"train": 3, "val": 1}
    save(animals / "train" / "cow" / "a.png")
    save(animals / "train" / "dog" / "b.png")
    assert ImageFolder.open(animals).classes == ("cow", "dog")  # small letters come first


def test_a_class_may_be_called_train_with_a_capital(tmp_path):
    for label in ("Bus", "Train"):
        for number in range(30):
            save(tmp_path / label / f"{number}.png", (4, 4))
    assert ImageFolder.open(tmp_path).classes == ("Bus", "Train")


def test_links_that_lead_nowhere_are_no_folders(animals):
    for place in (animals, animals / "train"):
        (place / "itself").symlink_to("itself")
        (place / "nothing").symlink_to("absent")
    assert ImageFolder.open(animals).classes == ("cat", "dog")


def test_a_folder_has_a_name_where_it_is_given_as_a_dot(animals, monkeypatch):
    monkeypatch.chdir(animals / "train")
    assert [ImageFolder.open(Path(place)).name for place in ("..", "../../" + animals.name)] == [animals.name] * 2
    monkeypatch.chdir(animals)
    assert ImageFolder.open(Path(".")).name == animals.name


def test_a_validation_split_is_preferred_to_a_test_split(animals):
    save(animals / "test" / "cat" / "z.png")
    assert list(ImageFolder.open(animals).splits) == ["train", "val"]


def test_one_level_is_split_by_the_names(tmp_path):
    for label in ("cat", "dog"):
        for number in range(100):
            save(tmp_path / label / f"{number}.png", (4, 4))
    splits = ImageFolder.open(tmp_path).splits
    assert list(splits) == ["train", "held_out"]
    train, held_out = ({path for path, _ in splits[split]} for split in splits)
    assert len(train) + len(held_out) == 200 and not train & held_out
    assert 25 <= len(held_out) <= 55  # binomial with p = 1/5: 40, standard deviation 5.7
    gone = sorted(train)[:50]
    for path in gone:
        path.unlink()
    splits = ImageFolder.open(tmp_path).splits
    assert {path for path, _ in splits["train"]} == train - set(gone)
    assert {path for path, _ in splits["held_out"]} == held_out


def test_the_split_by_names_never_changes(tmp_path):
    for number in range(12):
        save(tmp_path / "cat" / f"{number}.png", (4, 4))
    held_out = [path.name for path, _ in ImageFolder.open(tmp_path).splits["held_out"]]
    # for n in $(seq 0 11); do printf "cat/$n.png" | sha256sum | cut -c1-16; done, modulo 5
    assert held_out == ["3.png"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "one folder a class; .* has none"),
        (["a.png"], "one folder a class; .* has none"),
        (["train/cat/a.png"], "beside train there is one of val, validation, valid, test; .* has none"),
        (["train/cat/a.png", "val/cow/b.png"], r"classes of .*train only; got also \['cow'\]"),
        (["train/cat/a.txt", "val/cat/b.png"], "cat holds no image"),
        (["cat/1.png"], "too few images to hold out a fifth"),
    ],
)
def test_other_forms_are_refused(tmp_path, files, message):
    for file in files:
        save(tmp_path / file, format="png")
    with pytest.raises(ValueError, match=message):
        ImageFolder.open(tmp_path)


def test_the_shape_is_that_of_all_images_or_a_square(animals):
    def shape(image_size=None):
        return ImageFolder.open(animals).shape(image_size, False)

    assert shape() == (12, 10, 3)
    assert shape(32) == (32, 32, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(animals / "train" / "cat" / "turned.jpg", (10, 12, 3), exif=exif)
    assert shape() == (12, 10, 3)
    save(animals / "val" / "cat" / "larger.png", (13, 10, 3))
    assert shape() == (160, 160, 3)


def test_a_gray_folder_has_one_channel(tmp_path):
    for file in ["train/cat/a.png", "val/cat/b.tif"]:
        save(tmp_path / file, (12, 10))
    np.save(tmp_path / "train" / "cat" / "c.npy", np.zeros((12, 10), np.uint8))
    assert ImageFolder.open(tmp_path).shape(None, False) == (12, 10, 1)
    np.save(tmp_path / "val" / "cat" / "d.npy", np.zeros((12, 10, 3), np.uint8))
    assert ImageFolder.open(tmp_path).shape(None, False) == (12, 10, 3)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_file_that_is_no_image_is_named(animals, split):
    (animals / split / "dog" / "broken.png").write_bytes(b"no image")
    folder = ImageFolder.open(animals)
    assert folder.shape(None, False) == (12, 10, 3)  # it has no say in the shape
    with pytest.raises(ImageError, match=r"broken.png: not a readable image"):
        FolderRecords(folder, split).read(range(len(folder.splits[split])), (8, 8, 3))


def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_used(animals):
    link = animals / "train" / "dog" / "link.png"
    link.symlink_to(animals / "nowhere.png")
    folder = ImageFolder.open(animals)
    assert link in [path for path, _ in folder.splits["train"]]
    before = folder.fingerprint
    save(animals / "nowhere.png")
    assert ImageFolder.open(animals).fingerprint != before


def test_the_fingerprint_changes_with_any_file(animals):
    first = ImageFolder.open(animals).fingerprint
    assert ImageFolder.open(animals).fingerprint == first
    os.utime(animals / "val" / "dog" / "d.png", ns=(0, 0))
    second = ImageFolder.open(animals).fingerprint
    save(animals / "train" / "dog" / "new.png")
    assert len({first, second, ImageFolder.open(animals).fingerprint}) == 3


def test_names_that_are_not_utf_8_are_names_like_others(tmp_path):
    for number in range(40):
        save(tmp_path / "cat" / f"{number}.png", (4, 4), number)
    before = ImageFolder.open(tmp_path)
    os.rename(os.fsencode(tmp_path / "cat" / "1.png"), os.fsencode(tmp_path / "cat") + b"/caf\xe9.png")
    os.rename(os.fsencode(tmp_path / "cat"), os.fsencode(tmp_path) + b"/ch\xe2t")
    folder = pickle.loads(pickle.dumps(ImageFolder.open(tmp_path)))
    assert folder.classes == ("ch\udce2t",) and folder.fingerprint != before.fingerprint
    images = [
        FolderRecords(folder, split).read(range(len(folder.splits[split])), (4, 4, 1))[0] for split in folder.splits
    ]
    assert sorted(np.concatenate(images)[:, 0, 0, 0].tolist()) == list(range(40))


def test_a_folder_is_the_same_after_it_was_sent_to_another_process(animals):
    folder = ImageFolder.open(animals)
    sent = pickle.loads(pickle.dumps(folder))
    assert (sent.root, sent.classes, sent.splits) == (folder.root, folder.classes, folder.splits)
    assert sent.fingerprint == folder.fingerprint
