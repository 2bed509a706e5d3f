"""The data set inside the package: 1,797 real handwritten digits of 8x8 pixels.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/).
Stored as the original numbers from 0 to 16; see digits_LICENSE.txt beside this file.
"""

from importlib import resources

import numpy as np

from jaxconv.data.dataset import Dataset

_TEST_EVERY = 5


def load_digits() -> tuple[Dataset, Dataset]:
    """The digits, split in two: every fifth example (0, 5, 10, ...) is for testing.

    The original values 0 to 16 (how many pixels of a 4x4 cell were inked) become `round(v * 255 / 16)`.

    Returns:
        1,437 training and 360 test examples, images of shape (n, 8, 8, 1), ten classes.
    """
    with resources.files("jaxconv.data").joinpath("digits.npz").open("rb") as file, np.load(file) as stored:
        cells, labels = stored["images"], stored["labels"].astype(np.int32)
    images = np.rint(cells * (255 / 16)).astype(np.uint8)[..., None]
    test = np.arange(len(images)) % _TEST_EVERY == 0
    classes = tuple(str(digit) for digit in range(10))
    return (
        Dataset("digits", "train", images[~test], labels[~test], classes),
        Dataset("digits", "test", images[test], labels[test], classes),
    )
