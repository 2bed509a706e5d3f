"""GoogLeNet against the counts of the paper's table; its answers are in test_zoo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn
from jaxconv.models import create_model
from jaxconv.models.googlenet import BLOCKS


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def parameters(name, **settings) -> int:
    return count(nn.functionalize(create_model(name, key=None, **settings), key=None)[1])


def test_parameters_of_both_forms():
    assert parameters("googlenet") == 6_624_904
    assert parameters("googlenet_paper") == 6_998_552
    assert parameters("googlenet", num_classes=0) == 6_624_904 - 1024 * 1000 - 1000


def test_weights_of_the_first_block_by_hand():
    _, params, _ = nn.functionalize(create_model("googlenet_paper", key=None), key=None)
    kernels = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params["inception3a"]) if leaf.ndim == 4]
    assert count(kernels) == 163_328
    expected = {(1, 1, 192, 64), (1, 1, 192, 96), (3, 3, 96, 128), (1, 1, 192, 16), (5, 5, 16, 32), (1, 1, 192, 32)}
    assert {kernel.shape for kernel in kernels} == expected


@pytest.mark.parametrize(("name", "five"), [("googlenet", 3), ("googlenet_paper", 5)])
def test_every_block_follows_the_table(name, five):
    _, params, _ = nn.functionalize(create_model(name, key=None), key=None)
    channels = 192
    for block, w in BLOCKS.items():
        tree = params[f"inception{block}"]
        expected = {
            ("branch1",): (1, 1, channels, w.one),
            ("branch2", 0): (1, 1, channels, w.reduce_three),
            ("branch2", 1): (3, 3, w.reduce_three, w.three),
            ("branch3", 0): (1, 1, channels, w.reduce_five),
            ("branch3", 1): (five, five, w.reduce_five, w.five),
            ("branch4", 1): (1, 1, channels, w.pool_project),
        }
        for path, shape in expected.items():
            node = tree
            for step in path:
                node = node[step]
            assert node["conv"]["kernel"].shape == shape
        channels = w.one + w.three + w.five + w.pool_project
    assert channels == 1024


def test_auxiliary_heads_answer_in_training():
    model = create_model("googlenet", aux_logits=True, key=None)
    apply, params, batch_stats = nn.functionalize(model, key=None)
    assert count(params) == 13_004_888
    x = jax.ShapeDtypeStruct((4, 128, 128, 3), jnp.float32)

    def run(params, batch_stats, x):
        return apply(params, batch_stats, x, train=True, key=jax.random.key(0))[0]

    assert [y.shape for y in jax.eval_shape(run, params, batch_stats, x)] == [(4, 1000)] * 3


def test_auxiliary_heads_need_classes():
    with pytest.raises(ValueError, match="needs a classifier: got num_classes=0"):
        create_model("googlenet", aux_logits=True, num_classes=0)
