"""What is read in the place of an example that cannot be used."""

from collections.abc import MutableMapping, Sequence

import numpy as np

from jaxconv.data.image import ImageError
from jaxconv.data.records import Records

LONGEST_RUN = 100
"""So many unusable examples in a row are no bad images but a disk or a data set that has gone."""


def read_usable(
    records: Records, indices: Sequence[int], shape: tuple[int, int, int], bad: MutableMapping[int, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads examples; in the place of an unusable one stands the next usable one of the split, with its own label.

    What stands there is a function of the position and of the files alone: not of the batch, of the other examples
    read, or of who reads them. After the last example comes the first. No image gets the label of another; in a
    folder the next image is of the same class except at the end of one.

    Args:
        records: the encoded examples.
        indices: their positions, from 0 to len(records) - 1.
        shape: height, width and channels of the result.
        bad: the unusable positions that are known, and why; those found here are added. Several threads may share it.

    Returns:
        Images, uint8 (b, *shape), and labels, int32 (b,).

    Raises:
        ImageError: if `LONGEST_RUN` examples in a row cannot be used, or all.
    """
    try:
        return records.read([_next(index, len(records), bad) for index in indices], shape)
    except ImageError:  # which one it is, the records need not say: they are asked one by one
        examples = [_read_one(records, index, shape, bad) for index in indices]
        return np.stack([image for image, _ in examples]), np.array([label for _, label in examples], np.int32)


def _next(index: int, count: int, bad: MutableMapping[int, str]) -> int:
    """The first position from `index` on that is not known to be bad; `index` itself if the run of them is too long."""
    candidates = ((index + step) % count for step in range(min(count, LONGEST_RUN)))
    return next((candidate for candidate in candidates if candidate not in bad), index)


def _read_one(
    records: Records, index: int, shape: tuple[int, int, int], bad: MutableMapping[int, str]
) -> tuple[np.ndarray, np.int32]:
    run = min(len(records), LONGEST_RUN)
    for step in range(run):
        candidate = (index + step) % len(records)
        if candidate not in bad:
            try:
                (image,), (label,) = records.read([candidate], shape)
                return image, label
            except ImageError as error:
                bad[candidate] = str(error)
    raise ImageError(
        f"of {LONGEST_RUN} examples in a row one at least can be used; of {records.name}, {records.split}, "
        f"none of the {run} from example {index} on can. The first: {bad[index]}"
    )


class Without:
    """Records without some of their examples: the others, in their order.

    Args:
        records: the encoded examples.
        left_out: positions to leave out.
    """

    def __init__(self, records: Records, left_out: Sequence[int]) -> None:
        self._records = records
        self._kept = np.delete(np.arange(len(records)), list(left_out))
        self.name, self.split, self.classes = records.name, records.split, records.classes

    def __len__(self) -> int:
        return len(self._kept)

    def key(self) -> dict[str, str]:
        """What names the examples of the whole split."""
        return self._records.key()

    def fingerprint(self) -> str:
        """The digest of the whole split."""
        return self._records.fingerprint()

    def shape(self, image_size: int | None, progress: bool) -> tuple[int, int, int]:
        """The shape of the whole split."""
        return self._records.shape(image_size, progress)

    def read(self, indices: Sequence[int], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Decodes examples; see `Records`."""
        return self._records.read(self._kept[list(indices)].tolist(), shape)
