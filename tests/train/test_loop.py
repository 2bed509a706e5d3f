"""`fit` learns, measures every image, continues to the same bits and refuses what is not its run."""

import json
import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from train.conftest import stripes

from jaxconv.train import Preprocess, RunError, Saving, Stopped, fit
from jaxconv.train.checkpoint import Checkpoints
from jaxconv.train.manifest import read_manifest
from jaxconv.train.trainer import Trainer


def leaves(result):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((result.params, result.batch_stats))]


def same_bits(a, b) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(leaves(a), leaves(b), strict=True))


def stop_at(experiment, step: int, number: int = signal.SIGTERM):
    """The same experiment, which signals its own process while the batch of `step` is augmented on the host."""
    data = experiment.train_data
    state = {"calls": 0}

    class Signalling(type(data)):
        in_memory = False

        def gather(self, indices):
            state["calls"] += 1
            if state["calls"] == step:
                os.kill(os.getpid(), number)
            return super().gather(indices)

    return replace(experiment, train_data=Signalling(**vars(data)))


def test_learns_and_counts_every_image_once(make_experiment, tmp_path):
    result = fit(make_experiment(epochs=12), tmp_path / "run", progress=False)
    assert result.metrics["images"] == 21
    assert result.metrics["accuracy"] > 0.9
    assert result.steps == -(-12 * 50 // 16)
    assert result.images_per_second > 0
    assert {p.name for p in (tmp_path / "run").iterdir() if not p.name.startswith("events.out")} == {
        "checkpoints", "command.txt", "environment.json", "metrics.jsonl", "result.json", "run.json", "timing.jsonl",
    }  # fmt: skip
    assert any(p.name.startswith("events.out") for p in (tmp_path / "run").iterdir())


def test_same_seed_same_bits_other_seed_other_bits(make_experiment, tmp_path):
    first, second = (fit(make_experiment(), tmp_path / name, progress=False) for name in "ab")
    other = fit(make_experiment(seed=1), tmp_path / "c", progress=False)
    assert same_bits(first, second) and not same_bits(first, other)
    assert (tmp_path / "a" / "metrics.jsonl").read_bytes() == (tmp_path / "b" / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("step", [2, 5, 9])
def test_a_stopped_run_continues_to_the_same_bits(make_experiment, tmp_path, step):
    whole = fit(make_experiment(), tmp_path / "whole", progress=False)
    with pytest.raises(Stopped, match="stopped by SIGTERM; saved at step") as caught:
        fit(stop_at(make_experiment(), step), tmp_path / "cut", progress=False)
    assert 0 <= caught.value.step <= step
    assert not (tmp_path / "cut" / "result.json").exists()
    cut = fit(make_experiment(), tmp_path / "cut", progress=False)
    assert same_bits(whole, cut) and not (tmp_path / "cut" / "incidents.jsonl").exists()
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "cut" / "metrics.jsonl").read_bytes()


def test_streamed_and_resident_data_give_the_same_bits(make_experiment, tmp_path, monkeypatch):
    resident = fit(make_experiment(), tmp_path / "resident", progress=False)
    monkeypatch.setattr("jaxconv.train.feed.RESIDENT_BYTES", 0)
    assert same_bits(resident, fit(make_experiment(), tmp_path / "streamed", progress=False))


def test_a_scanned_stretch_equals_pieces(make_experiment, monkeypatch):
    def after(experiment):
        trainer = Trainer(experiment)
        state = trainer.initial_state()
        *_, (_, last) = trainer.take(state, 0, 6)
        return last

    looped = after(make_experiment())
    monkeypatch.setattr("jaxconv.train.pieces.keeps_host_busy", lambda: False)
    scanned = after(make_experiment())
    for a, b in zip(jax.tree.leaves(looped.params), jax.tree.leaves(scanned.params)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(scanned.step) == 6


def test_a_finished_run_is_not_repeated(make_experiment, tmp_path):
    first = fit(make_experiment(), tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = fit(make_experiment(), tmp_path / "run", progress=False)
    assert again.metrics == first.metrics and again.seconds == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_another_configuration_is_refused_by_name(make_experiment, tmp_path):
    fit(make_experiment(), tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=r"another configuration \(batch_size: 16 there, 8 now\)"):
        fit(make_experiment(settings={"epochs": 3, "batch_size": 8}), tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 4}, r"epochs: 3 there, 4 now"),
        ({"batch_size": 8}, r"batch_size: 16 there, 8 now"),
        ({"seed": 7}, r"seed: 0 there, 7 now"),
        ({"ema_decay": 0.9}, r"ema_decay: None there, 0.9 now"),
        ({"preprocess": Preprocess(mean=(0.4,), std=(0.3,))}, r"preprocess.mean: \[0.3\] there, \[0.4\] now"),
        ({"train_data": stripes(49)}, r"train_data.images: 50 there, 49 now"),
        (
            {"eval_data": replace(stripes(21, seed=1), classes=("a", "columns", "noise"))},
            r"eval_data.classes: only there 'rows'; only now 'a'",
        ),
    ],
)
def test_what_an_experiment_knows_itself_is_part_of_its_configuration(make_experiment, tmp_path, change, message):
    fit(make_experiment(settings={}), tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=rf"another configuration \({message}"):
        fit(make_experiment(settings={}, **change), tmp_path / "run", progress=False)
    more = {"devices": 2, "workers": 1, "max_bad_images": 0}
    assert fit(make_experiment(settings={}, **more), tmp_path / "run", progress=False).seconds == 0


