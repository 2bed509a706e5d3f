"""What a data set is: uint8 images, int32 labels, named classes; in memory or decoded on access."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Int32, UInt8

from jaxconv.data.pixels import as_images
from jaxconv.data.records import Records
from jaxconv.data.usable import read_usable


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set as arrays, in memory or mapped from a file.

    Attributes:
        name: the name of the data set, such as `mnist`.
        split: the name of the split, such as `train`.
        images: uint8 of shape (n, h, w, c), values 0 to 255.
        labels: int32 of shape (n,), each an index into `classes`.
        classes: the name of each class.
        cache: folder that keeps what was computed from this split; None for arrays made in memory.
        bad: by position, why an example could not be used; another one stands there, see `read_usable`.
        left_out: by position in the files, why an example could not be used that is no part of this split for it.

    Raises:
        ValueError: if the arrays do not fit these descriptions or each other.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    cache: Path | None = None
    bad: Mapping[int, str] = dataclasses.field(default_factory=dict)
    left_out: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images are uint8 of shape (n, h, w, c); got {self.images.dtype} of shape {self.images.shape}."
            )
        if self.labels.dtype != np.int32 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                "labels are int32, one for each image; "
                f"got {self.labels.dtype} of shape {self.labels.shape} for {len(self.images)} images."
            )
        if self.images.size == 0:
            raise ValueError(f"a data set has at least one image of one pixel; got shape {self.images.shape}.")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise ValueError(
                f"labels are indices into the {len(self.classes)} classes; "
                f"got values from {self.labels.min()} to {self.labels.max()}."
            )

    @classmethod
    def from_arrays(
        cls,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        classes: Sequence[str] | None = None,
        name: str = "arrays",
        split: str = "train",
    ) -> "Dataset":
        """Makes a data set of NumPy arrays.

        Args:
            images: (n, h, w, c), or (n, h, w) for one channel; uint8, or floats in [0, 1] that are rounded to
                the nearest of the 256 values.
            labels: (n,) integers from 0.
            classes: the name of each class; without it "0", "1", ... up to the largest label.
            name: the name of the data set.
            split: the name of the split.

        Returns:
            The data set; uint8 images are not copied.

        Raises:
            ValueError: if an array has another shape, type or range.
        """
        labels = _as_labels(np.asarray(labels))
        if classes is None:
            classes = [str(i) for i in range(int(labels.max(initial=-1)) + 1)]
        return cls(name, split, as_images(np.asarray(images)), labels, tuple(classes))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, h, w, c = self.images.shape
        return h, w, c

    @property
    def in_memory(self) -> bool:
        """Whether `images` and `labels` exist as arrays."""
        return True

    def gather(self, indices: npt.ArrayLike) -> tuple[UInt8[np.ndarray, "b h w c"], Int32[np.ndarray, " b"]]:
        """Images (b, h, w, c) and labels (b,) at these positions, copied."""
        indices = np.asarray(indices)
        return np.asarray(self.images[indices]), np.asarray(self.labels[indices])

    def bad_among(self, indices: Sequence[int]) -> dict[int, str]:
        """Those of these positions at which another example stands, and why."""
        return _among(self.bad, indices)


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedDataset:
    """One split of a data set too large to keep decoded: images are decoded each time they are asked for.

    Takes the place of a `Dataset` wherever `images` and `labels` themselves are not needed.

    Attributes:
        records: the encoded examples.
        image_shape: height, width and channels of every image.
        cache: folder that keeps what was computed from this split.
        bad: by position, why an example could not be used, as far as examples have been read; another one stands
            there, see `read_usable`.
        left_out: by position in the files, why an example could not be used that is no part of this split for it.
    """

    records: Records
    image_shape: tuple[int, int, int]
    cache: Path | None = None
    bad: dict[int, str] = dataclasses.field(default_factory=dict)
    left_out: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.records.name

    @property
    def split(self) -> str:
        """The name of the split."""
        return self.records.split

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.records.classes

    @property
    def in_memory(self) -> bool:
        """Whether the images exist as an array: no."""
        return False

    def gather(self, indices: npt.ArrayLike) -> tuple[UInt8[np.ndarray, "b h w c"], Int32[np.ndarray, " b"]]:
        """Images (b, h, w, c) and labels (b,) at these positions, decoded one after the other."""
        return read_usable(self.records, np.asarray(indices).tolist(), self.image_shape, self.bad)

    def bad_among(self, indices: Sequence[int]) -> dict[int, str]:
        """Those of these positions, all read before, at which another example stands, and why."""
        return _among(self.bad, indices)


AnyDataset = Dataset | StreamedDataset


def _among(bad: Mapping[int, str], indices: Sequence[int]) -> dict[int, str]:
    return {index: bad[index] for index in indices if index in bad} if bad else {}


def _as_labels(labels: np.ndarray) -> Int32[np.ndarray, " n"]:
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise ValueError(f"labels are integers of shape (n,); got {labels.dtype} of shape {labels.shape}.")
    limits = np.iinfo(np.int32)
    if labels.size and not (limits.min <= labels.min() and labels.max() <= limits.max):
        raise ValueError(f"labels fit into int32; got values from {labels.min()} to {labels.max()}.")
    return labels.astype(np.int32)
