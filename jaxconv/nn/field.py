"""What a value of a network sees of the image: the span of one element, and where its neighbours along each axis look.

A `Field` describes an array inside a network. Its element at index 0 depends on the image positions of `spans`. Going
along an array axis moves that span: each axis is a product of factors, as merging and splitting made it, and a factor
says along which image axis one step goes, and how far. With that, reshapes, transpositions and space-to-depth need no
special cases, and a sum over an axis widens the span by the way that the axis goes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple


class Factor(NamedTuple):
    """A part of an array axis: `length` indices, each `step` positions further along `image_axis` (None: nowhere)."""

    length: int
    image_axis: int | None = None
    step: Fraction = Fraction(0)


Axis = tuple[Factor, ...]


def still(length: int) -> Axis:
    """An axis along which the same part of the image is seen, such as channels."""
    return () if length == 1 else (Factor(length),)


@dataclass(frozen=True)
class Field:
    """The field of an array: `spans` holds, per image axis, the first and last position that element 0 depends on."""

    spans: tuple[tuple[Fraction, Fraction], ...]
    axes: tuple[Axis, ...]

    def size(self, image_axis: int) -> int:
        """Image positions that one element depends on, padding included."""
        first, last = self.spans[image_axis]
        return int(last - first) + 1

    def stride(self, image_axis: int) -> int | float | None:
        """Image positions between neighbouring elements; None where the array has no such axis any more."""
        along = [axis for axis, factors in enumerate(self.axes) if [f.image_axis for f in factors] == [image_axis]]
        return self.stride_along(along[0]) if len(along) == 1 else None

    def stride_along(self, axis: int) -> int | float | None:
        """Image positions between neighbours along an array axis; None where it follows no image axis, or several."""
        factor = self._sole_factor(axis)
        if factor is None:
            return None
        return int(factor.step) if factor.step.denominator == 1 else float(factor.step)

    def _sole_factor(self, axis: int) -> Factor | None:
        moving = len(self.axes[axis]) == 1 and self.axes[axis][0].image_axis is not None
        return self.axes[axis][0] if moving else None

    def moved(self, factor: Factor, first: Fraction | int, last: Fraction | int) -> "Field":
        """The two ends of the span shifted by that many steps of a factor."""
        if factor.image_axis is None:
            return self
        spans = list(self.spans)
        start, end = spans[factor.image_axis]
        spans[factor.image_axis] = start + first * factor.step, end + last * factor.step
        return replace(self, spans=tuple(spans))

    def with_axis(self, axis: int, factors: Axis) -> "Field":
        """The same span with one array axis described anew."""
        return replace(self, axes=(*self.axes[:axis], factors, *self.axes[axis + 1 :]))

    def contracted(self, axes: Sequence[int]) -> "Field":
        """The field after a sum or maximum over array axes, which stay with length 1."""
        field = self
        for axis in axes:
            for factor in field.axes[axis]:
                field = field.moved(factor, 0, factor.length - 1)
            field = field.with_axis(axis, ())
        return field

    def without(self, axes: Sequence[int]) -> "Field":
        """The field after array axes of length 1 are dropped."""
        return replace(self, axes=tuple(factors for i, factors in enumerate(self.axes) if i not in axes))

    def windowed(
        self, axis: int, out: int, *, window: int, stride: int = 1, low: int = 0, dilation: int = 1, base: int = 1
    ) -> "Field":
        """The field after a window slides along an array axis: `out` places, `low` padding, `base` dilation of it.

        Where `base` spreads the elements (transposed convolution), places differ; the span covers all of them.
        """
        factor = self._sole_factor(axis)
        if factor is None:
            return self.contracted([axis]).with_axis(axis, still(out))
        first, last = Fraction(-low, base), Fraction(dilation * (window - 1) - low, base)
        field = self.moved(factor, math.floor(first), math.ceil(last))
        return field.with_axis(axis, (Factor(out, factor.image_axis, factor.step * stride / base),))

    def picked(self, axis: int, start: int, out: int, stride: int) -> "Field":
        """The field of `out` elements along an array axis, from `start` by `stride`."""
        factor = self._sole_factor(axis)
        if factor is None:
            return self.contracted([axis]).with_axis(axis, still(out))
        field = self.moved(factor, start, start)
        return field.with_axis(axis, (Factor(out, factor.image_axis, factor.step * stride),))

    def reshaped(self, shape: Sequence[int]) -> "Field":
        """The field of the same elements in row-major order under another shape."""
        left = [factor for axis in self.axes for factor in axis]
        axes = []
        for length in reversed(shape):
            taken = _taken(left, length)
            if taken is None:
                return self.everywhere(shape)
            axes.append(taken)
        return replace(self, axes=tuple(reversed(axes)))

    def everywhere(self, shape: Sequence[int]) -> "Field":
        """The field of an array of which every element may depend on everything that this one saw."""
        field = self.contracted(range(len(self.axes)))
        return replace(field, axes=tuple(still(length) for length in shape))


def joined(fields: Sequence[Field]) -> Field:
    """The field of what depends on several arrays of one shape: the union of their spans."""
    by_image_axis = zip(*(field.spans for field in fields))
    spans = tuple((min(first for first, _ in ends), max(last for _, last in ends)) for ends in by_image_axis)
    axes = tuple(max(factors, key=_moving) for factors in zip(*(field.axes for field in fields)))
    return Field(spans, axes)


def _moving(axis: Axis) -> int:
    return sum(factor.image_axis is not None for factor in axis)


def _taken(left: list[Factor], length: int) -> Axis | None:
    """Takes the innermost factors that make up `length` from the end of `left`; None where none do."""
    taken: list[Factor] = []
    while length > 1:
        inner = left.pop()
        if length % inner.length == 0:
            taken.insert(0, inner)
            length //= inner.length
        elif inner.length % length == 0:
            left.append(Factor(inner.length // length, inner.image_axis, inner.step * length))
            taken.insert(0, Factor(length, inner.image_axis, inner.step))
            length = 1
        else:
            return None
    return tuple(taken)
