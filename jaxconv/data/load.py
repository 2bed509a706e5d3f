"""From a name to the two splits that training and evaluation use."""

import dataclasses
import difflib
import os
from pathlib import Path

import numpy as np

from jaxconv.data.dataset import AnyDataset, Dataset
from jaxconv.data.decoded import open_split
from jaxconv.data.digits import load_digits
from jaxconv.data.folder import FolderRecords, ImageFolder
from jaxconv.data.image import resize_images
from jaxconv.data.originals import ORIGINALS
from jaxconv.data.places import roots as search_roots
from jaxconv.data.prepare import prepare, prepare_with_tfds, published_version
from jaxconv.data.prepared import HOLD_OUT_EVERY, TfdsRecords, find_prepared, prepared_names, stored_splits
from jaxconv.data.progress import say
from jaxconv.data.records import Records


def load_dataset(
    name: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    progress: bool = True,
) -> tuple[AnyDataset, AnyDataset]:
    """Loads the training and the evaluation split of a data set.

    Args:
        name: one of
            "digits", the 1,797 digits inside the package;
            a TFDS name, `name[/config][:version]`, of a set with an image and a label. It is read, without
            TensorFlow, where it has been prepared in TFDS's array_record format. MNIST, Fashion-MNIST, CIFAR-10 and
            CIFAR-100 are prepared here from their published files, which are downloaded where they are not found;
            other sets are downloaded and prepared by TFDS, which takes TensorFlow;
            a path to a folder of images, see `ImageFolder` ("./mnist" is a folder, "mnist" is the TFDS set).
        data_dir: folder in which prepared sets and published files are looked for, before `$TFDS_DATA_DIR` (or
            `~/tensorflow_datasets`) and jaxconv's own cache. It is only read.
        image_size: side in pixels. Images are resized, proportions kept, until their shorter side has this length,
            and the square in the centre is cut out. None keeps the size where all images share it, else 160.
        progress: whether to show what is being done.

    Returns:
        (train, evaluation). Evaluation is the split `test`, else `validation` (which also takes the place of a
        test split without labels); of a set that has neither, every fifth example is held out. A split that would
        take more than 8 GiB decoded comes as a `StreamedDataset`. In the place of an image that cannot be used stands
        another one in `train` (its `bad`); from `evaluation` it is left out (its `left_out`); see `open_split`.

    Raises:
        ValueError: if no such data set is known (the closest names are listed), it has no image or no label, or
            it cannot be prepared without TensorFlow.
        ImageError: if too many images in a row cannot be used.
        DownloadError: if a published file cannot be had.
    """
    if image_size is not None and not isinstance(image_size, int | np.integer):
        raise TypeError(f"image_size is a whole number of pixels; got {image_size!r}.")
    if image_size is not None and image_size < 1:
        raise ValueError(f"image_size is at least 1 pixel; got {image_size}.")
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise ValueError(f"a data set is digits, a TFDS name or a folder of images; got {name!r}.")
    roots = search_roots(data_dir)
    if name == "digits":
        return _digits(image_size)
    train, evaluation = _records(name, roots, progress)
    return (
        open_split(train, image_size, progress=progress),
        open_split(evaluation, image_size, bad_images="leave out", progress=progress),
    )


def _digits(image_size: int | None) -> tuple[Dataset, Dataset]:
    train, test = load_digits()
    if image_size is None:
        return train, test
    return (
        dataclasses.replace(train, images=resize_images(train.images, image_size)),
        dataclasses.replace(test, images=resize_images(test.images, image_size)),
    )


def _folder_records(name: str | os.PathLike[str], progress: bool) -> tuple[Records, Records]:
    root = Path(name).expanduser()
    if not root.is_dir():
        raise ValueError(f"a data set is digits, a TFDS name or a folder of images; {root} is not a folder.")
    folder = ImageFolder.open(root)
    train, evaluation = (FolderRecords(folder, split) for split in folder.splits)
    if evaluation.split == "held_out":
        say(f"{name}: {len(train):,} images to train on, {len(evaluation):,} held out.", shown=progress)
    return train, evaluation


def _records(name: str | os.PathLike[str], roots: list[Path], progress: bool) -> tuple[Records, Records]:
    """Finds out what the name means: a path, a prepared set, one that can be prepared."""
    if not isinstance(name, str) or name.startswith((".", "~", os.sep)):
        return _folder_records(name, progress)
    directory, passed_over = find_prepared(name, roots)
    if directory is not None:
        return _tfds_records(directory, name, progress)
    if (_base(name) not in ORIGINALS or "/" in name) and Path(name).is_dir():
        return _folder_records(name, progress)
    looked = "Looked for it, prepared, in " + ", ".join([*map(str, roots), *passed_over]) + "."
    _require_made_here(name)
    target = _prepare(name, roots, looked, progress)
    directory, _ = find_prepared(name, [target])
    if directory is None:
        raise ValueError(f"{name} is not the version that this TFDS makes; it made those in {target}.")
    return _tfds_records(directory, name, progress)


def _require_made_here(name: str) -> None:
    """Refuse another version or configuration of a set than the one that its published files make, before any is had.

    Raises:
        ValueError: naming the one that there is.
    """
    if _base(name) not in ORIGINALS:
        return
    version = published_version(_base(name))
    if name not in (_base(name), f"{_base(name)}:{version}"):
        raise ValueError(f"{_base(name)} is made here in version {version} and no configuration; got {name!r}.")


def _prepare(name: str, roots: list[Path], looked: str, progress: bool) -> Path:
    if _base(name) in ORIGINALS:
        return prepare(_base(name), roots, progress=progress)
    import tensorflow_datasets as tfds

    published = tfds.list_builders(with_community_datasets=False)
    if _base(name) in published:
        return prepare_with_tfds(name, looked, progress=progress)
    known = sorted({"digits", *ORIGINALS, *prepared_names(roots), *published})
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or ["digits", *ORIGINALS]
    raise ValueError(
        f"a data set is digits, a TFDS name or a folder of images; {name!r} is none of them. "
        f"The closest: {', '.join(close)}. {looked}"
    )


def _tfds_records(directory: Path, name: str, progress: bool) -> tuple[Records, Records]:
    base, splits = _base(name), stored_splits(directory)
    full = base if directory.parent.name == base else f"{base}/{directory.parent.name}"
    if "train" not in splits:
        raise ValueError(f"a data set has a split train; {full} has {', '.join(splits)}.")
    train = TfdsRecords(directory, full, "train", "train")
    test, validation = (TfdsRecords(directory, full, split, split) for split in ("test", "validation"))
    if "test" in splits and "validation" in splits:
        return train, test if test.labelled() else validation
    if "test" in splits or "validation" in splits:
        return train, test if "test" in splits else validation
    say(f"{full} has no split for evaluation: every {HOLD_OUT_EVERY}th is held out.", shown=progress)
    return (
        dataclasses.replace(train, part="kept"),
        dataclasses.replace(train, split="held_out", part="held_out"),
    )


def _base(name: str) -> str:
    return name.split(":")[0].split("/")[0]
