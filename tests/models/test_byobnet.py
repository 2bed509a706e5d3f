"""Networks of stacked blocks: what their tables say, their stems' levels, and one convolution for many."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from models.scattered import scattered
from models.test_create import abstract, output_shapes

from jaxconv.models import create_model, feature_info, reparameterize
from jaxconv.models.byob_blocks import Block, Place, Style, channel_attention, squeeze_excite
from jaxconv.models.byob_branches import BranchedBlock, FusedBlock
from jaxconv.nn import AttentionPool, BatchNorm, BilinearAttention, activation, initialize


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def far(ours, theirs):
    return float(np.linalg.norm(np.asarray(ours) - theirs) / np.linalg.norm(theirs))


def branched(kind, *, channels=8, width=8, strides=1, **settings):
    style = Style(BatchNorm, activation("relu"))
    return BranchedBlock(Block(kind, width, **settings), Place(channels, strides, (1, 1), 0.0), style)


@pytest.mark.parametrize(
    "block",
    [
        branched("rep"),
        branched("rep", group=4),
        branched("rep", width=16, strides=2),
        branched("one", group=1, branches=4),
        branched("one", window=1, branches=2, width=16, attention=squeeze_excite),
    ],
    ids=["identity", "grouped", "strided", "depthwise", "pointwise"],
)
def test_branches_are_one_convolution(block):
    x = images(2, 9, 8, 8)
    scattered(block)
    expected = np.asarray(block(x))
    assert far(block.fused()(x), expected) < 1e-6


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s1"])
@pytest.mark.slow
def test_a_reparameterized_network_gives_the_same_logits(name):
    model, x = create_model(name), images(2, 64, 64, 3)
    expected = np.asarray(model(x))
    fused = reparameterize(model)
    assert any(isinstance(node, FusedBlock) for _, node in nnx.iter_graph(fused))
    assert not any(isinstance(node, BranchedBlock) for _, node in nnx.iter_graph(fused))
    assert far(fused(x), expected) < 1e-5
    np.testing.assert_array_equal(np.asarray(model(x)), expected)


def test_a_network_without_branches_is_copied():
    model, x = create_model("test_byobnet"), images(1, 64, 64, 3)
    np.testing.assert_array_equal(reparameterize(model)(x), model(x))


def test_fusing_needs_values():
    with pytest.raises(ValueError, match="Parameters are declared first"):
        reparameterize(create_model("repvgg_a0", key=None))


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("resnet51q", ["stem.conv3", "stages.0", "stages.1", "stages.2", "final_conv"]),
        ("resnext26ts", ["stem.conv3", "stages.0", "stages.1", "stages.2", "final_conv"]),
        ("gernet_s", ["stem", "stages.0", "stages.1", "stages.2", "final_conv"]),
    ],
)
def test_levels_end_where_something_strides(name, levels):
    found = feature_info(create_model(name, key=None))
    assert [level.module for level in found] == levels
    assert [level.stride for level in found] == [2, 4, 8, 16, 32]


@pytest.mark.parametrize("name", ["test_byobnet", "repvgg_a0", "resnet50_clip_gap"])
@pytest.mark.parametrize(("output_stride", "strides"), [(16, [2, 4, 8, 16, 16]), (8, [2, 4, 8, 8, 8])])
def test_output_stride(name, output_stride, strides):
    levels = feature_info(create_model(name, key=None, output_stride=output_stride))
    assert [level.stride for level in levels] == strides


def test_output_strides_are_three():
    with pytest.raises(ValueError, match="output_stride is 8, 16 or 32: got 4"):
        create_model("test_byobnet", key=None, output_stride=4)


def test_clip_networks_have_an_attention_pool():
    assert output_shapes(*abstract("resnet50_clip")) == (2, 1024)
    assert output_shapes(*abstract("resnet50_clip", num_classes=0), size=(256, 192)) == (2, 2048)
    assert output_shapes(*abstract("resnet50_clip_gap")) == (2, 2048)
    with pytest.raises(ValueError, match=r"global_pool is 'token' or '': got 'avg'"):
        create_model("resnet50_clip", key=None, global_pool="avg")


def test_attention_pool_answers_for_the_mean():
    """Where all positions are alike and carry no place, attention is the mean, through v and proj."""
    pool = initialize(AttentionPool(64, 5, size=(3, 4)))
    pool.pos_embed.set_value(jnp.zeros_like(pool.pos_embed.get_value()))
    pixel = images(2, 1, 1, 64)
    x = jnp.broadcast_to(pixel, (2, 3, 4, 64))
    assert pool.proj is not None
    np.testing.assert_allclose(pool(x), pool.proj(pool.v(pixel[:, 0, 0])), rtol=1e-5, atol=1e-6)


def test_bilinear_attention_cuts_maps_into_tiles():
    attention = initialize(BilinearAttention(16, block=4))
    x = images(1, 8, 12, 16)
    assert attention(x).shape == x.shape
    with pytest.raises(ValueError, match="cuts each side into 4 tiles"):
        attention(images(1, 8, 10, 16))


@pytest.mark.parametrize(("channels", "window"), [(64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_channel_attention_sees_more_of_more_channels(channels, window):
    assert channel_attention(channels).conv.kernel.get_value().shape == (window, 1, 1)


def test_bilinear_attention_drops_channels_with_a_key():
    attention = initialize(BilinearAttention(16, block=4))
    with pytest.raises(ValueError, match="Dropout in training draws at random"):
        attention(images(2, 8, 8, 16), train=True)
