import numpy as np
import pytest

from jaxconv.data import batch_indices


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 23])
def test_every_example_appears_once_in_each_epoch(batch_size):
    length, epochs = 10, 5
    steps = -(-length * epochs // batch_size)
    stream = np.concatenate([batch_indices(3, s, length=length, batch_size=batch_size) for s in range(steps)])
    for epoch in stream[: length * epochs].reshape(epochs, length):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(length))


def test_epochs_and_seeds_have_orders_of_their_own():
    def epoch(seed, number):
        return tuple(batch_indices(seed, number, length=50, batch_size=50))

    assert len({epoch(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_the_order_is_the_same_on_every_machine():
    np.testing.assert_array_equal(
        batch_indices(0, 0, length=1437, batch_size=8), [1051, 998, 162, 670, 664, 185, 322, 431]
    )
    np.testing.assert_array_equal(batch_indices(2**64 - 1, 7, length=10, batch_size=4), [1, 4, 3, 2])


def test_a_batch_does_not_depend_on_what_was_asked_before():
    steps = [900, 0, 17, 899, 17]
    first = [batch_indices(1, s, length=101, batch_size=8) for s in steps]
    again = [batch_indices(1, s, length=101, batch_size=8) for s in reversed(steps)]
    np.testing.assert_array_equal(first, again[::-1])


def test_the_orders_are_uniform():
    # Chi-square with 23 degrees of freedom: 71 is the quantile of 1 - 1e-6.
    orders = [tuple(batch_indices(0, s, length=4, batch_size=4)) for s in range(2000)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert np.sum((counts - 2000 / 24) ** 2 / (2000 / 24)) < 71


def test_the_batch_may_be_changed_by_its_receiver():
    batch = batch_indices(0, 0, length=10, batch_size=10)
    batch[:] = 0
    assert len(np.unique(batch_indices(0, 0, length=10, batch_size=10))) == 10


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=r"between 0 and 2\*\*64 - 1; got"):
        batch_indices(seed, 0, length=10, batch_size=2)


@pytest.mark.parametrize("wrong", [{"step": -1}, {"length": 0}, {"batch_size": 0}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="step is at least 0, length and batch_size are at least 1; got"):
        batch_indices(**{"seed": 0, "step": 0, "length": 10, "batch_size": 2, **wrong})
