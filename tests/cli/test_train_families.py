"""`jaxconv train` takes steps with a network of every family: everything learns, whatever is random has its key."""

import inspect

import jax
import numpy as np
import pytest
from models.samples import SMALLEST
from PIL import Image

from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.models import MODELS, create_model
from jaxconv.nn import functionalize
from jaxconv.train import fit

RANDOM = {"drop_rate": 0.2, "drop_path_rate": 0.2}
AUXILIARY = {"googlenet": {"aux_logits": True}, "inception_v3": {"aux_logits": True}}
SIDES = {"inception_v3": 299, "inception_v4": 128, "inception_resnet_v2": 128, "alexnet": 96}
FAST = ("conv_pyramid", "test_resnet")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Twelve images of three classes to train on, three to measure."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 1)):
        for name in ("a", "b", "c"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def options(name):
    """Dropout, drop path and auxiliary heads, as far as the network offers them."""
    build = MODELS[name].build
    offered = inspect.signature(build.__init__ if isinstance(build, type) else build).parameters
    return {key: value for key, value in RANDOM.items() if key in offered} | AUXILIARY.get(name, {})


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in SMALLEST])
def test_three_steps(name, folder, tmp_path):
    info = MODELS[name].info
    side = info.input_size[0] if info.fixed_input_size else SIDES.get(name, 64)
    knobs = Knobs(model=name, data=str(folder), image_size=side, epochs=1, batch_size=4, devices=1)
    given = options(name)
    result = fit(build_experiment(knobs, model_options=given, progress=False), tmp_path / "run", progress=False)
    assert result.steps == 3 and np.isfinite(result.metrics["loss"]) and result.metrics["images"] == 3
    _, params, batch_stats = functionalize(create_model(name, key=0, num_classes=3, **given))
    assert unmoved(params, result.params) == [] and unmoved(batch_stats, result.batch_stats) == []


def unmoved(before, after) -> list[str]:
    """The leaves that three steps left as they were."""
    after = dict(jax.tree_util.tree_leaves_with_path(after))
    leaves = jax.tree_util.tree_leaves_with_path(before)
    return [jax.tree_util.keystr(path) for path, value in leaves if np.array_equal(value, after[path])]
