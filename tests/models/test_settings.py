"""Channels, classes, pools and output strides beside timm's answers: a network of each family, three settings each.

`parity/settings.py` recorded the answers.
"""

import json

import jax.numpy as jnp
import pytest
from models.compiled import fast_jit
from models.parity import synth
from models.parity.record import distance, shapes_as_reference
from models.parity.settings import CLASSES, FILE

from jaxconv import nn
from jaxconv.models import create_model, feature_info, load_weights

CASES = {
    f"{case['name']}-{'-'.join(map(str, case['settings'].values()))}": case for case in json.loads(FILE.read_text())
}
ANSWERED = [name for name, case in CASES.items() if "logits" in case]
WITH_PYRAMID = [name for name, case in CASES.items() if "channels" in case]


@pytest.mark.parametrize(
    "name", [n if n.startswith("test_resnet") else pytest.param(n, marks=pytest.mark.slow) for n in ANSWERED]
)
def test_logits(name):
    case = CASES[name]
    model = create_model(case["name"], key=None, num_classes=CLASSES, **case["settings"])
    _, *trees = nn.functionalize(model, key=None)
    shapes = shapes_as_reference(trees[0]) | shapes_as_reference(trees[1])
    load_weights(model, {entry: synth.tensor(entry, tuple(shape)) for entry, shape in shapes.items()})
    apply, params, batch_stats = nn.functionalize(model)
    x = jnp.asarray(synth.images(2, case["side"], case["side"], case["settings"]["in_chans"]))
    logits = fast_jit(lambda p, b: apply(p, b, x, train=False)[0])(params, batch_stats)
    assert distance(logits, case["logits"]) < 1e-4


@pytest.mark.parametrize("name", WITH_PYRAMID)
def test_pyramid(name):
    case = CASES[name]
    settings = {key: value for key, value in case["settings"].items() if key != "global_pool"}
    model = create_model(case["name"], key=None, features_only=True, **settings)
    levels = feature_info(model)
    assert [level.channels for level in levels] == case["channels"]
    assert [level.stride for level in levels] == case["reduction"]
