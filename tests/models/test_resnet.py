"""The ResNet family beyond what `test_zoo` compares: published counts, dilation, what single settings change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn
from jaxconv.explain import summary
from jaxconv.models import create_model, feature_info
from jaxconv.models.resnet import attend


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet50", 25_557_032, 4_089_184_256)],
)
def test_published_counts(name, parameters, multiply_adds):
    result = summary(create_model(name, key=None))
    assert (result.parameters, result.multiply_adds) == (parameters, multiply_adds)


@pytest.mark.parametrize(("output_stride", "strides"), [(8, [2, 4, 8, 8, 8]), (16, [2, 4, 8, 16, 16])])
def test_dilation_takes_the_place_of_strides(output_stride, strides):
    levels = feature_info(create_model("resnet26d", key=None, output_stride=output_stride))
    assert [level.stride for level in levels] == strides
    plain = nn.functionalize(create_model("resnet26d", key=None), key=None)[1]
    dilated = nn.functionalize(create_model("resnet26d", key=None, output_stride=output_stride), key=None)[1]
    assert jax.tree.map(lambda a: a.shape, plain) == jax.tree.map(lambda a: a.shape, dilated)


def test_output_strides_are_three():
    with pytest.raises(ValueError, match="output_stride is 8, 16 or 32: got 4"):
        create_model("resnet18", output_stride=4)


@pytest.mark.parametrize(("channels", "window"), [(64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_attention_widens_with_the_channels(channels, window):
    assert attend(channels).conv.kernel.get_value().shape == (window, 1, 1)


def test_branches_start_at_the_identity():
    block = create_model("test_resnet").layer1[0]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 8, 8, 32)), jnp.float32)
    np.testing.assert_array_equal(block(x), jax.nn.relu(x))


def test_drop_path_rises_to_the_last_block():
    model = create_model("resnet18", key=None, drop_path_rate=0.7)
    rates = [block.drop_path.rate for index in range(1, 5) for block in getattr(model, f"layer{index}")]
    np.testing.assert_allclose(rates, np.arange(8) / 10)
