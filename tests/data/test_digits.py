import hashlib
from importlib import resources

import numpy as np

from jaxconv.data import load_digits


def test_the_split_is_every_fifth_example():
    train, test = load_digits()
    with np.load(str(resources.files("jaxconv.data") / "digits.npz")) as stored:
        cells, labels = stored["images"], stored["labels"]
    assert (train.name, train.split, test.split) == ("digits", "train", "test")
    assert train.images.shape == (1437, 8, 8, 1) and test.images.shape == (360, 8, 8, 1)
    np.testing.assert_array_equal(test.labels, labels[::5])
    np.testing.assert_array_equal(test.images[..., 0], np.rint(cells[::5].astype(float) * 255 / 16))
    np.testing.assert_array_equal(train.labels[:5], labels[[1, 2, 3, 4, 6]])


def test_the_stored_numbers_are_the_original():
    # Class counts as published for the test part of the set (UCI, optdigits.names).
    train, test = load_digits()
    counts = np.bincount(train.labels) + np.bincount(test.labels)
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert train.images.min() == 0 and train.images.max() == 255
    assert len(np.unique(train.images)) == 17


def test_the_credit_stands_beside_the_data():
    text = (resources.files("jaxconv.data") / "digits_LICENSE.txt").read_text()
    for part in ("Alpaydin", "10.24432/C50P49", "CC BY 4.0"):
        assert part in text


def test_the_split_never_changes():
    train, test = load_digits()
    digest = hashlib.sha256(train.images.tobytes() + test.images.tobytes() + train.labels.tobytes()).hexdigest()
    assert digest.startswith("f36e43b71a23057c")
