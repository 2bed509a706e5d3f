"""The arithmetic of windows on settings as callers write them: narrow integers, one int for all, and mistakes."""

import re

import jaxtyping
import numpy as np
import pytest

from jaxconv.functional import window
from jaxconv.functional.window import ReceptiveField


@pytest.fixture
def untyped(monkeypatch):
    """Functions as users have them: the tests' type checker takes Python's own ints only."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_narrow_integers_do_not_wrap(untyped):
    size, taps, step, width = np.uint8(200), np.int8(3), np.int8(100), np.uint8(100)
    for narrow, wide in (
        (window.output_size(size, taps, padding=width), 398),
        (window.output_size(size, taps, padding=1, stride=step, ceil_mode=True), 3),
        (window.output_size(size, taps, padding="VALID", dilation=np.int8(64)), 72),
        (window.explicit_padding(size, taps, padding="SAME", stride=step, dilation=step), (50, 51)),
        (window.transposed_size(size, taps, padding=width, stride=step, output_padding=np.int8(99)), 19802),
        (window.output_shape((size, size), taps, padding=width), (398, 398)),
        (window.padding_pairs((size,), taps, padding="SAME", strides=step), ((0, 0),)),
        (window.receptive_field([(taps, step, width)] * 3), ReceptiveField(20203, 1_000_000, -1_010_100)),
        (ReceptiveField(3, 200, 0).span(np.uint8(200)), (40_000, 40_002)),
    ):
        assert narrow == wide
    channels = np.int32(512)
    layer, plain = ((np.uint8(224),) * 2, taps, channels, channels), ((224, 224), (3, 3), 512, 512)
    for cost in (window.conv_cost, window.unshared_cost, window.dense_cost):
        assert cost(*layer, padding=1, groups=np.int8(2)) == cost(*plain, padding=1, groups=2)
    assert window.conv_cost(*layer, padding=1).multiply_adds == 118_380_036_096


@pytest.mark.parametrize("function", [window.conv_cost, window.unshared_cost, window.dense_cost])
def test_costs_take_one_int_for_every_dimension(function):
    assert function((32, 30), 3, 4, 6, padding=0) == function((32, 30), (3, 3), 4, 6, padding=0)
    message = "window must be one int or one for each spatial dimension, of which there are 2; got (3,)."
    with pytest.raises(ValueError, match=re.escape(message)):
        function((32, 32), (3,), 4, 4, padding=0)


def test_a_space_is_a_sequence_of_sizes(untyped):
    message = "space must be a sequence of sizes, one for each spatial dimension; got 32."
    for call in (
        lambda: window.output_shape(32, 3, padding=0),
        lambda: window.padding_pairs(32, 3, padding=0),
        lambda: window.conv_cost(32, 3, 4, 4, padding=0),
        lambda: window.dense_cost(32, 3, 4, 4, padding=0),
    ):
        with pytest.raises(TypeError, match=re.escape(message)):
            call()


@pytest.mark.parametrize("fields", [(3,), (3, 1), (3, 1, 0, 1, False, 0)])
def test_a_layer_has_three_to_five_fields(fields):
    message = (
        "A layer must be (window, stride, padding), with dilation and ceil_mode behind if they are set; "
        f"layer 1 of the stack is {fields!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        window.receptive_field([(3, 1, 0), fields])


def test_a_last_partial_place_is_a_place():
    layers = [(3, 2, 0, 1, True)]
    assert window.output_size(2, 3, stride=2, padding=0, ceil_mode=True) == 1
    assert window.receptive_field(layers, size=2) == window.receptive_field(layers) == ReceptiveField(3, 2, 0)
    with pytest.raises(ValueError, match=re.escape("window=3 with dilation=1 takes 3, padding=0 makes 0 + 2 + 0.")):
        window.receptive_field([(3, 2, 0)], size=2)


def test_a_stack_is_a_sequence_of_layers(untyped):
    with pytest.raises(TypeError, match="layers must be a sequence of layers, from the input upwards; got None"):
        window.receptive_field(None)
    pair = np.array([1, 1])
    with pytest.raises(TypeError, match=re.escape(f"padding must be a whole number, known when traced; got {pair!r}.")):
        window.receptive_field([(3, 1, pair)])


def test_a_window_of_one_position_is_never_padded():
    """The shortcut of a residual block, at stride 2."""
    assert window.receptive_field([(1, 2, "SAME"), (3, 1, "SAME")]) == window.receptive_field([(1, 2, 0), (3, 1, 1)])


def test_a_size_is_checked_without_layers():
    with pytest.raises(ValueError, match=r"size must be at least 1; got -5\."):
        window.receptive_field([], -5)
