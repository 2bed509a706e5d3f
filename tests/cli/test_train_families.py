"""`jaxconv train` takes steps with a network of every family: everything learns, whatever is random has its key."""

import json

import jax
import numpy as np
import pytest
from models.samples import SMALLEST
from PIL import Image

from jaxconv.cli import main
from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.cli.restored import Restored
from jaxconv.models import MODELS, create_model, offered_settings
from jaxconv.nn import functionalize
from jaxconv.train import Run, fit

RANDOM = {"drop_rate": 0.2, "drop_path_rate": 0.2}
AUXILIARY = {"googlenet": {"aux_logits": True}, "inception_v3": {"aux_logits": True}}
SIDES = {"inception_v3": 299, "inception_v4": 128, "inception_resnet_v2": 128, "alexnet": 96}
FAST = ("conv_pyramid", "test_resnet")
LONG = (
    "alexnet",
    "convmixer_768_32",
    "densenet121",
    "googlenet",  # trained by the test of flags
    "inception_resnet_v2",
    "inception_v3",
    "inception_v4",
    "legacy_seresnet18",
    "legacy_xception",
    "regnetx_002",
    "resnetv2_18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "vgg11",
    "xception41p",
)
"""Networks whose training takes a third of a minute and more to compile: only `-m zoo` trains them."""


def marks(name):
    return [] if name in FAST else [pytest.mark.slow, pytest.mark.zoo] if name in LONG else [pytest.mark.slow]


@pytest.fixture(autouse=True)
def compiled_fast():
    """Two thirds of the time. What is trained here is looked at for having moved, not for its numbers."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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
    offered = offered_settings(name)
    return {key: value for key, value in RANDOM.items() if key in offered} | AUXILIARY.get(name, {})


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SMALLEST])
def test_three_steps(name, folder, tmp_path):
    info = MODELS[name].info
    side = info.input_size[0] if info.fixed_input_size else SIDES.get(name, 64)
    given = options(name)
    knobs = Knobs(model=name, data=str(folder), image_size=side, epochs=1, batch_size=4, devices=1, **given)
    result = fit(build_experiment(knobs, progress=False), tmp_path / "run", progress=False)
    assert result.steps == 3 and np.isfinite(result.metrics["loss"]) and result.metrics["images"] == 3
    _, params, batch_stats = functionalize(create_model(name, key=0, num_classes=3, **given))
    assert unmoved(params, result.params) == [] and unmoved(batch_stats, result.batch_stats) == []


def flags(given) -> list[str]:
    written = {f"--{key.replace('_', '-')}": value for key, value in given.items() if value is not False}
    return [flag if value is True else f"{flag}={value}" for flag, value in written.items()]


@pytest.mark.parametrize(
    ("name", "other", "refusal"),
    [
        ("test_resnet", {"drop_path_rate": 0.3}, "drop_path_rate: 0.2 there, 0.3 now"),
        pytest.param(
            "googlenet", {"aux_logits": False}, "aux_logits: True there, (not set) now", marks=marks("googlenet")
        ),
    ],
)
def test_the_flags_are_recorded_and_the_network_is_built_again(name, other, refusal, folder, tmp_path, capsys):
    given, run = options(name), tmp_path / "run"
    settings = f"--model {name} --image-size 64 --epochs 1 --batch-size 4 --devices 1 --quiet".split()
    command = ["train", "--data", str(folder), *settings, "--out", str(run)]
    assert main([*command, *flags(given)]) == 0 and main([*command, *flags(given)]) == 0
    recorded = Run.open(run)
    assert recorded.record["model"]["options"] == {"num_classes": 3, "in_chans": 3, **given}
    assert {key: recorded.settings[key] for key in given} == given
    _, params, _ = functionalize(create_model(name, num_classes=3, **given))
    assert jax.tree.structure(Restored.open(run).params) == jax.tree.structure(params)
    capsys.readouterr()
    assert main(["eval", str(run), "--json"]) == 0
    result = json.loads((run / "result.json").read_text())
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(result["loss"], rel=1e-5)
    assert main([*command, *flags(given | other)]) == 2
    assert f"another configuration ({refusal})" in capsys.readouterr().err


def unmoved(before, after) -> list[str]:
    """The leaves that three steps left as they were."""
    after = dict(jax.tree_util.tree_leaves_with_path(after))
    leaves = jax.tree_util.tree_leaves_with_path(before)
    return [jax.tree_util.keystr(path) for path, value in leaves if np.array_equal(value, after[path])]
