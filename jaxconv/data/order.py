"""Which examples make up the batch of a step: a function of the seed and the step alone."""

from functools import lru_cache

import numpy as np
from jaxtyping import Int64


def batch_indices(seed: int, step: int, *, length: int, batch_size: int) -> Int64[np.ndarray, " b"]:
    """The examples of one step.

    The examples form an endless stream of epochs, each a permutation of its own, and step s takes the
    positions s * batch_size to (s + 1) * batch_size of it: every example appears exactly once in an epoch,
    also where the batch does not divide it and a batch spans two epochs (or several, if it is larger than
    the data set).

    Args:
        seed: from 0 to 2**64 - 1.
        step: from 0.
        length: the number of examples.
        batch_size: the number of examples in a batch.

    Returns:
        batch_size indices from 0 to length - 1. The same on every machine and with every version of NumPy:
        the permutation sorts the raw output of the Philox bit generator, whose stream NumPy guarantees.

    Raises:
        ValueError: if an argument lies outside its range.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed lies between 0 and 2**64 - 1; got {seed}.")
    if step < 0 or length < 1 or batch_size < 1:
        raise ValueError(
            "step is at least 0, length and batch_size are at least 1; "
            f"got step={step}, length={length}, batch_size={batch_size}."
        )
    start = step * batch_size
    pieces, position, stop = [], start, start + batch_size
    while position < stop:
        epoch, offset = divmod(position, length)
        piece = _permutation(seed, epoch, length)[offset : offset + stop - position]
        pieces.append(piece)
        position += len(piece)
    return np.concatenate(pieces)


@lru_cache(maxsize=4)  # the two epochs that a batch may span, for training and for one reader that lags behind
def _permutation(seed: int, epoch: int, length: int) -> Int64[np.ndarray, " length"]:
    keys = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(length)
    permutation = np.argsort(keys, kind="stable").astype(np.int64)
    permutation.flags.writeable = False
    return permutation
