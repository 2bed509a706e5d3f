"""Data sets that tensorflow-datasets has prepared on disk: finding them, and reading them without TensorFlow."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxconv.data.crop import covering
from jaxconv.data.image import ImageError, open_image, to_array
from jaxconv.data.stored import read_object

DEFAULT_IMAGE_SIZE = 160
"""Side in pixels of the square that images of differing sizes are brought to: that of Imagenette's small form."""

HOLD_OUT_EVERY = 5
"""Of a set that has no split for evaluation, every fifth example is held out for it."""

_NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[^/:]+))?(?::(?P<version>\d+\.\d+\.\d+))?")


@dataclasses.dataclass(frozen=True)
class TfdsRecords:
    """One split, or a fifth or the other four, of a prepared data set.

    Attributes:
        directory: the folder of the prepared version, which holds `dataset_info.json`.
        name: name of the data set.
        split: what this part is called.
        stored_split: the split of TFDS it is taken from.
        part: "all" of it, every fifth example ("held_out"), or the others ("kept").
    """

    directory: Path
    name: str
    split: str
    stored_split: str
    part: Literal["all", "held_out", "kept"] = "all"

    def __len__(self) -> int:
        return len(self._indices)

    def key(self) -> dict[str, str]:
        """What names these examples: the place, the split and the part."""
        return {
            "kind": "tfds",
            "directory": str(self.directory.resolve()),
            "stored_split": self.stored_split,
            "part": self.part,
        }

    def fingerprint(self) -> str:
        """A digest of the descriptions and of the sizes and times of the files."""
        digest = hashlib.sha256()
        for path in sorted(self.directory.iterdir()):
            stat = path.stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
            if path.suffix == ".json":
                digest.update(path.read_bytes())
        return digest.hexdigest()

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return tuple(self._features[3].names)

    def shape(self, image_size: int | None, progress: bool) -> tuple[int, int, int]:
        """Height, width and channels: `image_size` squared, else those stated, else `DEFAULT_IMAGE_SIZE` squared.

        Raises:
            ValueError: if the pixels are not 8 bits deep.
        """
        key, image, _, _ = self._features
        if np.dtype(image.np_dtype) != np.uint8:
            raise ValueError(f"images are uint8; {key} of {self.name} is {np.dtype(image.np_dtype)}.")
        h, w, c = image.shape
        channels = 1 if c == 1 else 3
        if image_size is not None:
            return image_size, image_size, channels
        return h or DEFAULT_IMAGE_SIZE, w or DEFAULT_IMAGE_SIZE, channels

    def read(self, indices: Sequence[int], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Decodes examples; see `Records`.

        Raises:
            ImageError: if an image cannot be used.
        """
        h, w, channels = shape
        image_key, _, label_key, _ = self._features
        images, labels = np.empty((len(indices), h, w, channels), np.uint8), np.empty(len(indices), np.int32)
        examples = self._examples(indices)
        for row, (index, example) in enumerate(zip(indices, examples, strict=True)):
            name = f"{self.name}, {self.split}, example {index}"
            with open_image(example[image_key], name) as image:
                images[row] = to_array(image, name, channels=channels, crop=covering((h, w)))
            labels[row] = example[label_key]
        return images, labels

    def _examples(self, indices: Sequence[int]) -> Sequence[dict[str, Any]]:
        """The examples with their images still encoded; array_record verifies the digest of each."""
        try:
            return self._source.__getitems__(self._indices[list(indices)].tolist())
        except RuntimeError as error:
            which = f"example {indices[0]}" if len(indices) == 1 else f"one of {len(indices)} examples"
            raise ImageError(f"{self.name}, {self.split}, {which}: not a readable record ({error}).") from error

    def labelled(self) -> bool:
        """Whether the examples have labels; TFDS marks a secret label as -1."""
        return int(self._source[0][self._features[2]]) >= 0

    @cached_property
    def _indices(self) -> np.ndarray:
        held_out = np.arange(stored_splits(self.directory)[self.stored_split]) % HOLD_OUT_EVERY == 0
        return np.flatnonzero({"all": held_out | True, "held_out": held_out, "kept": ~held_out}[self.part])

    @cached_property
    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        try:
            return tfds.builder_from_directory(self.directory)
        except ValueError as error:
            raise ValueError(f"{self.directory} is damaged: TFDS cannot read what it describes ({error}).") from error

    @cached_property
    def _source(self) -> Any:
        import tensorflow_datasets as tfds

        decoders = {self._features[0]: tfds.decode.SkipDecoding()}
        return self._builder.as_data_source(split=self.stored_split, decoders=decoders)

    @cached_property
    def _features(self) -> tuple[str, Any, str, Any]:
        """Name and feature of the image, name and feature of the label."""
        import tensorflow_datasets as tfds

        features = self._builder.info.features
        supervised = self._builder.info.supervised_keys or ()
        image = _pick(features, tfds.features.Image, supervised, "image")
        label = _pick(features, tfds.features.ClassLabel, supervised, "label")
        if image is None or label is None:
            raise ValueError(
                f"a data set has one image and one class label; {self.name} has {', '.join(sorted(features))}."
            )
        return image, features[image], label, features[label]


def _pick(features: Any, kind: type, supervised: Sequence[Any], usual: str) -> str | None:
    """The feature of this type: the supervised one, else the one with the usual name, else the only one."""
    candidates = [key for key in features if type(features[key]) is kind]
    preferred = [key for key in (*supervised, usual) if key in candidates]
    if preferred:
        return preferred[0]
    return candidates[0] if len(candidates) == 1 else None


def stored_splits(directory: Path) -> dict[str, int]:
    """The splits of a prepared data set and how many examples each has."""
    info = read_object(directory / "dataset_info.json", splits=list)
    return {split["name"]: sum(map(int, split.get("shardLengths", []))) for split in info["splits"]}


def find_prepared(name: str, roots: list[Path]) -> tuple[Path | None, list[str]]:
    """Looks for a prepared data set that can be read without TensorFlow.

    Args:
        name: `name[/config][:version]`. Without a config, the only one prepared or the default one is taken;
            without a version, the highest.
        roots: folders in TFDS's layout; the first that has the set counts.

    Returns:
        The folder of the version or None, and a line about each place that holds the set in a form that TensorFlow
        alone can read.

    Raises:
        ValueError: if several configs are prepared and none is the default, or a description is damaged.
    """
    match, passed_over = _NAME.fullmatch(name), []
    if match is None:
        return None, []
    for root in roots:
        folder = root / match["name"]
        config = match["config"] or _only_config(folder)
        versions = _versions(folder / config if config else folder)
        for directory in [d for d in versions if match["version"] in (None, d.name)]:
            if read_object(directory / "dataset_info.json").get("fileFormat") == "array_record":
                return directory, []
            passed_over.append(f"{directory} is not in the array_record format.")
    return None, passed_over


def prepared_names(roots: list[Path]) -> list[str]:
    """The names of all prepared data sets, with their configs."""
    names = []
    for root in roots:
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            names += [f"{folder.name}/{config}" for config in _configs(folder)]
            names += [folder.name] if _versions(folder) else []
    return names


def _versions(folder: Path) -> list[Path]:
    """The prepared versions in a folder, the highest first."""
    found = [path.parent for path in folder.glob("*/dataset_info.json")]
    numbered = [path for path in found if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    return sorted(numbered, key=lambda path: tuple(map(int, path.name.split("."))), reverse=True)


def _configs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if path.is_dir() and _versions(path))


def _only_config(folder: Path) -> str | None:
    configs = _configs(folder)
    if not configs or _versions(folder):
        return None
    default = folder / ".config" / "metadata.json"
    if len(configs) > 1 and default.exists():
        stated = read_object(default).get("default_config_name")
        configs = [stated] if stated in configs else configs
    if len(configs) > 1:
        choices = ", ".join(f"{folder.name}/{config}" for config in configs)
        raise ValueError(f"several forms of {folder.name} are prepared in {folder.parent}; name one: {choices}.")
    return configs[0]
