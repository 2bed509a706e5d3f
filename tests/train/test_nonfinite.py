"""What a run does about a step whose numbers are not finite: stop and name it, skip it, or roll back."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file
from train.conftest import stripes, tiny_apply, tiny_params, tiny_stats
from train.test_loop import same_bits

from jaxconv.data import Dataset, batch_indices
from jaxconv.train import Experiment, NonFiniteError, Saving, fit
from jaxconv.train.nonfinite import MOST_LEFT_OUT
from jaxconv.train.trainer import Trainer

MARKED = 17
"""The training image that breaks the step that it is drawn for, once an epoch."""

BAD_STEPS = [step for step in range(10) if MARKED in batch_indices(0, step, length=50, batch_size=16)]


def poisoned(part: str):
    """The small network, whose logits or gradients are not finite for a batch with a white corner."""

    @jax.custom_vjp
    def spoil(x, bad):
        return x

    spoil.defvjp(lambda x, bad: (x, bad), lambda bad, g: (jnp.where(bad, jnp.nan, g), None))

    def apply(params, batch_stats, x, *, train, key=None):
        bad = train & (x[:, 0, 0, 0] > 2.3).any()
        kernel = params["head"]["kernel"]
        if part == "loss":
            kernel = kernel * jnp.where(bad, jnp.float32(1e38), 1) * jnp.where(bad, jnp.float32(1e38), 1)
        else:
            kernel = spoil(kernel, bad)
        head = {**params["head"], "kernel": kernel}
        return tiny_apply({**params, "head": head}, batch_stats, x, train=train)

    return lambda: (apply, tiny_params(), tiny_stats())


def marked(images: list[int]) -> Dataset:
    data = stripes(50)
    pixels = np.minimum(data.images, 200)
    pixels[images, 0, 0] = 255
    return Dataset.from_arrays(pixels, data.labels, classes=data.classes)


@pytest.fixture
def make(make_experiment):
    def make(part="loss", images=(MARKED,), **changes) -> Experiment:
        return make_experiment(model=poisoned(part), train_data=marked(list(images)), **changes)

    return make


def states(out) -> list[dict[str, np.ndarray]]:
    return [load_file(path) for path in out.glob("checkpoints/*/state.safetensors")]


@pytest.mark.parametrize(
    ("part", "where"), [("loss", "in layer head, operation mul"), ("gradient", "gradient of head")]
)
def test_stop_names_the_step_and_the_layer(make, tmp_path, part, where):
    first = BAD_STEPS[0]
    good = 4 if first > 3 else 0  # the first epoch ends after four steps
    message = rf"noticed at step \d+: step {first} breaks this .*{where}.*\. The last good state is of step {good}\."
    with pytest.raises(NonFiniteError, match=message):
        fit(make(part=part), tmp_path / "run", progress=False)
    assert all(np.isfinite(array).all() for state in states(tmp_path / "run") for array in state.values())


def expected(make, left_out):
    """The run without those steps, written out."""
    experiment = make(images=())
    trainer = Trainer(experiment)
    *_, (_, state) = trainer.take(trainer.initial_state(), 0, experiment.total_steps, left_out)
    return state


@pytest.mark.parametrize("part", ["loss", "gradient"])
@pytest.mark.parametrize("every", [None, "2"])
def test_rollback_takes_all_other_steps(make, tmp_path, part, every):
    result = fit(make(part=part), tmp_path / "run", progress=False, on_nan="rollback", saving=Saving(every=every))
    for got, want in zip(*(jax.tree.leaves(p) for p in (result.params, expected(make, BAD_STEPS).params)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    rows = [json.loads(row) for row in (tmp_path / "run" / "left_out.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == BAD_STEPS
    assert "the run goes back to it, and that step is left out" in (tmp_path / "run" / "incidents.jsonl").read_text()
    steps = [json.loads(row)["step"] for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and len([step for step in steps if step == 10]) == 2  # train and eval


def test_a_run_that_rolled_back_is_continued_to_the_same_bits(make, tmp_path, monkeypatch):
    final = BAD_STEPS[-1]
    whole = fit(make(), tmp_path / "whole", progress=False, on_nan="rollback")
    take = Trainer.take

    def interrupted(self, state, first, last, left_out=(), **options):
        for step, latest in take(self, state, first, last, left_out, **options):
            yield step, latest
            if final in left_out and step == final + 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), tmp_path / "cut", progress=False, on_nan="rollback")
    monkeypatch.setattr(Trainer, "take", take)
    cut = fit(make(), tmp_path / "cut", progress=False, on_nan="rollback")
    assert same_bits(whole, cut)
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "cut" / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_skip_leaves_the_state_as_it_was(make, tmp_path, part):
    result = fit(make(part=part), tmp_path / "run", progress=False, on_nan="skip")
    for got, want in zip(*(jax.tree.leaves(p) for p in (result.params, expected(make, BAD_STEPS).params)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    rows = [json.loads(row) for row in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row.get("skipped")] == [step + 1 for step in BAD_STEPS]
    incidents = (tmp_path / "run" / "incidents.jsonl").read_text()
    assert f"1 steps up to {BAD_STEPS[0] + 1} were skipped" in incidents and "head" in incidents


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_neither_goes_on_for_ever(make, tmp_path, policy):
    experiment = make(images=range(50), epochs=20)
    with pytest.raises(NonFiniteError):
        fit(experiment, tmp_path / "run", progress=False, on_nan=policy)
    left_out = tmp_path / "run" / "left_out.jsonl"
    assert policy == "skip" or len(left_out.read_text().splitlines()) == MOST_LEFT_OUT


def test_a_policy_may_change_when_a_run_goes_on(make, tmp_path):
    with pytest.raises(NonFiniteError):
        fit(make(), tmp_path / "run", progress=False)
    assert fit(make(), tmp_path / "run", progress=False, on_nan="rollback").steps == 10


def test_mistakes(make_experiment, tmp_path):
    with pytest.raises(ValueError, match="on_nan must be one of stop, skip, rollback; got retry"):
        fit(make_experiment(), tmp_path / "run", on_nan="retry")
    with pytest.raises(ValueError, match=r"hang_seconds must be positive; got 0\.0"):
        fit(make_experiment(), tmp_path / "run", hang_seconds=0.0)
    assert not (tmp_path / "run").exists()
