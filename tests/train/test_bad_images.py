"""A run with images that cannot be used: named, counted, the same however they are read, ended past the budget."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jaxconv.data import ImageError, StreamedDataset, batch_indices
from jaxconv.train import BadImagesError, fit
from jaxconv.train.bad_images import BadImages
from jaxconv.train.trainer import Trainer


class Some:
    """The records of an array, of which some positions cannot be used."""

    name, classes = "stripes", ("rows", "columns", "noise")

    def __init__(self, data, *unusable, split="train"):
        self.data, self.unusable, self.split = data, unusable, split

    def __len__(self):
        return len(self.data)

    def key(self):
        return {"kind": "some", "split": self.split}

    def fingerprint(self):
        return str(self.unusable)

    def shape(self, image_size, progress):
        return self.data.image_shape

    def read(self, indices, shape):
        if bad := [index for index in indices if index in self.unusable]:
            raise ImageError(f"image {bad[0]} of {self.split}: not a readable image")
        return self.data.gather(list(indices))


@pytest.fixture
def experiment(make_experiment):
    """50 images to train on, of which 5, 6 and 20 cannot be used; batches of 16, three epochs."""

    def make(streamed=True, unusable=(5, 6, 20), **changes):
        whole = make_experiment()
        data = StreamedDataset(Some(whole.train_data, *unusable), whole.train_data.image_shape)
        if not streamed:
            images, labels = data.gather(range(50))
            data = replace(whole.train_data, images=images, labels=labels, bad=dict(data.bad))
        return make_experiment(train_data=data, **changes)

    return make


def record(run):
    return [json.loads(line) for line in (run / "bad_images.jsonl").read_text().splitlines()]


def incidents(run):
    return [json.loads(line)["what"] for line in (run / "incidents.jsonl").read_text().splitlines()]


def test_each_is_named_once_and_the_run_goes_on(experiment, tmp_path):
    fit(experiment(), tmp_path / "run", progress=False)
    rows = record(tmp_path / "run")
    assert {(row["split"], row["index"]) for row in rows} == {("train", 5), ("train", 6), ("train", 20)}
    told = incidents(tmp_path / "run")
    assert len(told) == len(rows) == 3
    for row, line in zip(rows, told, strict=True):
        assert row["what"] == f"image {row['index']} of train: not a readable image"
        assert line == f"bad image, the next usable one takes its place: {row['what']}"


def test_a_run_without_bad_images_has_no_record(experiment, tmp_path):
    fit(experiment(unusable=()), tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "bad_images.jsonl").exists()


def test_decoded_streamed_and_any_number_of_workers_end_at_the_same_bits(experiment, tmp_path):
    results = {}
    for name, made in {
        "decoded": experiment(streamed=False),
        "streamed": experiment(),
        "one": experiment(workers=1),
        "two": experiment(workers=2),
    }.items():
        results[name] = fit(made, tmp_path / name, progress=False)
    metrics = {name: (tmp_path / name / "metrics.jsonl").read_bytes() for name in results}
    assert len(set(metrics.values())) == 1
    kernels = [np.asarray(result.params["conv"]["kernel"]).tobytes() for result in results.values()]
    assert len(set(kernels)) == 1
    assert len({frozenset((r["index"], r["what"]) for r in record(tmp_path / name)) for name in results}) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_past_the_budget_the_run_ends_at_the_same_step_with_the_list(experiment, workers):
    taken = []
    with pytest.raises(BadImagesError) as caught, Trainer(experiment(workers=workers, max_bad_images=2)) as trainer:
        for step, _ in trainer.take(trainer.initial_state(), 0, 9):
            taken.append(step)
    message = str(caught.value)
    assert message.startswith("max_bad_images must not be less than the number of images that cannot be used; it is 2 ")
    assert message.count("not a readable image") == len(trainer.bad_images) == 3
    seen: set[int] = set()
    for last in range(9):
        seen.update(batch_indices(0, last, length=50, batch_size=16).tolist())
        if {5, 6, 20} <= seen:
            break
    assert last >= 1 and taken == list(range(1, last + 1))


def test_a_continued_run_counts_what_it_had_found(experiment, tmp_path):
    with pytest.raises(BadImagesError, match=r"it is 2 and 3 were found; .*bad_images.jsonl names them all:\n  image"):
        fit(experiment(max_bad_images=2), tmp_path / "run", progress=False)
    assert len(record(tmp_path / "run")) == 3
    with pytest.raises(BadImagesError, match="it is 2 and 3 were found"):
        fit(experiment(max_bad_images=2), tmp_path / "run", progress=False)
    result = fit(experiment(max_bad_images=3), tmp_path / "run", progress=False)
    whole = fit(experiment(), tmp_path / "whole", progress=False)
    assert result.metrics == whole.metrics
    assert len(record(tmp_path / "run")) == 3
    assert f"3 bad images were found before in this run, which {tmp_path}/run/bad_images.jsonl names." in incidents(
        tmp_path / "run"
    )


@pytest.mark.parametrize("call", [1, 4, 5])
def test_a_budget_that_is_found_exceeded_after_a_stretch_costs_no_row(experiment, tmp_path, monkeypatch, call):
    """As where processes share a run, which tell each other at the end of a stretch; the fourth ends an epoch."""
    made, calls = experiment(), []

    def share(self):
        calls.append(None)
        if len(calls) == call:
            raise BadImagesError("too many")

    fit(made, tmp_path / "whole", progress=False)
    monkeypatch.setattr(BadImages, "share", share)
    with pytest.raises(BadImagesError, match="too many"):
        fit(made, tmp_path / "cut", progress=False)
    fit(made, tmp_path / "cut", progress=False)
    for name in ("metrics.jsonl", "result.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_what_the_decoding_found_counts_before_the_first_step(experiment, tmp_path):
    made = experiment(streamed=False, max_bad_images=3)
    made = replace(made, eval_data=replace(made.eval_data, split="val", left_out={4: "image 4 of val: empty"}))
    with pytest.raises(BadImagesError, match="it is 3 and 4 were found"):
        fit(made, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    fit(replace(made, max_bad_images=4), tmp_path / "run", progress=False)
    assert record(tmp_path / "run")[-1] == {"split": "val", "index": 4, "what": "image 4 of val: empty"}
    assert "bad image, it is left out of the evaluation: image 4 of val: empty" in incidents(tmp_path / "run")


def test_long_lists_are_cut_and_kept_whole_in_the_record(tmp_path):
    told = []
    images = BadImages(10)
    images.keep(tmp_path, told.append, [])
    with pytest.raises(BadImagesError, match=r"image 19\n  and 480 more$"):
        images.drawn("train", {index: f"image {index}" for index in range(500)})
    assert len(record(tmp_path)) == 500 and len(told) == 20


def test_a_record_that_was_cut_short_is_mended(tmp_path):
    images = BadImages(10)
    images.keep(tmp_path, lambda text: None, [])
    images.drawn("train", {1: "one", 2: "two"})
    path = tmp_path / "bad_images.jsonl"
    path.write_text(path.read_text()[:-5])
    again = BadImages(10)
    again.keep(tmp_path, lambda text: None, [])
    again.drawn("train", {2: "two", 3: "three"})
    assert [row["index"] for row in record(tmp_path)] == [1, 2, 3]


def test_evaluation_reads_ahead_and_counts_every_image_once(experiment):
    made = experiment(workers=2)
    test = StreamedDataset(Some(made.eval_data, split="test"), made.eval_data.image_shape)
    with Trainer(made) as whole, Trainer(replace(made, eval_data=test)) as streamed:
        state = whole.initial_state()
        assert streamed.evaluate(state) == whole.evaluate(state)
        assert streamed.evaluate(state)["images"] == 21


@pytest.mark.parametrize(("name", "value"), [("workers", -1), ("max_bad_images", -2)])
def test_numbers_below_zero_are_refused(make_experiment, name, value):
    with pytest.raises(ValueError, match=f"{name} must be zero or positive; got {value}"):
        make_experiment(**{name: value})
