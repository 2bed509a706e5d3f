"""Rows of the tables do what their papers say: compared with the updates worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.train import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedule

PARAMS = {"conv": {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([3.0])}, "norm": {"scale": jnp.array([0.5])}}
ZERO = jax.tree.map(jnp.zeros_like, PARAMS)
ONE = jax.tree.map(jnp.ones_like, PARAMS)


def first_update(name: str, gradients, decay: float = 0.0):
    optimizer = make_optimizer(name, 0.1, weight_decay=decay)
    return optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_downhill(name):
    rate = OPTIMIZERS[name].learning_rate
    optimizer = make_optimizer(name, rate)
    params, state = PARAMS, optimizer.init(PARAMS)

    def loss(p):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))

    start = float(loss(params))
    for _ in range(20):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
    assert float(loss(params)) < start


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_touches_kernels_alone(name):
    plain, decayed = first_update(name, ONE), first_update(name, ONE, decay=10.0)
    np.testing.assert_array_equal(plain["conv"]["bias"], decayed["conv"]["bias"])
    np.testing.assert_array_equal(plain["norm"]["scale"], decayed["norm"]["scale"])
    assert not np.allclose(plain["conv"]["kernel"], decayed["conv"]["kernel"])


def test_the_amount_of_decay():
    np.testing.assert_allclose(first_update("sgd", ZERO, 0.5)["conv"]["kernel"], [-0.05, 0.1], rtol=1e-6)
    np.testing.assert_allclose(first_update("adamw", ZERO, 0.5)["conv"]["kernel"], [-0.05, 0.1], rtol=1e-6)


def test_momentum_accumulates():
    optimizer = make_optimizer("momentum", 0.1)
    state = optimizer.init(PARAMS)
    _, state = optimizer.update(ONE, state, PARAMS)
    updates, _ = optimizer.update(ONE, state, PARAMS)
    np.testing.assert_allclose(updates["conv"]["bias"], [-0.19], rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 100])
def test_schedules_stay_between_zero_and_the_peak(name, total):
    schedule = make_schedule(name, total, 0.3)
    rates = [float(schedule(step)) for step in range(total + 1)]
    assert all(0 <= rate <= 0.3 + 1e-7 for rate in rates)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_of_one_step_learns_at_the_peak(name):
    assert float(make_schedule(name, 1, 0.3)(0)) == pytest.approx(0.3)


def test_short_runs_have_each_third_as_far_as_they_go():
    for total, rates in ((2, [1, 0.1]), (3, [1, 0.1, 0.01]), (4, [1, 0.1, 0.01, 0.01])):
        schedule = make_schedule("steps", total, 1.0)
        assert [float(schedule(step)) for step in range(total)] == pytest.approx(rates)


def test_the_course_of_each_schedule():
    assert [float(make_schedule("constant", 100, 0.3)(s)) for s in (0, 99)] == pytest.approx([0.3, 0.3])
    for name in ("cosine", "linear"):
        start, peak, end = (float(make_schedule(name, 100, 0.3)(s)) for s in (0, 5, 100))
        assert (start, peak, end) == pytest.approx((0, 0.3, 0), abs=1e-6)
    assert float(make_schedule("linear", 105, 0.3)(55)) == pytest.approx(0.15, rel=1e-2)
    assert [float(make_schedule("steps", 90, 0.3)(s)) for s in (0, 31, 61)] == pytest.approx([0.3, 0.03, 0.003])


def test_mistakes_name_the_choices():
    with pytest.raises(ValueError, match=r"optimizer must be one of sgd, momentum, .*; got 'adan'"):
        make_optimizer("adan", 0.1)
    with pytest.raises(ValueError, match=r"schedule must be one of constant, .*; got 'step'"):
        make_schedule("step", 10, 0.1)
    with pytest.raises(ValueError, match="weight_decay must be zero or positive; got -1"):
        make_optimizer("sgd", 0.1, weight_decay=-1.0)
