"""`window` against JAX's own shapes: its arithmetic and that of the functions must never part."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax

import jaxconv.functional as F
from jaxconv.functional import window
from jaxconv.functional.window import Cost, Layer, ReceptiveField

named = st.sampled_from(["SAME", "SAME_LOWER", "VALID"])
widths = st.one_of(named, st.integers(0, 4), st.tuples(st.integers(0, 4), st.integers(0, 4)))
dimension = st.fixed_dictionaries(
    dict(
        size=st.integers(1, 17),
        window=st.integers(1, 5),
        stride=st.integers(1, 4),
        padding=widths,
        dilation=st.integers(1, 3),
    )
)
quick = settings(max_examples=100, deadline=None, derandomize=True)


def shape_of(function, *shapes, **keywords):
    return jax.eval_shape(
        lambda *arrays: function(*arrays, **keywords), *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)
    ).shape


def attempt(function, *arguments, **keywords):
    """The result, or the message of the ValueError that it raises."""
    try:
        return function(*arguments, **keywords)
    except ValueError as error:
        return str(error)


def pair_of(padding):
    """How a message of `conv` writes one dimension's padding."""
    return (padding, padding) if isinstance(padding, int) else padding


@quick
@given(dimension)
def test_output_size_is_the_shape_of_conv(case):
    size, taps, padding = case["size"], case["window"], case["padding"]
    stated = padding if isinstance(padding, str | int) else (padding,)
    expected = attempt(window.output_size, **case)
    if isinstance(expected, str):
        expected = expected.replace(f"padding={padding!r}", f"padding={pair_of(padding)!r}")
    shape = attempt(
        shape_of,
        F.conv,
        (1, size, 1),
        (taps, 1, 1),
        padding=stated,
        strides=case["stride"],
        dilation=case["dilation"],
    )
    assert shape == (expected if isinstance(expected, str) else (1, expected, 1))


@quick
@given(dimension)
def test_output_size_is_the_shape_that_lax_infers(case):
    size, taps, stride, padding, dilation = (case[name] for name in ("size", "window", "stride", "padding", "dilation"))
    expected = attempt(window.output_size, size, taps, stride=stride, padding=padding, dilation=dilation)
    padding = pair_of(padding)
    arrays = jax.ShapeDtypeStruct((1, 1, size), jnp.float32), jax.ShapeDtypeStruct((1, 1, taps), jnp.float32)
    pads = padding if isinstance(padding, str) else [padding]
    shape = jax.eval_shape(
        lambda x, k: lax.conv_general_dilated(x, k, (stride,), pads, rhs_dilation=(dilation,)), *arrays
    ).shape
    # Where the window does not fit, lax gives an empty array and `window` an error.
    assert shape[-1] == (0 if isinstance(expected, str) else expected)


@quick
@given(dimension, st.integers(0, 3))
def test_transposed_size_is_the_shape_of_conv_transpose(case, extra):
    size, taps, padding = case["size"], case["window"], case["padding"]
    stated = padding if isinstance(padding, str | int) else (padding,)
    expected = attempt(window.transposed_size, **case, output_padding=extra)
    shape = attempt(
        shape_of,
        F.conv_transpose,
        (1, size, 1),
        (taps, 1, 1),
        padding=stated,
        strides=case["stride"],
        dilation=case["dilation"],
        output_padding=extra,
    )
    assert shape == (expected if isinstance(expected, str) else (1, expected, 1))


@quick
@given(dimension, st.integers(0, 3))
def test_a_conv_leads_back_from_a_transposed_size(case, extra):
    size, stride = case["size"], case["stride"]
    assume(extra < stride and (extra == 0 or not isinstance(case["padding"], str)))
    out = attempt(window.transposed_size, **case, output_padding=extra)
    assume(not isinstance(out, str))
    assert window.output_size(**{**case, "size": out}) == size