def test_an_image_left_out_since_does_not_make_other_data(make_experiment):
    whole = make_experiment()
    less = replace(stripes(20, seed=1), left_out={20: "not a readable image"})
    assert make_experiment(eval_data=less).described == whole.described


def test_metrics_have_one_line_a_record(make_experiment, tmp_path):
    fit(make_experiment(), tmp_path / "run", progress=False)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["split"] == "eval"] == [4, 7, 10]
    assert [row["step"] for row in rows if row["split"] == "train"] == list(range(1, 11))
    assert rows[0]["learning_rate"] == pytest.approx(0.05)


def test_the_moving_average_is_evaluated(make_experiment, tmp_path):
    plain = fit(make_experiment(), tmp_path / "plain", progress=False)
    averaged = fit(make_experiment(ema_decay=0.9), tmp_path / "averaged", progress=False)
    assert averaged.metrics["loss"] != plain.metrics["loss"]
    nearly_plain = fit(make_experiment(ema_decay=1e-9), tmp_path / "nearly", progress=False)
    assert nearly_plain.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run(make_experiment, tmp_path):
    experiment = make_experiment(schedule=lambda total: lambda step: 1e30)
    message = (
        r"every number must stay finite; noticed at step 2: step 1 breaks this in layer conv, operation \w+, whose "
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(experiment, tmp_path / "run", progress=False)


def test_mistakes_in_an_experiment(make_experiment, tmp_path):
    with pytest.raises(ValueError, match="epochs must be positive; got 0"):
        make_experiment(epochs=0)
    with pytest.raises(ValueError, match="batch_size must not exceed the number of training images; got 51 for 50"):
        make_experiment(batch_size=51)
    with pytest.raises(ValueError, match=r"ema_decay must lie between 0 and 1; got 1.5"):
        make_experiment(ema_decay=1.5)
    with pytest.raises(ValueError, match="multiple of the number of devices"):
        fit(make_experiment(batch_size=12, devices=8), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("busy", [True, False])
def test_saves_by_the_clock_come_also_where_a_stretch_is_one_piece(make_experiment, tmp_path, monkeypatch, busy):
    monkeypatch.setattr("jaxconv.train.pieces.keeps_host_busy", lambda: busy)
    fit(make_experiment(), tmp_path / "run", progress=False, saving=Saving(every="0.0001s", keep=100))
    steps = {int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert steps - {4, 7, 10}


def test_the_best_stays_when_a_run_was_stopped_while_it_was_measured(make_experiment, tmp_path, monkeypatch):
    saving = Saving(keep=1, keep_best="loss")
    fit(make_experiment(), tmp_path / "whole", progress=False, saving=saving)
    evaluate = Trainer.evaluate

    def asked(self, state, *, beat):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, state, beat=beat)

    monkeypatch.setattr(Trainer, "evaluate", asked)
    for _ in range(2):  # stopped while the first epoch is measured, and again: it must be measured all the same
        with pytest.raises(Stopped, match="saved at step 4"):
            fit(make_experiment(), tmp_path / "cut", progress=False, saving=saving)
    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    fit(make_experiment(), tmp_path / "cut", progress=False, saving=saving)
    kept = [sorted(p.name for p in (tmp_path / name / "checkpoints").iterdir()) for name in ("whole", "cut")]
    assert kept[0] == kept[1]
    for name in ("metrics.jsonl", "result.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_the_best_stays_when_a_run_died_between_its_row_and_its_checkpoint(make_experiment, tmp_path, monkeypatch):
    saving = Saving(keep=1, keep_best="loss")
    fit(make_experiment(), tmp_path / "whole", progress=False, saving=saving)
    evaluate, measured = Trainer.evaluate, Checkpoints._measured

    def asked(self, state, *, beat):
        if int(state.step) == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, state, beat=beat)

    def dies(self, step, metrics):
        raise RuntimeError("struck by the test")

    monkeypatch.setattr(Trainer, "evaluate", asked)
    with pytest.raises(Stopped, match="saved at step 10"):
        fit(make_experiment(), tmp_path / "cut", progress=False, saving=saving)
    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    monkeypatch.setattr(Checkpoints, "_measured", dies)
    with pytest.raises(RuntimeError, match="struck"):
        fit(make_experiment(), tmp_path / "cut", progress=False, saving=saving)
    monkeypatch.setattr(Checkpoints, "_measured", measured)
    fit(make_experiment(), tmp_path / "cut", progress=False, saving=saving)
    folders = [tmp_path / name / "checkpoints" for name in ("whole", "cut")]
    manifests = [read_manifest(folder / "10")["about"] for folder in folders]
    assert manifests[0] == manifests[1] and manifests[0]["metrics"]
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["10"], ["10"]]
