"""Traces name every call, in order, and leave the classes as they were."""

import jax.numpy as jnp
import pytest

from jaxconv import nn
from jaxconv.nn.trace import call_of, trace


def network():
    return nn.Sequential(nn.ConvNorm(2, 4, 3, strides=2, padding="SAME"), nn.Dense(4, 3))


def test_calls_in_order():
    calls = trace(network(), (1, 6, 6, 2)).calls
    assert [call.path for call in calls] == ["", "0", "0.conv", "0.bn", "1"]
    assert [call.kind for call in calls] == ["Sequential", "ConvNorm", "Conv", "BatchNorm", "Dense"]
    assert [call.parameters for call in calls] == [0, 0, 72, 8, 15]
    assert [call.leaf for call in calls] == [False, False, True, True, True]
    assert calls[2].input_shape == (1, 6, 6, 2) and calls[2].output_shape == (1, 3, 3, 4)


def test_results_are_the_outputs_of_the_calls():
    traced = trace(network(), (1, 6, 6, 2))
    shapes = [out.aval.shape for out in traced.jaxpr.jaxpr.outvars]
    assert shapes == [*(call.output_shape for call in traced.calls), (1, 3, 3, 3)]


def test_equations_know_their_call():
    traced = trace(network(), (1, 6, 6, 2))
    owners = {eqn.primitive.name: call_of(eqn) for eqn in traced.jaxpr.jaxpr.eqns}
    assert (owners["conv"], owners["rsqrt"], owners["dot_general"]) == (2, 3, 4)


def test_another_method():
    class Two(nn.Sequential):
        def first(self, x):
            return self[0](x)

    calls = trace(Two(nn.Dense(2, 3), nn.Dense(3, 4)), (5, 2), method="first").calls
    assert [call.path for call in calls] == ["0"]


def test_classes_are_restored_even_after_an_error():
    calls = nn.Dense.__call__, nn.Conv.__call__
    with pytest.raises(ValueError, match="reads 4 features"):
        trace(nn.Sequential(nn.Conv(1, 3, 1, padding=0), nn.Dense(4, 2)), (1, 2, 2, 1))
    assert (nn.Dense.__call__, nn.Conv.__call__) == calls
    assert nn.initialize(nn.Dense(4, 2))(jnp.ones((1, 4))).shape == (1, 2)


def test_modules_outside_and_inherited_calls_are_no_calls_of_their_own():
    outsider = nn.initialize(nn.Dense(2, 2))

    class Curious(nn.Dense):
        def __call__(self, x, train=False, key=None):
            return super().__call__(x) + outsider(jnp.ones((1, 2)))

    calls = trace(nn.Sequential(Curious(2, 2), nn.Dense(2, 2)), (1, 2)).calls
    assert [call.kind for call in calls] == ["Sequential", "Curious", "Dense"]


def test_a_module_called_twice_is_two_calls():
    class Twice(nn.Sequential):
        def __call__(self, x, train=False, key=None):
            return self[0](self[0](x))

    assert [call.path for call in trace(Twice(nn.Dense(2, 2)), (1, 2)).calls] == ["", "0", "0"]