@quick
@given(st.lists(dimension, min_size=1, max_size=3), st.booleans(), st.sampled_from([F.max_pool, F.avg_pool]))
def test_output_shape_is_the_shape_of_a_pool(cases, ceil_mode, function):
    space, taps = [c["size"] for c in cases], [c["window"] for c in cases]
    strides = [c["stride"] for c in cases]
    padding = cases[0]["padding"]
    if not isinstance(padding, str):
        pads = [c["padding"] for c in cases]
        padding = [(0, 0) if isinstance(p, str) else pair_of(p) for p in pads]
        assume(all(max(pair) < size for pair, size in zip(padding, taps)))
    keywords = dict(strides=strides, padding=padding, ceil_mode=ceil_mode)
    expected = attempt(window.output_shape, space, taps, **keywords)
    shape = attempt(shape_of, function, (2, *space, 3), window=taps, **keywords)
    assert shape == (expected if isinstance(expected, str) else (2, *expected, 3))


@quick
@given(dimension)
def test_named_paddings_are_those_of_jax(case):
    size, taps, stride, padding, dilation = (case[name] for name in ("size", "window", "stride", "padding", "dilation"))
    assume(isinstance(padding, str) and (padding != "VALID" or window.extent(taps, dilation) <= size))
    pair = window.explicit_padding(size, taps, stride=stride, padding=padding, dilation=dilation)
    assert pair == tuple(lax.padtype_to_pads((size,), (window.extent(taps, dilation),), (stride,), padding)[0])
    covered = window.extent(taps, dilation)
    places = math.ceil(size / stride) if padding != "VALID" else math.ceil((size - covered + 1) / stride)
    assert window.output_size(size, taps, stride=stride, padding=padding, dilation=dilation) == places


@pytest.mark.parametrize(
    "size, taps, stride, padding, expected",
    [(227, 11, 4, 0, 55), (224, 7, 2, 3, 112), (32, 5, 1, 2, 32), (7, 3, 2, 0, 3), (28, 5, 1, "VALID", 24)],
)
def test_the_formula_of_the_lecture_notes(size, taps, stride, padding, expected):
    assert window.output_size(size, taps, stride=stride, padding=padding) == expected


def test_ceil_mode_drops_a_place_that_starts_in_the_right_padding():
    assert window.output_size(4, 2, stride=3, padding=1) == 2
    assert window.output_size(4, 2, stride=3, padding=1, ceil_mode=True) == 2  # the third would start at 5
    assert window.output_size(112, 3, stride=2, padding=0, ceil_mode=True) == 56
    assert window.explicit_padding(112, 3, stride=2, padding=0, ceil_mode=True) == (0, 1)


def test_receptive_fields_of_known_networks():
    # Araujo, Norris and Sim 2019, table 1: 195 for AlexNet's conv stack, 212 for VGG-16.
    alexnet = [(11, 4, 2), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 0)]
    assert window.receptive_field(alexnet) == ReceptiveField(size=195, stride=32, start=-66)
    vgg = [layer for convs in (2, 2, 3, 3, 3) for layer in [(3, 1, 1)] * convs + [(2, 2, 0)]]
    assert window.receptive_field(vgg) == ReceptiveField(size=212, stride=32, start=-90)


