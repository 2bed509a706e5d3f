"""Timing against a clock that is told what to say."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.explain.measure import Durations, compile_timed, time_calls


def ticking(*seconds):
    """A clock that moves by these steps, again and again."""
    steps = itertools.accumulate(itertools.cycle(seconds))
    return lambda: next(steps)


def test_stages_are_told_apart():
    shape = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    made = compile_timed(lambda x: x @ x, shape, clock=ticking(0.0, 1.0, 10.0, 100.0))
    assert (made.trace_seconds, made.lower_seconds, made.compile_seconds) == (1.0, 10.0, 100.0)
    assert made.seconds == 111.0
    np.testing.assert_allclose(made.call(jnp.eye(64)), np.eye(64))


def test_memory_counts_a_donated_argument_once():
    shape, size = jax.ShapeDtypeStruct((256, 256), jnp.float32), 4 * 256**2
    assert compile_timed(lambda x: x + 1, shape).memory_bytes == 2 * size
    assert compile_timed(lambda x: x + 1, shape, donate=(0,)).memory_bytes == size


@pytest.mark.parametrize(("calls", "limit", "counted", "made"), [(10, 100.0, 10, 11), (40, 5.0, 3, 4), (5, 3.5, 3, 4)])
def test_calls_and_limit(calls, limit, counted, made):
    done = []
    found = time_calls(lambda: done.append(0), calls=calls, limit_seconds=limit, clock=ticking(1.0))
    assert len(found.seconds) == counted and len(done) == made
    assert set(found.seconds) == {1.0}


def test_median_and_quartiles():
    durations = Durations((4.0, 1.0, 2.0, 3.0, 100.0))
    assert durations.median == 3.0 and durations.quartiles == (2.0, 4.0)
