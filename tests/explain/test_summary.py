"""The summary of LeNet-5 by hand, of GoogLeNet by its published numbers."""

import dataclasses
import json

import pytest
from models.samples import SMALLEST

from jaxconv.explain import Row, summary, summary_table
from jaxconv.models import create_model, model_info


def rows(result):
    return {row.name: row for row in result.rows}


def test_lenet5_by_hand():
    result = summary(create_model("lenet5", key=None))

    def square(side, channels):
        return 1, side, side, channels

    assert result.rows == (
        Row("c1", "Conv", square(28, 6), 156, 28 * 28 * 6 * 25, (5, 5), (1, 1), 1024 * 4704),
        Row("s2", "AvgPool", square(14, 6), 0, 0, (6, 6), (2, 2), 0),
        Row("c3", "Conv", square(10, 16), 2_416, 100 * 16 * 150, (14, 14), (2, 2), 1176 * 1600),
        Row("s4", "AvgPool", square(5, 16), 0, 0, (16, 16), (4, 4), 0),
        Row("c5", "Conv", square(1, 120), 48_120, 48_000, (32, 32), (4, 4), 48_000),
        Row("f6", "Dense", (1, 84), 10_164, 10_080, (32, 32), None, 10_080),
        Row("output", "Dense", (1, 10), 850, 840, (32, 32), None, 840),
    )
    assert (result.parameters, result.multiply_adds, result.batch_stats) == (61_706, 416_520, 0)
    assert result.dense_weights == sum(row.dense_weights for row in result.rows)


@pytest.fixture(scope="module")
def googlenet():
    return summary(create_model("googlenet", key=None, aux_logits=True))


def test_googlenet_as_published(googlenet):
    assert googlenet.multiply_adds == 1_498_376_192  # torchvision 0.28 at 224x224, auxiliary heads unused
    assert (googlenet.parameters, googlenet.batch_stats) == (13_004_888, 15_072)
    assert sum(row.parameters for row in googlenet.rows) == 6_624_904


def test_branches_see_differently_and_their_join_sees_the_most(googlenet):
    seen = {name: row.receptive_field for name, row in rows(googlenet).items()}
    assert seen["inception3a.branch1.conv"] == (27, 27) and seen["inception3a.branch2.1.conv"] == (43, 43)
    assert seen["inception3b.branch1.conv"] == (43, 43)
    strides = [rows(googlenet)[name].stride for name in ("conv1.conv", "maxpool2", "inception5b.branch1.conv", "fc")]
    assert strides == [(2, 2), (8, 8), (32, 32), None]


def test_size_channels_and_batch():
    model = create_model("conv_pyramid", key=None, in_chans=1)
    one, many = summary(model, size=(64, 48)), summary(model, size=(64, 48), batch=3)
    assert one.input_shape == (1, 64, 48, 1) and many.multiply_adds == 3 * one.multiply_adds
    assert rows(one)["steps.2.conv"].output_shape == (1, 8, 6, 256)
    assert rows(one)["fc"].receptive_field == (7 * 8 + 15, 5 * 8 + 15)


@pytest.mark.parametrize("name", [name for name in SMALLEST if name != "googlenet"])
def test_rows_add_up(name):
    result = summary(create_model(name, key=None))
    assert result.parameters == model_info(name).parameters == sum(row.parameters for row in result.rows)
    assert result.multiply_adds == sum(row.multiply_adds for row in result.rows)
    weighted = [row for row in result.rows if row.multiply_adds]
    assert all(row.dense_weights >= row.multiply_adds for row in weighted)
    assert weighted[-1].output_shape[-1] == model_info(name).num_classes


def test_json_and_text():
    result = summary(create_model("nielsen_conv2", key=None))
    numbers = json.loads(json.dumps(dataclasses.asdict(result)))
    assert numbers["parameters"] == 85_670 and numbers["rows"][0]["receptive_field"] == [6, 6]
    text = str(result)
    for words in ("nielsen_conv2", "conv.1", "20,040", "1,280,000", "85,670", "4x4x40", "weights if dense"):
        assert words in text
    assert summary_table(result).row_count == len(result.rows)


def test_drawn_networks_stay_drawn():
    model = create_model("lenet5")
    before = model.c1.kernel.get_value()
    summary(model)
    assert model.c1.kernel.get_value() is before


@pytest.mark.parametrize("size", [(0, 32), (32, 32, 3)])
def test_images_have_a_size(size):
    with pytest.raises(ValueError, match=r"Images are \(n, height, width, channels\), all positive: got \(1, "):
        summary(create_model("conv_pyramid", key=None), size=size)
