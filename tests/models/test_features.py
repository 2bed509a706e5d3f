"""`feature_info` describes what `features` returns."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from models.samples import SMALLEST

from jaxconv.models import create_model, feature_info
from jaxconv.models.features import FeatureInfo


@pytest.mark.parametrize("name", [name for name in SMALLEST if name != "googlenet"])
def test_levels_are_what_features_returns(name):
    model = create_model(name)
    levels = feature_info(model)
    x = jax.ShapeDtypeStruct((1, *model.info.input_size, model.info.in_chans), jnp.float32)
    maps = jax.eval_shape(model.features, x)
    assert [level.module for level in levels] == list(model.level_names)
    assert [level.channels for level in levels] == [level.shape[-1] for level in maps]
    assert [level.stride for level in levels] == sorted(level.stride for level in levels)


def test_pyramid_by_hand():
    assert feature_info(create_model("conv_pyramid", key=None)) == (
        FeatureInfo("steps.0", 16, 2, (3, 3)),
        FeatureInfo("steps.1", 64, 4, (3 + 2 * 2, 3 + 2 * 2)),
        FeatureInfo("steps.2", 256, 8, (7 + 2 * 4, 7 + 2 * 4)),
    )


def test_lenet5_by_hand():
    levels = feature_info(create_model("lenet5", key=None))
    assert levels == (FeatureInfo("c1", 6, 1, (5, 5)), FeatureInfo("c3", 16, 2, (14, 14)))


def test_googlenet_levels():
    levels = feature_info(create_model("googlenet", key=None))
    assert [(level.channels, level.stride) for level in levels] == [(64, 2), (192, 4), (480, 8), (832, 16), (1024, 32)]
    # 7, then (11 at stride 4) a 3x3, then each block widens by 2 strides, each 3x3 pool by 2, the 2x2 pool by 1.
    assert [level.receptive_field[0] for level in levels] == [7, 19, 59, 235, 379]


def test_out_indices_choose():
    model = create_model("conv_pyramid", key=None, features_only=True, out_indices=(2, 0))
    assert [level.module for level in feature_info(model)] == ["steps.2", "steps.0"]


def test_output_stride_dilates_where_attention_takes_keys_from():
    # timm's mobilenetv4_hybrid_medium with output_stride 8: the third stage is dilated by 2, and so are its keys.
    model = create_model("mobilenetv4_hybrid_medium_075", key=None, output_stride=8)
    found = {path[1:3]: module.dilation for path, module in nnx.iter_modules(model) if path[-1:] == ("down_conv",)}
    assert found == {(2, block): 2 for block in (4, 6, 8, 10)}
