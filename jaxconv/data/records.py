"""What a data set is decoded from."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


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
