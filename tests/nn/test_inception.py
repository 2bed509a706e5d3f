"""An inception block joins four branches in the paper's order."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv import nn

WIDTHS = nn.InceptionWidths(2, 3, 4, 5, 6, 7)


def test_widths_in_the_order_of_the_table():
    assert WIDTHS.out == 2 + 4 + 6 + 7
    _, params, _ = nn.functionalize(nn.Inception(8, WIDTHS, five=3), key=None)
    kernels = {
        "branch1": params["branch1"]["conv"]["kernel"].shape,
        "branch2": [params["branch2"][i]["conv"]["kernel"].shape for i in (0, 1)],
        "branch3": [params["branch3"][i]["conv"]["kernel"].shape for i in (0, 1)],
        "branch4": params["branch4"][1]["conv"]["kernel"].shape,
    }
    assert kernels == {
        "branch1": (1, 1, 8, 2),
        "branch2": [(1, 1, 8, 3), (3, 3, 3, 4)],
        "branch3": [(1, 1, 8, 5), (3, 3, 5, 6)],
        "branch4": (1, 1, 8, 7),
    }


def test_channels_are_the_branches_in_order_and_all_learn(rng):
    apply, params, batch_stats = nn.functionalize(nn.Inception(3, WIDTHS))
    x = jnp.asarray(rng.standard_normal((2, 4, 5, 3)), jnp.float32)
    run = jax.jit(lambda params: apply(params, batch_stats, x, train=True))
    y, after = run(params)
    assert y.shape == (2, 4, 5, WIDTHS.out)
    for branch in (after["branch1"], after["branch2"][1], after["branch3"][0], after["branch4"][1]):
        assert (np.asarray(branch["bn"]["mean"]) != 0).all()
    slices = {("branch1",): (0, 2), ("branch2", 1): (2, 6), ("branch3", 1): (6, 12), ("branch4", 1): (12, 19)}
    for path, (start, stop) in slices.items():
        changed = jax.tree.map(lambda leaf: leaf, params)
        node = changed
        for step in path:
            node = node[step]
        node["bn"]["bias"] = node["bn"]["bias"] + 1
        moved = np.flatnonzero((np.asarray(run(changed)[0]) != np.asarray(y)).any((0, 1, 2)))
        np.testing.assert_array_equal(moved, np.arange(start, stop))
