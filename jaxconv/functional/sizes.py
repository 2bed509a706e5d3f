"""How many places a window has, and the padding that a setting stands for: plain Python on ints.

A window of W positions with dilation d covers d (W - 1) + 1 of them, its extent F. On L positions padded by P on each
side it has (L - F + 2P) / S + 1 places at stride S, rounded down. `window` offers these functions to users. A size may
be a symbol of `jax.export` where the padding does not depend on it.
"""

from collections.abc import Sequence
from typing import Any

from jaxconv.functional.settings import (
    Padding,
    flag,
    known,
    padding_per_dimension,
    per_dimension,
    spatial_size,
    spatial_sizes,
    whole,
)


def extent(window: int, dilation: int = 1) -> int:
    """Positions from the first to the last that a dilated window touches: dilation * (window - 1) + 1."""
    return whole("dilation", dilation, 1) * (whole("window", window, 1) - 1) + 1


def explicit_padding(
    size: int, window: int, *, stride: int = 1, padding: Any, dilation: int = 1, ceil_mode: bool = False
) -> tuple[int, int]:
    """The (low, high) positions that `padding` adds to `size`.

    "SAME" makes ceil(size / stride) places and puts the odd position behind ("SAME_LOWER": before); at stride 2 it is
    therefore not the P = (W - 1) / 2 on both sides of torch. `ceil_mode` adds behind what a last, partial place needs;
    no place may start beyond the low padding and the real positions (`torch.nn.MaxPool2d`).

    Args:
        size: positions before padding.
        window: positions of the window.
        stride: positions from one place to the next.
        padding: "SAME", "SAME_LOWER", "VALID", an int for both sides, or (low, high).
        dilation: distance of neighbouring window positions.
        ceil_mode: round the number of places up instead of down.

    Raises:
        TypeError: a setting that is no whole number, a `ceil_mode` that is no bool, or a size that is not known where
            the padding depends on it.
        ValueError: a bad setting, or the window has no place.
    """
    size, stride, covered = spatial_size(size), whole("stride", stride, 1), extent(window, dilation)
    low, high = stated_padding(size, window, stride=stride, padding=padding, dilation=dilation)
    if flag("ceil_mode", ceil_mode):
        high = max(high, _ceil_high(known(size, f"ceil_mode over {size} positions"), low, high, covered, stride))
    if size + low + high < covered:
        raise ValueError(
            "An output would be empty: the window, dilation * (window - 1) + 1, must fit into low + size + high; "
            f"window={window} with dilation={dilation} takes {covered}, "
            f"padding={padding!r} makes {low} + {size} + {high}."
        )
    return low, high


def stated_padding(size: int, window: int, *, stride: int = 1, padding: Any, dilation: int = 1) -> tuple[int, int]:
    """The (low, high) that `padding` names, whether or not the window then has a place.

    Raises:
        TypeError: a setting that is no whole number, or a size that is not known where the padding depends on it.
        ValueError: a bad setting.
    """
    size, stride, covered = spatial_size(size), whole("stride", stride, 1), extent(window, dilation)
    pair = _one_pair(padding)
    return _named_pads(pair, size, covered, stride) if isinstance(pair, str) else pair


def output_size(
    size: int, window: int, *, stride: int = 1, padding: Any, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Places of a window: (size - F + low + high) / stride + 1 with F = dilation (window - 1) + 1, rounded down.

    That is ceil(size / stride) for "SAME" and ceil((size - F + 1) / stride) for "VALID". The arguments and errors are
    those of `explicit_padding`.
    """
    size, stride = spatial_size(size), whole("stride", stride, 1)
    low, high = explicit_padding(size, window, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return (size + low + high - extent(window, dilation)) // stride + 1


def transposed_size(
    size: int, window: int, *, stride: int = 1, padding: Any, dilation: int = 1, output_padding: int = 0
) -> int:
    """Output size of a transposed convolution.

    For an int or a pair it is torch's (size - 1) stride - low - high + F + output_padding. For "SAME" and "SAME_LOWER"
    it is TensorFlow's size * stride, for "VALID" TensorFlow's size * stride + max(F - stride, 0).

    Raises:
        TypeError: a setting that is no whole number.
        ValueError: a bad setting, an empty output, or an `output_padding` that is not smaller than the larger of stride
            and dilation, or that goes with a named padding.
    """
    size, stride, dilation = spatial_size(size), whole("stride", stride, 1), whole("dilation", dilation, 1)
    extra, covered = whole("output_padding", output_padding, 0), extent(window, dilation)
    pair = _one_pair(padding)
    if isinstance(pair, str):
        if extra:
            raise ValueError(
                "output_padding goes with an int or (low, high) padding; a named padding fixes the output size; "
                f"got output_padding={extra} with padding={padding!r}."
            )
        return size * stride + (max(covered - stride, 0) if pair == "VALID" else 0)
    if extra and extra >= max(stride, dilation):
        raise ValueError(
            "output_padding must be smaller than the larger of stride and dilation; "
            f"got output_padding={extra}, stride={stride}, dilation={dilation}."
        )
    result = (size - 1) * stride - pair[0] - pair[1] + covered + extra
    if result < 1:
        raise ValueError(
            "An output would be empty: (size - 1) * stride - low - high + dilation * (window - 1) + 1 + output_padding "
            f"= ({size} - 1) * {stride} - {pair[0]} - {pair[1]} + {covered} + {extra} = {result}."
        )
    return result


def padding_pairs(
    space: Sequence[int],
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[tuple[int, int], ...]:
    """`explicit_padding` of every spatial dimension; a single int setting stands for all of them."""
    return tuple(
        explicit_padding(size, positions, stride=stride, padding=pad, dilation=gap, ceil_mode=ceil_mode)
        for size, positions, stride, pad, gap in _dimensions(space, window, strides, padding, dilation)
    )


def output_shape(
    space: Sequence[int],
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """`output_size` of every spatial dimension; a single int setting stands for all of them."""
    return tuple(
        output_size(size, positions, stride=stride, padding=pad, dilation=gap, ceil_mode=ceil_mode)
        for size, positions, stride, pad, gap in _dimensions(space, window, strides, padding, dilation)
    )


def _dimensions(space, window, strides, padding, dilation):
    space = spatial_sizes(space)
    rank = len(space)
    return zip(
        space,
        per_dimension("window", window, rank),
        per_dimension("strides", strides, rank),
        padding_per_dimension(padding, rank),
        per_dimension("dilation", dilation, rank),
        strict=True,
    )


def _one_pair(padding: Any) -> str | tuple[int, int]:
    """The padding of a single dimension, where (low, high) needs no second pair of brackets."""
    bare = isinstance(padding, Sequence) and not isinstance(padding, str)
    return padding_per_dimension((padding,) if bare else padding, 1)[0]


def _named_pads(name: str, size: int, covered: int, stride: int) -> tuple[int, int]:
    if name == "VALID":
        return 0, 0
    places = -(-size // stride)
    total = known((places - 1) * stride + covered - size, f"padding={name!r} at stride {stride} over {size} positions")
    total = max(total, 0)
    smaller, larger = total // 2, total - total // 2
    return (smaller, larger) if name == "SAME" else (larger, smaller)


def _ceil_high(size: int, low: int, high: int, covered: int, stride: int) -> int:
    places = -(-(size + low + high - covered) // stride) + 1
    if (places - 1) * stride >= size + low:
        places -= 1
    return (places - 1) * stride + covered - size - low
