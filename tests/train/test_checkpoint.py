"""Checkpoints come back with the same bits, on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train.conftest import tiny_params, tiny_stats

from jaxconv.train import initial_state
from jaxconv.train.checkpoint import Checkpoints, named
from jaxconv.train.parallel import data_mesh, replicate


def make_state(step: int = 0, *, devices: int = 1, ema: bool = False):
    state = initial_state(tiny_params(), tiny_stats(), optax.adam(1e-3), ema=ema)
    moved = jax.tree.map(lambda leaf: leaf + step if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)
    return replicate(type(moved)(**{**vars(moved), "step": jnp.int32(step)}), data_mesh(devices))


def equal(a, b) -> bool:
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(*map(jax.tree.leaves, (a, b))))


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (8, 4), (8, 1), (1, 8)])
def test_round_trip(tmp_path, saved_on, restored_on):
    state = make_state(5, devices=saved_on, ema=True)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 5
        back = replicate(checkpoints.restore(make_state(0, ema=True)), data_mesh(restored_on))
    assert equal(state, back)
    assert len(back.params["conv"]["kernel"].sharding.device_set) == restored_on


def test_a_saved_state_may_be_donated_at_once(tmp_path):
    state = make_state(1)
    want = jax.tree.map(np.array, state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0, s), donate_argnums=0)(state)
    with Checkpoints(tmp_path) as checkpoints:
        assert equal(want, checkpoints.restore(make_state()))


def test_the_newest_stay(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(make_state(step))
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == [2, 3]
    with Checkpoints(tmp_path) as checkpoints:
        assert equal(checkpoints.restore(make_state(), step=2), make_state(2))


def test_the_network_alone_comes_from_the_moving_average_where_there_is_one(tmp_path):
    for ema in (False, True):
        state = make_state(3, ema=ema)
        if ema:
            state = type(state)(**{**vars(state), "ema": jax.tree.map(lambda leaf: leaf * 2, state.params)})
        with Checkpoints(tmp_path / str(ema)) as checkpoints:
            checkpoints.save(state)
        with Checkpoints(tmp_path / str(ema)) as checkpoints:
            step, params, batch_stats = checkpoints.restore_network(tiny_params(), tiny_stats())
        assert step == 3
        assert equal(params, state.ema if ema else state.params) and equal(batch_stats, state.batch_stats)


def test_nothing_to_restore(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() is None
        with pytest.raises(FileNotFoundError, match="no checkpoint under"):
            checkpoints.restore(make_state())


def test_names_follow_the_tree():
    names = list(named(make_state()))
    assert "params.conv.kernel" in names and "batch_stats.mean" in names and "step" in names
    assert "opt_state.0.mu.head.bias" in names
    assert len(set(names)) == len(jax.tree.leaves(make_state()))


def test_a_state_of_another_network_is_refused_by_its_arrays(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1))
        checkpoints.wait()
        with pytest.raises(
            ValueError, match=r"are of another network.*ema.conv.kernel: absent there, float32\[3, 3, 1, 4\]"
        ):
            checkpoints.restore(make_state(0, ema=True))


def test_what_is_no_checkpoint_is_not_taken_for_one(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1))
    (tmp_path / "99").write_text("")
    (tmp_path / "notes").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1] and equal(checkpoints.restore(make_state()), make_state(1))
