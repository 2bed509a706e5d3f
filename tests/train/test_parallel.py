"""One device, eight devices and `jax.pmap` compute the same run."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from train.conftest import stripes, tiny_apply, tiny_params, tiny_stats

from jaxconv.functional import cross_entropy
from jaxconv.train import Trainer
from jaxconv.train.parallel import compile_step, data_mesh, replicate, require_divisible, shard_batch


def largest_difference(a, b) -> float:
    return max(float(np.abs(np.asarray(x) - np.asarray(y)).max()) for x, y in zip(*map(jax.tree.leaves, (a, b))))


def after_20_steps(experiment):
    trainer = Trainer(experiment)
    *_, (_, state) = trainer.take(trainer.initial_state(), 0, 20)
    return state, trainer.evaluate(state)


def test_eight_devices_equal_one_with_batch_norm(make_experiment):
    many, metrics_many = after_20_steps(make_experiment(devices=8))
    one, metrics_one = after_20_steps(make_experiment(devices=1))
    assert len(jax.tree.leaves(many.params)[0].sharding.device_set) == 8
    assert largest_difference(many.params, one.params) < 1e-5
    assert largest_difference(many.batch_stats, one.batch_stats) < 1e-5
    assert largest_difference(one.params, tiny_params()) > 1e-2, "nothing was learned: the comparison says nothing"
    assert metrics_many["correct"] == metrics_one["correct"] and metrics_many["images"] == 21


def test_pmap_and_the_mesh_and_one_device_take_the_same_step():
    """What `pmap` did: gradients of each device's rows, averaged. Norm-free, as pmap's batch norm is per device."""
    data = stripes(32)
    x, y = jnp.asarray(data.images, jnp.float32) / 255, jnp.asarray(data.labels)
    optimizer = optax.sgd(0.1)

    def step(params, x, y, axis=None):
        def loss(params):
            logits, _ = tiny_apply(params, tiny_stats(), x, train=False)
            return cross_entropy(logits, y)

        gradients = jax.grad(loss)(params)
        if axis is not None:
            gradients = lax.pmean(gradients, axis)
        return optax.apply_updates(params, optimizer.update(gradients, optimizer.init(params))[0])

    params = tiny_params()
    one = jax.jit(step)(params, x, y)
    rows = x.reshape(8, 4, *x.shape[1:]), y.reshape(8, 4)
    mapped = jax.pmap(partial(step, axis="i"), axis_name="i", in_axes=(None, 0, 0))(params, *rows)
    mesh = data_mesh(8)
    meshed = compile_step(step, mesh, batch_arguments=2)(
        replicate(params, mesh), *shard_batch((x, y), mesh, size=len(x))
    )
    assert largest_difference(one, jax.tree.map(lambda leaf: leaf[0], mapped)) < 1e-6
    assert largest_difference(one, meshed) < 1e-6
    assert largest_difference(one, params) > 1e-3


def test_the_batch_is_split_and_the_state_is_not():
    mesh = data_mesh(4)
    rows = shard_batch(np.arange(8), mesh, size=8)
    assert [s.data.tolist() for s in rows.addressable_shards] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    whole = replicate(np.arange(8), mesh)
    assert all(s.data.shape == (8,) for s in whole.addressable_shards)


@pytest.mark.parametrize("devices", [1, 8])
def test_a_replicated_copy_may_be_donated(devices):
    source = jnp.arange(4.0)
    copy = replicate(source, data_mesh(devices))
    jax.jit(lambda v: v + 1, donate_argnums=0)(copy)
    assert source.tolist() == [0, 1, 2, 3]


def test_mistakes_name_the_values():
    with pytest.raises(ValueError, match="devices must lie between 1 and the number of devices here; got 9 of 8"):
        data_mesh(9)
    with pytest.raises(ValueError, match="devices must lie between 1"):
        data_mesh(0)
    with pytest.raises(ValueError, match="multiple of the number of devices; got batch_size 6 on 4 devices"):
        require_divisible(6, data_mesh(4))
