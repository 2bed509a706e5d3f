"""Calls of several steps: bounded where they keep the host busy, the bits of single steps, nothing read in vain."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from train.conftest import tiny_apply, tiny_params, tiny_stats

import jaxconv
from jaxconv.data import batch_indices
from jaxconv.train import Saving, Trainer, fit, pieces
from jaxconv.train.pieces import Pieces


def plain_conv(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def plain_apply(params, batch_stats, x, *, train, key=None):
    """A network on XLA's own convolution."""
    x = jax.nn.relu(plain_conv(x, params["conv"]["kernel"])).mean((1, 2))
    return x @ params["head"]["kernel"] + params["head"]["bias"][None], batch_stats


def of_25_steps(make_experiment, apply=tiny_apply):
    return make_experiment(epochs=8, model=lambda: (apply, tiny_params(), tiny_stats()))


@pytest.fixture(params=["resident", "streamed"])
def experiment(request, make_experiment):
    made = of_25_steps(make_experiment)
    return made if request.param == "resident" else replace(made, train_data=streamed(made.train_data))


def streamed(data, unreadable=None):
    """The data as they are read batch by batch, but for the batch of one step."""

    class Streamed(type(data)):
        in_memory = False

        def gather(self, indices):
            if unreadable is not None and np.array_equal(
                indices, batch_indices(0, unreadable, length=50, batch_size=16)
            ):
                raise OSError("the disk is gone")
            return super().gather(indices)

    return Streamed(**vars(data))


def taken(trainer, first, last, state=None, **options):
    """The steps after which calls ended, and the state behind them."""
    steps = []
    for step, latest in trainer.take(trainer.initial_state() if state is None else state, first, last, **options):
        state = latest
        steps.append(step)
    return steps, state


def bits(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def test_wherever_a_run_is_cut_the_bits_are_the_same(experiment):
    whole, last = taken(Trainer(experiment), 0, 25)
    longest = 23 if experiment.train_data.in_memory else pieces.MOST_STREAMED
    assert whole[:2] == [1, 2] and whole[2] == 2 + longest and whole[-1] == 25
    trainer = Trainer(experiment)
    steps, state = taken(trainer, 0, 9)
    more, state = taken(trainer, 9, 12, state, singly=True)
    rest, state = taken(trainer, 12, 25, state)
    assert more == [10, 11, 12] and steps[-1] == 9 and rest[-1] == 25
    assert bits(state) == bits(last)


@pytest.mark.parametrize(("where", "several"), [(None, True), ("apply", False), ("inside", False), ("augment", False)])
def test_a_convolution_of_xla_keeps_steps_out_of_loops(make_experiment, where, several):
    def inside(params, batch_stats, x, *, train, key=None):
        return jax.lax.cond(x[0, 0, 0, 0] > 0, plain, own, params, batch_stats, x)

    plain, own = (partial(apply, train=False) for apply in (plain_apply, tiny_apply))
    made = of_25_steps(make_experiment, {"apply": plain_apply, "inside": inside}.get(where, tiny_apply))
    if where == "augment":
        made = replace(made, augment=lambda key, x: plain_conv(x, np.full((3, 3, 1, 1), 1 / 9, np.float32)))
    steps, _ = taken(Trainer(made), 0, 25)
    assert steps == ([1, 2, 25] if several else list(range(1, 26)))


@pytest.mark.parametrize("name", ["test_resnet", "test_byobnet", "test_nfnet", "lenet5", "test_convnext"])
def test_networks_of_the_zoo_have_no_convolution_of_xla(name):
    network = jaxconv.create_model(name)
    apply, params, stats = jaxconv.functionalize(network)
    x = np.zeros((2, *network.info.input_size, network.info.in_chans), "f")
    program = jax.make_jaxpr(partial(apply, train=True, key=jax.random.key(0)))(params, stats, x)
    assert not pieces.has_plain_convolution(program.jaxpr)


def test_one_program_takes_any_number_of_steps(experiment):
    traced = []

    def augment(key, x):
        traced.append(x.shape)
        return x

    trainer = Trainer(replace(experiment, augment=augment))
    (*_, _), state = taken(trainer, 0, 1)
    before = len(traced)
    (*_, step), _ = taken(trainer, 1, 25, state)
    assert step == 25 and len(traced) == before > 0


def test_steps_before_a_batch_that_cannot_be_read_are_taken(make_experiment):
    made = of_25_steps(make_experiment)
    trainer = Trainer(replace(made, train_data=streamed(made.train_data, unreadable=8)))
    steps, state = [], trainer.initial_state()
    with pytest.raises(OSError, match="the disk is gone"):
        for step, latest in trainer.take(state, 0, 25):
            state = latest
            steps.append(step)
    assert steps == [1, 2, 6, 8]
    assert bits(state) == bits(taken(Trainer(made), 0, 8)[1])


def test_calls_on_a_cpu_are_bounded_in_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pieces.time, "monotonic", lambda: now[0])

    def program(state, steps, seconds):
        now[0] += steps * seconds
        return state

    made, lengths = Pieces(resident=True), []
    for seconds in (50, 0.5, 0.5, 0.01, 0.01, 9, 9, 1.4, 1.4, 1.4):
        lengths.append(made.length(100))
        made.call(program, None, lengths[-1], seconds)
    assert lengths == [1, 1, 8, 8, 32, 32, 1, 1, 2, 2]
    assert made.length(1) == 1


def test_calls_end_before_what_is_due_between_them():
    assert pieces.seconds_between(saves=None, beats=None) == pieces.SECONDS
    assert pieces.seconds_between(saves=None, beats=1800.0) == pieces.SECONDS
    assert pieces.seconds_between(saves=0.5, beats=8.0) == 0.5
    assert pieces.seconds_between(saves=60.0, beats=8.0) == 2


def test_a_run_keeps_its_calls_within_that(make_experiment, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("jaxconv.train.trainer.Pieces", lambda **settings: seen.append(settings) or Pieces(**settings))
    fit(make_experiment(), tmp_path / "run", progress=False, saving=Saving(every="3s"), hang_seconds=10.0)
    assert [settings["seconds"] for settings in seen] == [2.5]


@pytest.mark.parametrize(("resident", "lengths"), [(True, [100, 3]), (False, [1, 1])])
def test_an_accelerator_takes_whole_stretches_of_what_lies_there(monkeypatch, resident, lengths):
    monkeypatch.setattr(pieces, "keeps_host_busy", lambda: False)
    made = Pieces(resident=resident)
    assert [made.length(100), made.length(3)] == lengths
    assert made.call(lambda state, count: (state, count), 7, 3) == (7, None)
