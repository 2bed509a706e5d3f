"""A folder of class folders of images as a data set."""

import dataclasses
import errno
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from jaxconv.data.image import ImageError, image_header, list_images, read_image
from jaxconv.data.prepared import DEFAULT_IMAGE_SIZE, HOLD_OUT_EVERY
from jaxconv.data.progress import track

_EVALUATION = ("val", "validation", "valid", "test")


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """All images of a data set that lies in a folder, in one of two forms.

    Either `train/<class>/...` with one of `val`, `validation`, `valid`, `test` beside it in the same form, in small
    letters or others (`Train` and `Val`); or
    `<class>/...` alone, of which about a fifth is held out: the images for which the first 64 bits of the SHA-256
    of "<class>/<path in the class folder>" are divisible by five. An image thus never changes sides when others
    come or go. Classes are the sorted names of the class folders (of those for training).

    Attributes:
        root: the folder.
        classes: the name of each class.
        splits: by the split's name, the path and the label of each image, sorted.
    """

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[tuple[Path, int]]]

    @classmethod
    def open(cls, root: Path) -> "ImageFolder":
        """Lists the images in a folder.

        Raises:
            ValueError: if the folder has neither form.
        """
        if not root.is_dir():
            raise ValueError(f"{root} is not a folder.")
        folders = _split_folders(root)
        if not folders:
            classes = _class_folders(root)
            return cls(root, classes, _split_by_hash(root, classes))
        if len(folders) < 2:
            raise ValueError(f"beside train there is one of {', '.join(_EVALUATION)}; {root} has none of them.")
        train, evaluation = folders.values()
        classes = _class_folders(train)
        unknown = set(_class_folders(evaluation)) - set(classes)
        if unknown:
            raise ValueError(f"{evaluation} has the classes of {train} only; got also {sorted(unknown)}.")
        return cls(root, classes, {split: _labelled(folder, classes) for split, folder in folders.items()})

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: of a million paths, one string and one array."""
        splits = {
            split: ("\0".join(str(path) for path, _ in files), np.array([label for _, label in files], np.int32))
            for split, files in self.splits.items()
        }
        return {"root": self.root, "classes": self.classes, "splits": splits}

    def __setstate__(self, state: dict[str, Any]) -> None:
        splits = {
            split: [(Path(path), label) for path, label in zip(paths.split("\0"), labels.tolist(), strict=True)]
            for split, (paths, labels) in state["splits"].items()
        }
        self.__dict__.update({**state, "splits": splits})

    @property
    def name(self) -> str:
        """The name of the folder, also where it was given as `.` or `..`."""
        return os.path.basename(os.path.abspath(self.root))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the names, sizes and times of all images."""
        digest = hashlib.sha256()
        for split, files in self.splits.items():
            for path, label in files:
                try:
                    stat = path.stat()
                except OSError as error:  # a link to nothing is a file that cannot be used, like others
                    state = f"{errno.errorcode.get(error.errno or 0)}"
                else:
                    state = f"{stat.st_size} {stat.st_mtime_ns}"
                digest.update(os.fsencode(f"{split} {label} {path} {state}\n"))
        return digest.hexdigest()

    def shape(self, image_size: int | None, progress: bool) -> tuple[int, int, int]:
        """What the images of all splits are brought to; reads the header of each file.

        One channel if all are gray, else three; `image_size` squared, else their own size if all have the same,
        else `DEFAULT_IMAGE_SIZE` squared. Files without a readable header have no say in it.

        Raises:
            ImageError: if no file has a readable header.
        """
        paths = [path for files in self.splits.values() for path, _ in files]
        with (
            track(f"Looking at {self.name}", len(paths), unit="images", shown=progress) as advance,
            ThreadPoolExecutor() as pool,
        ):
            found = set()
            for header in pool.map(_header, paths):
                found.add(header)
                advance(1)
        found.discard(None)
        if not found:
            raise ImageError(
                f"one image at least has a readable header; of the {len(paths):,} in {self.root} none has, "
                f"{paths[0]} for one."
            )
        channels = max(channels for _, _, channels in found)
        sizes = {(h, w) for h, w, _ in found}
        if image_size is None and len(sizes) == 1:
            return *sizes.pop(), channels
        side = image_size or DEFAULT_IMAGE_SIZE
        return side, side, channels


@dataclasses.dataclass(frozen=True)
class FolderRecords:
    """One split of an `ImageFolder`."""

    folder: ImageFolder
    split: str

    def __len__(self) -> int:
        return len(self.folder.splits[self.split])

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.folder.classes

    def key(self) -> dict[str, str]:
        """What names these examples: the place and the split."""
        return {"kind": "folder", "directory": str(self.folder.root.resolve()), "split": self.split}

    def fingerprint(self) -> str:
        """A digest that changes when a file of any split does."""
        return self.folder.fingerprint

    def shape(self, image_size: int | None, progress: bool) -> tuple[int, int, int]:
        """The same for all splits; see `ImageFolder.shape`."""
        return self.folder.shape(image_size, progress)

    def read(self, indices: Sequence[int], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Decodes examples; see `Records`.

        Raises:
            ImageError: if a file cannot be used.
        """
        h, w, channels = shape
        chosen = [self.folder.splits[self.split][index] for index in indices]
        images = np.empty((len(indices), *shape), np.uint8)
        for row, (path, _) in enumerate(chosen):
            images[row] = read_image(path, channels=channels, size=(h, w))
        return images, np.array([label for _, label in chosen], np.int32)


def _header(path: Path) -> tuple[int, int, int] | None:
    try:
        return image_header(path)
    except ImageError:
        return None


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder to train on and the one to measure on, by their names in small letters; none where there are none.

    `Train` alone is a class, as of vehicles; of `val` and `Val` the one in small letters counts.
    """
    names = sorted(_folders_in(root), reverse=True)  # small letters come first
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.lower(), name)
    evaluation = [split for split in _EVALUATION if split in found][:1]
    if "train" not in found or (found["train"] != "train" and not evaluation):
        return {}
    return {split: root / found[split] for split in ("train", *evaluation)}


def _folders_in(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if os.path.isdir(entry)]  # a link to itself is none


def _class_folders(folder: Path) -> tuple[str, ...]:
    names = sorted(name for name in _folders_in(folder) if not name.startswith("."))
    if not names:
        raise ValueError(f"a data set in a folder has one folder a class; {folder} has none.")
    return tuple(names)


def _labelled(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    present = [(folder / name, label) for label, name in enumerate(classes) if (folder / name).is_dir()]
    return [(path, label) for place, label in present for path in list_images(place)]


def _split_by_hash(root: Path, classes: tuple[str, ...]) -> dict[str, list[tuple[Path, int]]]:
    splits: dict[str, list[tuple[Path, int]]] = {"train": [], "held_out": []}
    for path, label in _labelled(root, classes):
        digest = hashlib.sha256(os.fsencode(path.relative_to(root).as_posix())).digest()  # names may be any bytes
        held_out = int.from_bytes(digest[:8]) % HOLD_OUT_EVERY == 0
        splits["held_out" if held_out else "train"].append((path, label))
    missing = set(range(len(classes))) - {label for _, label in splits["train"]}
    if missing or not splits["held_out"]:
        raise ValueError(
            f"{root} has too few images to hold out a fifth ({len(splits['train'])} and {len(splits['held_out'])}, "
            f"none to train on for {[classes[label] for label in sorted(missing)]}); split them into train and val."
        )
    return splits
