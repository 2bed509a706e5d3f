"""What a data set is: uint8 images, int32 labels, named classes; in memory or decoded on access."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Int32, UInt8


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

    Raises:
        ValueError: if the arrays do not fit these descriptions or each other.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    cache: Path | None = None

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


@runtime_checkable
class Records(Protocol):
    """Encoded examples of one split that can be read in any order: what a `Dataset` is decoded from."""

    @property
    def name(self) -> str:
        """The name of the data set."""
        ...

    @property
    def split(self) -> str:
        """The name of the split."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        ...

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def key(self) -> dict[str, str]:
        """What names these examples for a cache: kind, version, place."""
        ...

    def fingerprint(self) -> str:
        """A digest that changes when the files do."""
        ...

    def shape(self, image_size: int | None, progress: bool) -> tuple[int, int, int]:
        """Height, width and channels that every image is brought to."""
        ...

    def read(self, indices: Sequence[int], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Decodes examples: uint8 (b, *shape) and int32 (b,); may be called from several threads at a time."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedDataset:
    """One split of a data set too large to keep decoded: images are decoded each time they are asked for.

    Takes the place of a `Dataset` wherever `images` and `labels` themselves are not needed.

    Attributes:
        records: the encoded examples.
        image_shape: height, width and channels of every image.
        cache: folder that keeps what was computed from this split.
    """

    records: Records
    image_shape: tuple[int, int, int]
    cache: Path | None = None

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
        return self.records.read(np.asarray(indices).tolist(), self.image_shape)


AnyDataset = Dataset | StreamedDataset


def as_images(images: np.ndarray) -> UInt8[np.ndarray, "n h w c"]:
    """Brings an array of images to uint8 of shape (n, h, w, c).

    Args:
        images: (n, h, w, c) or (n, h, w); uint8, or floats in [0, 1].

    Returns:
        The same images; a view where they were uint8 already.

    Raises:
        ValueError: if the array has another rank, type or range.
    """
    if images.ndim not in (3, 4):
        raise ValueError(f"images have shape (n, h, w, c), or (n, h, w) for one channel; got {images.shape}.")
    if images.dtype != np.uint8:
        images = unit_to_uint8(images)
    return images if images.ndim == 4 else images[..., None]


def unit_to_uint8(values: np.ndarray) -> UInt8[np.ndarray, "..."]:
    """Maps floats in [0, 1] to the nearest of 0 to 255.

    Args:
        values: floats of any shape.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: if the values are no floats or leave [0, 1] (NaN does).
    """
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"pixels are uint8 from 0 to 255 or floats from 0 to 1; got {values.dtype}.")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"float pixels lie in [0, 1]; got values from {values.min()} to {values.max()}.")
    return np.rint(values * 255).astype(np.uint8)


def _as_labels(labels: np.ndarray) -> Int32[np.ndarray, " n"]:
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise ValueError(f"labels are integers of shape (n,); got {labels.dtype} of shape {labels.shape}.")
    limits = np.iinfo(np.int32)
    if labels.size and not (limits.min <= labels.min() and labels.max() <= limits.max):
        raise ValueError(f"labels fit into int32; got values from {labels.min()} to {labels.max()}.")
    return labels.astype(np.int32)
