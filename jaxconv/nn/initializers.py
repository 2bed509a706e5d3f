"""How parameters are drawn: plain functions `(rng, shape) -> float32 array`, kernels in HWIO or (in, out) layout.

Fans follow the layout: a kernel (*window, in / groups, out) reads prod(window) * in / groups inputs per output.
"""

import math
from collections.abc import Callable

import numpy as np

Initializer = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All zeros."""
    return np.zeros(shape, np.float32)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All ones."""
    return np.ones(shape, np.float32)


def constant(value: float) -> Initializer:
    """All `value`."""
    return lambda rng, shape: np.full(shape, value, np.float32)


def normal(deviation: float) -> Initializer:
    """Normal about zero with this standard deviation."""
    return lambda rng, shape: _normal(rng, shape, deviation)


def trunc_normal(deviation: float) -> Initializer:
    """Normal about zero, redrawn where it falls beyond two deviations (TensorFlow's `truncated_normal`).

    Truncation leaves 0.88 of `deviation`; it is not compensated, as the recipes that state a deviation do not.
    """

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        values = rng.standard_normal(math.prod(shape), np.float32)
        outside = np.flatnonzero(np.abs(values) > 2)
        while outside.size:
            values[outside] = rng.standard_normal(outside.size, np.float32)
            outside = outside[np.abs(values[outside]) > 2]
        return values.reshape(shape) * np.float32(deviation)

    return draw


def he_fan_in(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 2 / fan_in: keeps the forward signal through ReLU (He et al. 2015, equation 10)."""
    return _normal(rng, shape, math.sqrt(2 / fans(shape)[0]))


def he_fan_out(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 2 / fan_out: keeps the backward signal through ReLU (He et al. 2015, equation 14)."""
    return _normal(rng, shape, math.sqrt(2 / fans(shape)[1]))


def he_fan_out_per_group(groups: int) -> Initializer:
    """`he_fan_out` where an input has outputs in its own group only: variance 2 * groups / fan_out.

    timm's EfficientNets, RegNets and their like draw so; its ResNets and torchvision do not multiply by the groups.
    """
    return lambda rng, shape: _normal(rng, shape, math.sqrt(2 * groups / fans(shape)[1]))


def lecun(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal with variance 1 / fan_in, for tanh and linear layers (LeCun et al. 1998, Efficient BackProp, 4.6)."""
    return _normal(rng, shape, math.sqrt(1 / fans(shape)[0]))


def glorot(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16)."""
    bound = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def nielsen(pool_area: int = 1) -> Initializer:
    """Normal with variance 1 / n_out, as `network3.py` of Nielsen's book draws every hidden layer's weights.

    n_out is prod(window) * out / pool_area for a convolution that is pooled, `out` for a dense layer. Biases there are
    `normal(1)`, and the softmax layer starts at `zeros`.
    """
    return lambda rng, shape: _normal(rng, shape, math.sqrt(pool_area / fans(shape)[1]))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The inputs of one output and the outputs of one input, for a kernel (*window, in / groups, out).

    Raises:
        ValueError: if the shape has fewer than two axes, and so is no kernel.
    """
    if len(shape) < 2:
        raise ValueError(f"A kernel is (*window, in, out): two axes or more. Got the shape {shape}.")
    area = math.prod(shape[:-2])
    return area * shape[-2], area * shape[-1]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> np.ndarray:
    return rng.standard_normal(shape, np.float32) * np.float32(deviation)
