"""Receptive fields by following the data: a jaxpr is walked once, and each primitive says what its result sees.

Branches, residuals and gates need no rule of their own: what depends on several values sees the union. A primitive that
is not in the table is taken to be elementwise where the shapes allow it; otherwise, and where its rule does not apply,
each of its results is taken to see all that its operands saw.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal  # pyright: ignore[reportPrivateImportUsage] (documented)

from jaxconv.nn.field import Factor, Field, joined, still

MaybeField = Field | None  # None: does not depend on the image


def image_field(shape: Sequence[int]) -> Field:
    """The field of the image itself, of shape (n, *space, c)."""
    space = shape[1:-1]
    axes = tuple((Factor(length, axis, Fraction(1)),) for axis, length in enumerate(space))
    spans = ((Fraction(0), Fraction(0)),) * len(space)
    return Field(spans, (still(shape[0]), *axes, still(shape[-1])))


def receptive_fields(closed: ClosedJaxpr, image: int) -> list[Field | None]:
    """The field of every result of a jaxpr, by its argument number `image`; None where it does not see the image."""
    arguments: list[MaybeField] = [None] * len(closed.jaxpr.invars)
    arguments[image] = image_field(closed.jaxpr.invars[image].aval.shape)  # pyright: ignore[reportAttributeAccessIssue]  (an array)
    return _walk(closed.jaxpr, arguments)


def _walk(jaxpr: Jaxpr, arguments: Sequence[MaybeField]) -> list[MaybeField]:
    known: dict[Any, MaybeField] = dict(zip(jaxpr.invars, arguments))

    def of(atom) -> MaybeField:
        field = None if isinstance(atom, Literal) else known.get(atom)
        shape = () if field is None else atom.aval.shape  # pyright: ignore[reportAttributeAccessIssue]  (an array)
        return None if 0 in shape else field  # no elements see nothing

    for eqn in jaxpr.eqns:
        fields = [of(atom) for atom in eqn.invars]
        if any(field is not None for field in fields):
            known.update(zip(eqn.outvars, _apply(eqn, fields)))
    return [of(atom) for atom in jaxpr.outvars]


def _apply(eqn, fields: list[MaybeField]) -> list[MaybeField]:
    inner = inner_jaxpr(eqn)
    if inner is not None:
        return _walk(inner, fields)
    if eqn.primitive.name == "cond":
        return _branches(eqn, fields)
    rule = RULES.get(eqn.primitive.name)
    result = _elementwise(eqn, fields) if rule is None else rule(eqn, fields)
    if result is not None:
        return [result] * len(eqn.outvars)
    everything = [field.everywhere(()) for field in fields if field is not None]
    return [joined(everything).everywhere(out.aval.shape) for out in eqn.outvars]


def inner_jaxpr(eqn) -> Jaxpr | None:
    """The jaxpr that an equation calls with its own operands, as `jit`, `custom_jvp` and `checkpoint` do."""
    for value in eqn.params.values():
        inner = value.jaxpr if isinstance(value, ClosedJaxpr) else value
        if isinstance(inner, Jaxpr) and len(inner.invars) == len(eqn.invars) and eqn.primitive.name not in _LOOPS:
            return inner
    return None


_LOOPS = ("scan", "while")


def _branches(eqn, fields: list[MaybeField]) -> list[MaybeField]:
    """What is seen by the results of any branch of `lax.cond` or `lax.switch`, and by the choice among them."""
    choice, *operands = fields
    shapes = [out.aval.shape for out in eqn.outvars]
    chosen = [choice and choice.everywhere(shape) for shape in shapes]
    every = [chosen, *(_walk(branch.jaxpr, operands) for branch in eqn.params["branches"])]
    seeing = ([field for field in of_result if field is not None] for of_result in zip(*every))
    return [joined(of_result) if of_result else None for of_result in seeing]


def _elementwise(eqn, fields: list[MaybeField]) -> MaybeField:
    """The union of the operands, of which any axis of length 1 may be repeated; None where shapes do not fit."""
    shape = eqn.outvars[0].aval.shape
    seeing = [(field, atom.aval.shape) for field, atom in zip(fields, eqn.invars) if field is not None]
    if eqn.primitive.name in _REORDERING or not all(_fits(operand, shape) for _, operand in seeing):
        return None
    return joined([_repeated(field, operand, shape) for field, operand in seeing])


def _fits(operand: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    alike = len(operand) == len(shape) and all(a in (1, b) for a, b in zip(operand, shape))
    return alike or operand == ()


def _repeated(field: Field, operand: tuple[int, ...], shape: tuple[int, ...]) -> Field:
    if operand == ():
        return field.everywhere(shape)
    for axis, (before, after) in enumerate(zip(operand, shape)):
        if before != after:
            field = field.with_axis(axis, still(after))
    return field


# Primitives that may keep a shape and yet move or mix elements.
_REORDERING = frozenset(
    {
        *("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "rev", "sort", "top_k", "fft"),
        *("gather", "scatter", "scatter-add", "dynamic_slice", "dynamic_update_slice", "scan", "while"),
    }
)


def _conv(eqn, fields: list[MaybeField]) -> MaybeField:
    """`conv` of `functional.lowering`: (n, *space, c) and (*window, c / groups, k)."""
    x, kernel = fields
    if x is None:
        return None
    p, shape, out = eqn.params, eqn.invars[1].aval.shape, eqn.outvars[0].aval.shape
    window, lows = shape[:-2], [low for low, _ in p["padding"]]
    y = _slide(x, out, window, p["strides"], lows, p["dilation"], (1,) * len(window))
    if kernel is None:
        return y
    # A kernel that the image itself chose: every output sees what the kernel saw.
    seen = kernel.contracted(range(len(shape))).spans
    spans = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(y.spans, seen))
    return Field(spans, y.axes)


def _conv_input_grad(eqn, fields: list[MaybeField]) -> MaybeField:
    """Transposed convolution: a convolution of the input spread by the strides, under complementary padding."""
    dy, kernel = fields
    if dy is None or kernel is not None:
        return None
    p, window, out = eqn.params, eqn.invars[1].aval.shape[:-2], eqn.outvars[0].aval.shape
    lows = [d * (w - 1) - low for (low, _), w, d in zip(p["padding"], window, p["dilation"])]
    return _slide(dy, out, window, (1,) * len(window), lows, p["dilation"], p["strides"])


def _pool(eqn, fields: list[MaybeField]) -> MaybeField:
    (x,), p = fields, eqn.params
    ones = (1,) * len(p["window"])
    lows = [low for low, _ in p["padding"]]
    return x and _slide(x, eqn.outvars[0].aval.shape, p["window"], p["strides"], lows, ones, ones, mixes=False)


def _slide(x: Field, out, window, strides, lows, dilation, base, *, mixes: bool = True) -> Field:
    """A window over every spatial axis of x; with `mixes`, outputs also read all channels."""
    for i in range(len(window)):
        setting = {"window": window[i], "stride": strides[i], "low": lows[i], "dilation": dilation[i], "base": base[i]}
        x = x.windowed(1 + i, out[1 + i], **setting)
    channels = len(out) - 1
    return x.contracted([channels]).with_axis(channels, still(out[-1])) if mixes else x


def _xla_conv(eqn, fields: list[MaybeField]) -> MaybeField:
    x, kernel = fields
    if x is None or kernel is not None:
        return None
    p, out = eqn.params, eqn.outvars[0].aval.shape
    numbers = p["dimension_numbers"]
    batch, channels, *space = numbers.lhs_spec
    x = Field(x.spans, tuple(x.axes[axis] for axis in (batch, *space, channels)))
    order = (numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1])
    window = [eqn.invars[1].aval.shape[axis] for axis in numbers.rhs_spec[2:]]
    lows = [low for low, _ in p["padding"]]
    shape = [out[axis] for axis in order]
    y = _slide(x, shape, window, p["window_strides"], lows, p["rhs_dilation"], p["lhs_dilation"])
    return Field(y.spans, tuple(y.axes[order.index(axis)] for axis in range(len(order))))


def _reduce_window(eqn, fields: list[MaybeField]) -> MaybeField:
    x, p = fields[0], eqn.params
    if x is None:
        return None
    for axis, length in enumerate(eqn.outvars[0].aval.shape):
        x = x.windowed(
            axis,
            length,
            window=p["window_dimensions"][axis],
            stride=p["window_strides"][axis],
            low=p["padding"][axis][0],
            dilation=p["window_dilation"][axis],
            base=p["base_dilation"][axis],
        )
    return x


def _reduce(eqn, fields: list[MaybeField]) -> MaybeField:
    axes = eqn.params["axes"]
    return fields[0] and fields[0].contracted(axes).without(axes)


def _dot_general(eqn, fields: list[MaybeField]) -> MaybeField:
    contracting, batch = eqn.params["dimension_numbers"]
    sides = []
    for field, atom, inner, shared in zip(fields, eqn.invars, contracting, batch):
        free = [axis for axis in range(len(atom.aval.shape)) if axis not in (*inner, *shared)]
        kept = [*shared, *free]
        if field is None:
            sides.append((None, [still(atom.aval.shape[axis]) for axis in kept]))
        else:
            field = field.contracted(inner)
            sides.append((field, [field.axes[axis] for axis in kept]))
    (left, first), (right, second) = sides
    shared = len(batch[0])
    axes = (*first, *second[shared:])
    return joined([Field(field.spans, axes) for field in (left, right) if field is not None])


def _transpose(eqn, fields: list[MaybeField]) -> MaybeField:
    (x,) = fields
    return x and Field(x.spans, tuple(x.axes[axis] for axis in eqn.params["permutation"]))


def _reshape(eqn, fields: list[MaybeField]) -> MaybeField:
    return fields[0] and fields[0].reshaped(eqn.outvars[0].aval.shape)


def _squeeze(eqn, fields: list[MaybeField]) -> MaybeField:
    return fields[0] and fields[0].without(eqn.params["dimensions"])


def _broadcast(eqn, fields: list[MaybeField]) -> MaybeField:
    x, shape = fields[0], eqn.outvars[0].aval.shape
    if x is None:
        return None
    axes = [still(length) for length in shape]
    for source, target in enumerate(eqn.params["broadcast_dimensions"]):
        if eqn.invars[0].aval.shape[source] == shape[target]:
            axes[target] = x.axes[source]
    return Field(x.spans, tuple(axes))


def _concatenate(eqn, fields: list[MaybeField]) -> MaybeField:
    axis, shape = eqn.params["dimension"], eqn.outvars[0].aval.shape
    seeing = [field for field in fields if field is not None]
    if any(field.stride_along(axis) is not None for field in seeing):
        return _bordered(eqn, fields, axis)
    return joined([field.contracted([axis]).with_axis(axis, still(shape[axis])) for field in seeing])


def _bordered(eqn, fields: list[MaybeField], axis: int) -> MaybeField:
    """A map with a border along one of its axes, as reflection makes it: like padding, for the border sees less."""
    lengths = [atom.aval.shape[axis] for atom in eqn.invars]
    widest = max(range(len(fields)), key=lambda i: lengths[i])
    x, around = fields[widest], sum(lengths) - lengths[widest]
    if x is None or around >= lengths[widest]:
        return None
    return x.windowed(axis, sum(lengths), window=1, low=sum(lengths[:widest]))


def _pad(eqn, fields: list[MaybeField]) -> MaybeField:
    x, value = fields
    if x is None or value is not None:
        return None
    for axis, ((low, _, interior), length) in enumerate(zip(eqn.params["padding_config"], eqn.outvars[0].aval.shape)):
        x = x.windowed(axis, length, window=1, low=int(low), base=int(interior) + 1)
    return x


def _slice(eqn, fields: list[MaybeField]) -> MaybeField:
    (x,), p = fields, eqn.params
    if x is None:
        return None
    before = eqn.invars[0].aval.shape
    for axis, length in enumerate(eqn.outvars[0].aval.shape):
        if length != before[axis]:
            x = x.picked(axis, p["start_indices"][axis], length, (p["strides"] or (1,) * len(before))[axis])
    return x


_ARG_REDUCTIONS = ("argmax", "argmin")
_REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", *_ARG_REDUCTIONS)
RULES = MappingProxyType[str, Callable[[Any, list[MaybeField]], MaybeField]](
    {
        "conv": _conv,
        "conv_input_grad": _conv_input_grad,
        "max_pool": _pool,
        "sum_pool": _pool,
        "conv_general_dilated": _xla_conv,
        "reduce_window": _reduce_window,
        "reduce_window_sum": _reduce_window,
        "reduce_window_max": _reduce_window,
        "reduce_window_min": _reduce_window,
        **dict.fromkeys(_REDUCTIONS, _reduce),
        "dot_general": _dot_general,
        "transpose": _transpose,
        "reshape": _reshape,
        "squeeze": _squeeze,
        "broadcast_in_dim": _broadcast,
        "concatenate": _concatenate,
        "pad": _pad,
        "slice": _slice,
    }
)
