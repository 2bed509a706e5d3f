"""GoogLeNet against torchvision's recorded answers, and against the counts of the paper's table."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models.parity import record, synth

from jaxconv import nn
from jaxconv.functional import cross_entropy
from jaxconv.models import create_model
from jaxconv.models.googlenet import BLOCKS

REFERENCE = record.Record(Path(__file__).parent / "parity" / "torchvision" / "googlenet.npz")


@pytest.fixture(scope="module")
def network():
    model = create_model("googlenet", aux_logits=True, drop_rate=0.0, aux_drop_rate=0.0, key=None)
    apply, params, batch_stats = nn.functionalize(model, key=None)
    return apply, REFERENCE.fill(params), REFERENCE.fill(batch_stats)


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def parameters(name, **settings) -> int:
    return count(nn.functionalize(create_model(name, key=None, **settings), key=None)[1])


def test_names_and_shapes_are_the_references():
    model = create_model("googlenet", aux_logits=True, key=None)
    _, params, batch_stats = nn.functionalize(model, key=None)
    ours = record.shapes_as_reference(params) | record.shapes_as_reference(batch_stats)
    assert ours == REFERENCE.meta["state"]
    assert count(params) == REFERENCE.meta["params"] == 13_004_888


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


@pytest.mark.parametrize("size", [pytest.param([128, 128], marks=pytest.mark.slow), [143, 111]])
def test_evaluation_logits(network, size):
    apply, params, batch_stats = network
    assert size in REFERENCE.meta["sizes"]
    logits, after = jax.jit(apply, static_argnames="train")(params, batch_stats, synth.images(2, *size), train=False)
    assert record.distance(logits, REFERENCE.arrays[f"logits_{size[0]}x{size[1]}"]) < 1e-4
    assert record.norms(after) == record.norms(batch_stats)


@pytest.mark.slow
def test_one_training_step(network):
    apply, params, batch_stats = network
    images = jnp.asarray(synth.images(*REFERENCE.meta["train_size"]))
    labels = jnp.asarray(synth.labels(4, 1000))

    def loss(params):
        (logits, *auxiliary), after = apply(params, batch_stats, images, train=True, key=jax.random.key(0))
        assert [head.shape for head in auxiliary] == [(4, 1000), (4, 1000)]
        return cross_entropy(logits, labels), (logits, after)

    (value, (logits, after)), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    assert record.distance(logits, REFERENCE.arrays["train_logits"]) < 5e-3
    np.testing.assert_allclose(value, REFERENCE.meta["train_loss"], rtol=5e-3)
    ours, theirs = record.norms(gradients), REFERENCE.meta["grad_norm"]
    heard = [name for name, norm in theirs.items() if norm is not None]
    assert {name for name, norm in ours.items() if norm == 0} == set(theirs) - set(heard)
    assert np.median([abs(ours[name] / theirs[name] - 1) for name in heard]) < 0.01
    running = record.norms(after)
    assert running.keys() == REFERENCE.meta["running_norm"].keys()
    for name, norm in REFERENCE.meta["running_norm"].items():
        np.testing.assert_allclose(running[name], norm, rtol=1e-3, err_msg=name)
