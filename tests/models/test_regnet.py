"""RegNets: stages that follow from a line, output strides, and what a style changes."""

from typing import Any

import pytest

from jaxconv.models import create_model, feature_info
from jaxconv.models.regnet import regnet_stages


def test_published_widths_and_depths():
    """RegNetX-200MF and RegNetY-32GF as arXiv:2003.13678 lists them (figures 16 and 17)."""
    assert regnet_stages(13, 24, 36.44, 2.49, 8) == [(24, 1, 8), (56, 1, 8), (152, 4, 8), (368, 7, 8)]
    assert regnet_stages(20, 232, 115.89, 2.53, 232) == [(232, 2, 232), (696, 5, 232), (1392, 12, 232), (3712, 1, 232)]


def test_rounding_to_the_nearest_group_or_one_up():
    nearest = [width for width, *_ in regnet_stages(22, 24, 24.48, 2.54, 16)]
    kept = [width for width, *_ in regnet_stages(22, 24, 24.48, 2.54, 16, kept=0.9)]
    assert nearest == [32, 64, 160, 384] and kept == [32, 64, 160, 400]


def test_a_line_gives_four_stages():
    with pytest.raises(ValueError, match=r"A RegNet has four stages: w0=24, wa=1, wm=2.49 over 13 blocks give 1"):
        regnet_stages(13, 24, 1, 2.49, 8)


@pytest.mark.parametrize("name", ["regnetx_002", "regnetv_064"])
@pytest.mark.parametrize(("output_stride", "strides"), [(16, [2, 4, 8, 16, 16]), (8, [2, 4, 8, 8, 8])])
def test_output_stride(name, output_stride, strides):
    levels = feature_info(create_model(name, key=None, output_stride=output_stride))
    assert [level.stride for level in levels] == strides
    with pytest.raises(ValueError, match="output_stride is 8, 16 or 32: got 64"):
        create_model(name, key=None, output_stride=64)


def test_a_changed_shape_has_no_shortcut_in_z():
    model: Any = create_model("regnetz_005", key=None)
    changing, keeping = model.s2.b1, model.s2.b2
    assert not changing.shortcut and keeping.shortcut and keeping.downsample is None


def first_block(model: Any):
    return model.s1.b1


def test_branches_start_at_zero_in_timm_alone():
    scales = [first_block(create_model(name)).conv3.bn.scale[...] for name in ("regnety_004", "regnet_y_400mf")]
    assert not scales[0].any() and scales[1].all()
