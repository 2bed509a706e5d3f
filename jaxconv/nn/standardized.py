"""Convolutions that standardize their kernel at every call: weights with mean 0 and variance 1 for each output."""

import math
from collections.abc import Sequence

from jaxtyping import Array, DTypeLike

import jaxconv.functional as F
from jaxconv.functional.arrays import accumulator
from jaxconv.nn import initializers
from jaxconv.nn.conv import Conv
from jaxconv.nn.variables import parameter, read


class StandardizedConv(Conv):
    """`Conv` whose kernel passes `functional.standardize_kernel` (Qiao et al., arXiv:1903.10520).

    Args:
        in_channels: as in `Conv`.
        out_channels: as in `Conv`.
        window: as in `Conv`.
        epsilon: added to the variance of a kernel.
        **settings: as in `Conv`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | Sequence[int],
        *,
        epsilon: int | float = 1e-6,
        **settings,
    ):
        super().__init__(in_channels, out_channels, window, **settings)
        self.epsilon = epsilon

    def effective_kernel(self, dtype: DTypeLike) -> Array:
        """The standardized kernel, worked out in float32, for float64 in float64."""
        wide = accumulator(dtype)
        return F.standardize_kernel(read(self.kernel, wide), epsilon=self.epsilon).astype(dtype)


class ScaledConv(StandardizedConv):
    """`StandardizedConv` times a learned gain and gamma / sqrt(fan-in): variance is kept without a norm.

    Args:
        in_channels: as in `Conv`.
        out_channels: as in `Conv`.
        window: as in `Conv`.
        gamma: makes up for the activation before it.
        epsilon: added to the variance of a kernel.
        gain_init: draws the gain, (out_channels, 1, 1, 1) as the reference keeps it.
        **settings: as in `Conv`.

    Reference: Brock et al., "High-Performance ... Without Normalization", arXiv:2102.06171, equation 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | Sequence[int],
        *,
        gamma: int | float = 1.0,
        epsilon: int | float = 1e-6,
        gain_init: initializers.Initializer = initializers.ones,
        **settings,
    ):
        super().__init__(in_channels, out_channels, window, epsilon=epsilon, **settings)
        self.gain = parameter((out_channels, 1, 1, 1), gain_init)
        fan_in = math.prod(self.kernel.get_value().shape[:-1])
        self.scale_factor = gamma * fan_in**-0.5

    def effective_kernel(self, dtype: DTypeLike) -> Array:
        """The scaled kernel, worked out in float32, for float64 in float64."""
        wide = accumulator(dtype)
        gain = read(self.gain, wide).reshape(-1) * self.scale_factor
        return F.standardize_kernel(read(self.kernel, wide), gain, epsilon=self.epsilon).astype(dtype)
