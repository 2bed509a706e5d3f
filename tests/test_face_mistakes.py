"""Mistakes in calls from Python: an error at once, with the rule and the values, before anything is written."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import jaxconv
from jaxconv.train import Experiment, Preprocess, RunError, Saving

IMAGES = np.zeros((6, 4, 4, 1), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])
KERNEL = np.zeros((1, 3), np.float32)


def dataset(channels: int = 1, labels=LABELS) -> jaxconv.Dataset:
    return jaxconv.Dataset.from_arrays(np.repeat(IMAGES, channels, -1), labels)


def apply(params, stats, x, **_):
    return x.mean((1, 2)) @ params["kernel"], stats


def experiment(**changes) -> Experiment:
    values = {
        "model": lambda: (apply, {"kernel": KERNEL}, {}),
        "train_data": dataset(),
        "eval_data": dataset(),
        "preprocess": Preprocess(mean=(0.5,), std=(0.5,)),
        "schedule": lambda total: jaxconv.make_schedule("cosine", total, 0.1),
        "optimizer": lambda schedule: jaxconv.make_optimizer("sgd", schedule),
        "epochs": 1,
        "batch_size": 2,
    }
    return Experiment(**values | changes)


def fitted(out: str, **changes):
    return jaxconv.fit(experiment(**{"devices": 1} | changes), out, progress=False)


MISTAKES = {
    "negative seed": (lambda: experiment(seed=-1), ValueError, r"seed must lie between 0 and 2\*\*32 - 1; got -1"),
    "large seed": (lambda: experiment(seed=2**70), ValueError, r"seed must lie between 0 and 2\*\*32 - 1; got 11805"),
    "no epochs": (lambda: experiment(epochs=0), ValueError, r"epochs must be positive; got 0"),
    "too many steps": (
        lambda: experiment(epochs=10**12),
        ValueError,
        r"epochs must stay below 2147483647 steps in all",
    ),
    "large batch": (lambda: experiment(batch_size=7), ValueError, r"batch_size must not exceed .* got 7 for 6"),
    "ema of 1": (lambda: experiment(ema_decay=1.0), ValueError, r"ema_decay must lie between 0 and 1; got 1.0"),
    "ema of nan": (lambda: experiment(ema_decay=np.nan), ValueError, r"ema_decay must lie between 0 and 1; got nan"),
    "one class": (
        *(lambda: experiment(train_data=dataset(labels=LABELS * 0)), ValueError),
        r"a classifier is trained on two classes or more; arrays has 1",
    ),
    "other classes": (
        *(lambda: experiment(eval_data=dataset(labels=LABELS + 1)), ValueError),
        r"eval_data has the classes and channels of train_data; got 4 classes and 1 channels to measure on, 3 and 1",
    ),
    "other channels": (lambda: experiment(eval_data=dataset(3)), ValueError, r"3 classes and 3 channels to measure on"),
    "mean of 3": (
        *(lambda: experiment(preprocess=Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)), ValueError),
        r"preprocess has one mean a channel; got 3 for 1",
    ),
    "no schedule": (
        *(lambda: fitted("out", schedule=lambda total: 0.1), TypeError),
        r"schedule must give the learning rate as a function of the step; got 0.1",
    ),
    "no optimizer": (
        *(lambda: fitted("out", optimizer=lambda schedule: 0.1), TypeError),
        r"optimizer must give an optax transformation; got 0.1",
    ),
    "no functional model": (
        *(lambda: fitted("out", model=lambda: KERNEL), TypeError),
        r"model must give \(apply, params, batch_stats\), .*; got a ndarray",
    ),
    "too few logits": (
        *(lambda: fitted("out", model=lambda: (apply, {"kernel": KERNEL[:, :2]}, {})), ValueError),
        r"model must give one logit a class: for 2 images shape \(2, 3\); got shape \(2, 2\)",
    ),
    "a loss that measures nothing": (
        *(lambda: fitted("out", loss=lambda logits, labels: logits.mean()), TypeError),
        r"unexpected keyword argument 'where'",
    ),
    "settings of NumPy": (
        *(lambda: fitted("out", settings={"rate": np.float32(0.1)}), TypeError),
        r"settings and record must be JSON values: Object of type float32",
    ),
    "settings of nan": (lambda: fitted("out", settings={"rate": np.nan}), ValueError, r"must be JSON values: .*nan"),
    "mean of nan": (lambda: Preprocess(mean=(np.nan,), std=(1.0,)), ValueError, r"mean must be finite; got \(nan,\)"),
    "std of 0": (
        lambda: Preprocess(mean=(0.5,), std=(0.0,)),
        ValueError,
        r"std must be positive and finite; got \(0.0,\)",
    ),
    "size of 0": (
        *(lambda: Preprocess(mean=(0.5,), std=(1.0,), size=(0, 3)), ValueError),
        r"size must be positive; got \(0, 3\)",
    ),
    "unknown dtype": (
        *(lambda: Preprocess(mean=(0.5,), std=(1.0,), dtype="int8"), ValueError),
        r"dtype must be one of float32, bfloat16, float16; got 'int8'",
    ),
    "no devices": (lambda: fitted("out", devices=0), ValueError, r"devices must lie between 1 and .* got 0 of 8"),
    "out is a file": (
        lambda: fitted("file"),
        RunError,
        r"out must be a new directory .* file is neither empty nor a run",
    ),
    "out under a file": (lambda: fitted("file/run"), RunError, r"out must be a directory that can .*: Not a directory"),
    "keep none": (lambda: Saving(keep=0), ValueError, r"keep must be positive; got 0"),
    "data set of nothing": (lambda: jaxconv.load_dataset(""), ValueError, r"a data set is digits, .*; got ''"),
    "negative classes": (
        *(lambda: jaxconv.create_model("resnet18", num_classes=-1), ValueError),
        r"num_classes must be zero or positive; got -1",
    ),
    "no channels": (
        *(lambda: jaxconv.create_model("resnet18", in_chans=0), ValueError),
        r"in_chans must be positive; got 0",
    ),
    "drop all": (
        *(lambda: jaxconv.create_model("resnet18", drop_rate=1.0), ValueError),
        r"drop_rate must be a probability in \[0, 1\); got 1.0",
    ),
    "drop less than nothing": (
        *(lambda: jaxconv.create_model("resnet18", drop_path_rate=-1.0), ValueError),
        r"drop_path_rate must be a probability in \[0, 1\); got -1.0",
    ),
    "capital letters": (lambda: jaxconv.create_model("VGG11"), ValueError, r"no network 'VGG11'. .* names: vgg11"),
    "negative rate": (
        *(lambda: jaxconv.make_optimizer("adam", -0.1), ValueError),
        r"learning_rate must be positive and at most 3.4e\+38; got -0.1",
    ),
    "rate of nan": (
        *(lambda: jaxconv.make_schedule("linear", 10, float("nan")), ValueError),
        r"learning_rate must be positive and at most 3.4e\+38; got nan",
    ),
    "infinite decay": (
        *(lambda: jaxconv.make_optimizer("adam", 0.1, weight_decay=float("inf")), ValueError),
        r"weight_decay must be zero or positive; got inf",
    ),
    "no steps": (lambda: jaxconv.make_schedule("cosine", 0, 0.1), ValueError, r"total_steps must be positive; got 0"),
    "weights that cannot be written": (
        *(lambda: jaxconv.save_weights(jaxconv.create_model("test_resnet"), "absent/w.safetensors"), OSError),
        r"absent/w.safetensors cannot be written",
    ),
    "no run": (lambda: jaxconv.Run.open("absent"), RunError, r"absent is no run directory: there is no such directory"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_rule_and_the_values(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    call, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        call()
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


WRONG_TYPES = {
    "replace(experiment, epochs=1.5)": "TypeError: epochs must be a whole number; got 1.5.",
    "replace(experiment, epochs='3')": "TypeError: epochs must be a whole number; got '3'.",
    "replace(experiment, batch_size=2.0)": "TypeError: batch_size must be a whole number; got 2.0.",
    "replace(experiment, devices=1.5)": "TypeError: devices must be a whole number; got 1.5.",
    "replace(experiment, seed=None)": "TypeError: seed must be a whole number; got None.",
    "replace(experiment, workers='2')": "TypeError: workers must be a whole number; got '2'.",
    "type(replace(experiment, epochs=np.int64(2)).total_steps)": "accepted: <class 'int'>",
    "replace(experiment, optimizer=0.1)": "TypeError: optimizer must be a function; got 0.1.",
    "Preprocess(mean=0.5, std=0.5)": "ValueError: mean and std need one number a channel; got 0.5 and 0.5.",
    "Preprocess(mean=(0.5,), std=(1.0,), size=8)": "ValueError: size must be (height, width); got 8.",
    "Saving(keep=1.5)": "TypeError: keep must be a whole number; got 1.5.",
    "Saving(every=5)": "ValueError: save_every must be steps such as 500 or seconds such as 60s; got 5.",
    "Saving(on_error='ignore')": "ValueError: on_save_error must be one of stop, continue; got ignore.",
    "jaxconv.load_dataset(5)": "ValueError: a data set is digits, a TFDS name or a folder of images; got 5.",
    "jaxconv.load_dataset('digits', image_size=7.5)": "TypeError: image_size is a whole number of pixels; got 7.5.",
    "jaxconv.create_model('resnet18', num_classes=1.5)": "TypeError: num_classes must be a whole number; got 1.5.",
    "jaxconv.create_model('resnet18', in_chans=True)": "TypeError: in_chans must be a whole number; got True.",
    "jaxconv.create_model('vgg11', drop_rate='')": "TypeError: drop_rate must be a number, known when traced; got ''.",
}
"""Calls, and what they say where no type checker stands in front of them, as one does in this suite."""

UNCHECKED = """
import json, sys
from dataclasses import replace
import jaxconv
import numpy as np
from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.train import Preprocess, Saving
experiment, said = build_experiment(Knobs(model="nielsen_conv1")), {}
for call in json.load(sys.stdin):
    try:
        said[call] = f"accepted: {eval(call)}"
    except (TypeError, ValueError) as error:
        said[call] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


def test_wrong_types_where_nobody_checks_them():
    done = subprocess.run(
        [sys.executable, "-c", UNCHECKED],
        input=json.dumps(list(WRONG_TYPES)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == WRONG_TYPES


def test_the_experiment_that_they_are_mistakes_in_is_none():
    assert dataclasses.replace(experiment(), epochs=4).total_steps == 12
