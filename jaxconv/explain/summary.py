"""A network layer by layer: what comes out, what it holds, what it costs and how much of the image it sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import jax

from jaxconv.explain.cost import multiply_adds
from jaxconv.models import Network
from jaxconv.nn import functionalize
from jaxconv.nn.field import Field
from jaxconv.nn.receptive import receptive_fields
from jaxconv.nn.trace import Call, trace


@dataclass(frozen=True)
class Row:
    """One call of a layer.

    Attributes:
        name: attribute path of the layer.
        kind: class of the layer.
        output_shape: (n, *space, c) or (n, features).
        parameters: trainable numbers that it holds.
        multiply_adds: for the whole batch.
        receptive_field: pixels (height, width) that one output depends on; None where it depends on none. Near the
            border, and where it exceeds the image, a part of it is padding.
        stride: pixels (height, width) between neighbouring outputs; None where there are no neighbours in space.
        dense_weights: weights of a fully connected layer from the same input to the same output, of one image; 0 for
            layers without weights.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...] | None
    stride: tuple[int | float, ...] | None
    dense_weights: int


@dataclass(frozen=True)
class Summary:
    """A network layer by layer; `str()` shows it as a table, `dataclasses.asdict` makes it JSON.

    Attributes:
        name: the network.
        input_shape: (n, height, width, channels) of the images.
        rows: one for each layer, in the order of calls. Layers that only training calls have none.
        parameters: trainable numbers of the network, those included that only training uses.
        batch_stats: numbers in its running statistics.
        multiply_adds: for the whole batch; equal to the sum over the rows unless the network multiplies outside layers.
        dense_weights: sum over the rows.
    """

    name: str
    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    batch_stats: int
    multiply_adds: int
    dense_weights: int

    def __str__(self) -> str:
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=140, color_system=None, force_jupyter=False).print(summary_table(self))
        return text.getvalue().rstrip()


def summary(
    model: Network, *, size: Sequence[int] | None = None, in_chans: int | None = None, batch: int = 1
) -> Summary:
    """Summarizes a network from one abstract forward pass; nothing is computed, and nothing need be drawn.

    Args:
        model: the network, from `create_model`; `key=None` is enough.
        size: (height, width) of the images in pixels; by default what the network is meant for.
        in_chans: channels of the images; by default what the network was built for.
        batch: images in a batch.

    Raises:
        ValueError: if a size is not positive, or the network refuses images of that shape.
    """
    shape = (batch, *(size or model.info.input_size), in_chans or model.info.in_chans)
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"Images are (n, height, width, channels), all positive: got {shape}.")
    traced = trace(model, shape)
    image = len(traced.jaxpr.jaxpr.invars) - 1
    fields = receptive_fields(traced.jaxpr, image)
    costs = multiply_adds(traced.jaxpr.jaxpr)
    calls = enumerate(zip(traced.calls, fields))
    rows = tuple(_row(call, field, costs[i]) for i, (call, field) in calls if call.leaf or call.parameters or costs[i])
    _, params, batch_stats = functionalize(model, key=None)
    return Summary(
        name=model.info.name,
        input_shape=shape,
        rows=rows,
        parameters=_count(params),
        batch_stats=_count(batch_stats),
        multiply_adds=sum(costs.values()),
        dense_weights=sum(row.dense_weights for row in rows),
    )


def summary_table(result: Summary) -> Any:
    """The summary as a `rich.table.Table`."""
    from rich.table import Table

    n, *image = result.input_shape
    title = f"{result.name} on {n} x {'x'.join(map(str, image))}"
    table = Table(title=title, show_footer=True, caption=_CAPTION)
    table.add_column("layer", f"{len(result.rows)} layers")
    table.add_column("kind")
    table.add_column("output", justify="right")
    table.add_column("parameters", f"{result.parameters:,}", justify="right")
    table.add_column("multiply-adds", f"{result.multiply_adds:,}", justify="right")
    table.add_column("sees", justify="right")
    table.add_column("stride", justify="right")
    table.add_column("weights if dense", f"{result.dense_weights:,}", justify="right")
    for row in result.rows:
        table.add_row(
            row.name or "(network)",
            row.kind,
            "x".join(map(str, row.output_shape[1:])),
            _number(row.parameters),
            _number(row.multiply_adds),
            _pair(row.receptive_field),
            _pair(row.stride),
            _number(row.dense_weights),
        )
    return table


_CAPTION = (
    "sees: receptive field in pixels. weights if dense: a fully connected layer from the same input to the same output."
)


def _row(call: Call, field: Field | None, cost: int) -> Row:
    weighted = cost > 0
    inputs, outputs = math.prod(call.input_shape[1:]), math.prod(call.output_shape[1:])
    return Row(
        name=call.path,
        kind=call.kind,
        output_shape=call.output_shape,
        parameters=call.parameters,
        multiply_adds=cost,
        receptive_field=None if field is None else (field.size(0), field.size(1)),
        stride=_strides(field),
        dense_weights=inputs * outputs if weighted else 0,
    )


def _strides(field: Field | None) -> tuple[int | float, ...] | None:
    strides = () if field is None else tuple(stride for stride in map(field.stride, (0, 1)) if stride is not None)
    return strides if len(strides) == 2 else None


def _count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _number(value: int) -> str:
    return f"{value:,}" if value else "-"


def _pair(values: tuple[int | float, ...] | None) -> str:
    if values is None:
        return "-"
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