stacks = st.lists(
    st.builds(
        Layer,
        window=st.integers(1, 4),
        stride=st.integers(1, 3),
        padding=st.one_of(named, st.integers(0, 2)),
        dilation=st.integers(1, 2),
        ceil_mode=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(stacks, st.integers(12, 24), st.data())
def test_receptive_field_is_what_a_unit_depends_on(layers, size, data):
    field = attempt(window.receptive_field, layers, size)
    assume(isinstance(field, ReceptiveField))
    depends = np.eye(size, dtype=bool)  # (units of the layer, input positions)
    for taps, stride, padding, dilation, ceil_mode in layers:
        low = padding
        if isinstance(padding, str):
            low, _ = lax.padtype_to_pads((len(depends),), (dilation * (taps - 1) + 1,), (stride,), padding)[0]
        units = window.output_size(
            len(depends), taps, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )
        below = [[u * stride - low + t * dilation for t in range(taps)] for u in range(units)]
        depends = np.stack([depends[[p for p in under if 0 <= p < len(depends)]].any(0) for under in below])
    unit = data.draw(st.integers(0, len(depends) - 1))
    first, last = field.span(unit)
    reached = np.nonzero(depends[unit])[0]
    assert all(first <= position <= last for position in reached)
    # Where no padding cuts it off, the field is the hull of what is reached: gaps may only be inside.
    if all(layer.padding in ("VALID", 0) and not layer.ceil_mode for layer in layers):
        assert (reached.min(), reached.max()) == (first, last)


def test_fields_compose():
    first, second = window.receptive_field([(7, 2, 3), (3, 2, 1)]), window.receptive_field([(3, 1, 1), (5, 2, 2)])
    assert first.then(second) == window.receptive_field([(7, 2, 3), (3, 2, 1), (3, 1, 1), (5, 2, 2)])
    assert first.then(ReceptiveField()) == first == ReceptiveField().then(first)
    assert ReceptiveField(7, 2, -3).center == 0
    assert ReceptiveField(4, 2, -1).center == 0.5


def test_parallel_branches_see_both():
    narrow, wide = ReceptiveField(1, 2, 0), ReceptiveField(5, 2, -2)
    assert narrow.beside(wide) == wide == wide.beside(narrow)
    assert ReceptiveField(3, 1, -4).beside(ReceptiveField(2, 1, 1)) == ReceptiveField(7, 1, -4)
    with pytest.raises(ValueError, match=r"Parallel branches must have one stride; got 2 and 1\."):
        narrow.beside(ReceptiveField())


def test_same_padding_at_a_stride_needs_the_size():
    message = "'SAME' padding at stride 2 depends on the input's size; give size (layer 1 of the stack)."
    with pytest.raises(ValueError, match=re.escape(message)):
        window.receptive_field([(3, 1, "SAME"), (3, 2, "SAME")])
    assert window.receptive_field([(3, 1, "SAME"), (3, 2, "SAME")], 8) == ReceptiveField(5, 2, -1)
    assert window.receptive_field([(3, 1, "SAME"), (3, 2, "SAME")], 9) == ReceptiveField(5, 2, -2)


def test_cost_of_a_layer_and_of_what_it_replaces():
    # The first layer of LeNet-5 (LeCun et al. 1998, II.B): 156 parameters, 122,304 connections with those of the bias.
    layer = ((32, 32), (5, 5), 1, 6)
    shared = window.conv_cost(*layer, padding="VALID")
    assert shared == Cost(weights=150, biases=6, multiply_adds=117_600)
    assert shared.parameters == 156
    assert shared.multiply_adds + 28 * 28 * 6 == 122_304
    assert window.unshared_cost(*layer, padding="VALID") == Cost(150 * 784, 6 * 784, 117_600)
    assert window.dense_cost(*layer, padding="VALID") == Cost(1024 * 4704, 4704, 1024 * 4704)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(dimension, min_size=1, max_size=2), st.sampled_from([1, 2, 3]))
def test_costs_are_the_sizes_of_arrays(cases, groups):
    space, taps = [c["size"] for c in cases], [c["window"] for c in cases]
    keywords = dict(
        padding="SAME",
        strides=[c["stride"] for c in cases],
        dilation=[c["dilation"] for c in cases],
        groups=groups,
    )
    inputs, features = 2 * groups, 4 * groups
    kernel = (*taps, 2, features)
    _, *out, _ = shape_of(F.conv, (1, *space, inputs), kernel, **keywords)
    cost = window.conv_cost(space, taps, inputs, features, **keywords)
    weights = math.prod(kernel)
    assert cost == Cost(weights, features, math.prod(out) * weights)
    unshared = window.unshared_cost(space, taps, inputs, features, **keywords)
    assert (unshared.weights, unshared.multiply_adds) == (cost.multiply_adds, cost.multiply_adds)
    dense = window.dense_cost(space, taps, inputs, features, **keywords)
    assert dense.weights == math.prod(space) * inputs * math.prod(out) * features


@pytest.mark.parametrize("function", [window.conv_cost, window.unshared_cost, window.dense_cost])
def test_costs_refuse_what_conv_refuses(function):
    message = "groups must divide the channels that go in and those that come out; got groups=2, in_channels=3"
    with pytest.raises(ValueError, match=message):
        function((8, 8), (3, 3), 3, 4, padding="SAME", groups=2)
    with pytest.raises(ValueError, match="An output would be empty"):
        function((2, 8), (3, 3), 3, 4, padding="VALID")
