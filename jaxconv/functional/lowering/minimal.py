"""Minimal filtering: m neighbouring outputs of r taps from m + r - 1 products, in place of m * r.

F(m, r) of Winograd 1980 by the construction of Cook and Toom: a product of two polynomials is known by its values at
m + r - 1 points, infinity being one, and filtering is its transpose (Blahut 2010, Fast Algorithms for Signal
Processing, sections 5.2 and 5.5; Lavin and Gray 2015, arXiv:1509.09308, section 4.1).
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

Matrix = tuple[tuple[float, ...], ...]

# The finite points of a tile of so many inputs. Random tiles of 192 channels in float32, root mean square in units of
# that of the result: 1.4e-7 for F(2, 3), 2.7e-7 for F(4, 3), 5.3e-7 for F(4, 5), where a plain sum has 1.1e-7; of all
# pairs and triples of quarters up to 3, each with both signs, these are the best (`experiments/LOG.md`).
_POINTS = {
    4: (0, 1, -1),
    6: (0, Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
    8: (0, Fraction(1, 2), Fraction(-1, 2), 1, -1, 2, -2),
}


@dataclass(frozen=True)
class Tile:
    """F(m, r): with inputs d and taps g the outputs are `outputs @ ((weights @ g) * (inputs @ d))`."""

    inputs: Matrix
    weights: Matrix
    outputs: Matrix

    @property
    def size(self) -> int:
        """How many outputs a tile has."""
        return len(self.outputs)


@functools.cache
def tile(size: int, taps: int) -> Tile:
    """F(size, taps), for a sum of the two of 5, 7 or 9."""
    points = [Fraction(point) for point in _POINTS[size + taps - 1]]
    others = [[q for q in points if q != p] for p in points]
    scales = [math.prod((p - q for q in rest), start=Fraction(1)) for p, rest in zip(points, others)]
    weights = [[p**i / scale for i in range(taps)] for p, scale in zip(points, scales)]
    outputs = [[*(p**i for p in points), i == size - 1] for i in range(size)]
    inputs = [[*_with_roots(rest), 0] for rest in others]
    return Tile(
        _floats([*inputs, _with_roots(points)]),
        _floats([*weights, [i == taps - 1 for i in range(taps)]]),
        _floats(outputs),
    )


def _with_roots(roots):
    """The coefficients of the product of x - q for all roots q, the constant one first."""
    return functools.reduce(lambda c, q: [high - q * low for low, high in zip([*c, 0], [0, *c])], roots, [Fraction(1)])


def _floats(rows) -> Matrix:
    return tuple(tuple(map(float, row)) for row in rows)
