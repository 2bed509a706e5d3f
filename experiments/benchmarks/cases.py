"""The shapes that `ops` times: layers of well-known networks."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Conv:
    """A square convolution: side, channels, features, window, strides, padding, dilation, groups."""

    side: int
    channels: int
    features: int
    window: tuple[int, int]
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    transposed: bool = False

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """SAME for odd windows; the usual P = 1 for a 4x4 transposed convolution."""
        sides = ((w - 1) * self.dilation // 2 for w in self.window)
        return tuple((side, side) for side in sides)

    @property
    def settings(self) -> dict:
        """What the functions of `lowering` take."""
        both = {"strides": (self.stride,) * 2, "padding": self.padding, "dilation": (self.dilation,) * 2}
        return both | {"groups": self.groups}


@dataclass(frozen=True)
class Pool:
    """A square pool: side, channels, window, stride, padding."""

    side: int
    channels: int
    window: int
    stride: int
    padding: int
    kind: str = "max"

    @property
    def settings(self) -> dict:
        """What the functions of `lowering` take."""
        both = {"window": (self.window,) * 2, "strides": (self.stride,) * 2}
        return both | {"padding": ((self.padding,) * 2,) * 2}


CONVS = {
    "c3_64_56": Conv(56, 64, 64, (3, 3)),
    "c3_128_28": Conv(28, 128, 128, (3, 3)),
    "c3_256_14": Conv(14, 256, 256, (3, 3)),
    "c3_512_7": Conv(7, 512, 512, (3, 3)),
    "c1_64_256_56": Conv(56, 64, 256, (1, 1)),
    "c1_1024_256_14": Conv(14, 1024, 256, (1, 1)),
    "c1s2_256_512_56": Conv(56, 256, 512, (1, 1), 2),
    "c3s2_128_56": Conv(56, 128, 128, (3, 3), 2),
    "c7s2_stem_224": Conv(224, 3, 64, (7, 7), 2),
    "c3_stem_32": Conv(32, 3, 64, (3, 3)),
    "c5_48_64_35": Conv(35, 48, 64, (5, 5)),
    "c1x7_128_17": Conv(17, 128, 128, (1, 7)),
    "dw3_144_56": Conv(56, 144, 144, (3, 3), groups=144),
    "dw3_384_14": Conv(14, 384, 384, (3, 3), groups=384),
    "dw3s2_96_112": Conv(112, 96, 96, (3, 3), 2, groups=96),
    "dw7_96_56": Conv(56, 96, 96, (7, 7), groups=96),
    "dw7_384_14": Conv(14, 384, 384, (7, 7), groups=384),
    "g32_128_56": Conv(56, 128, 128, (3, 3), groups=32),
    "g32_512_14": Conv(14, 512, 512, (3, 3), groups=32),
    "dil2_256_28": Conv(28, 256, 256, (3, 3), dilation=2),
    "lenet_c5_1_32": Conv(28, 1, 32, (5, 5)),
    "lenet_c5_32_64": Conv(14, 32, 64, (5, 5)),
    "cifar_64_32": Conv(32, 64, 64, (3, 3)),
    "cifar_128_16": Conv(16, 128, 128, (3, 3)),
    "cifar_512_4": Conv(4, 512, 512, (3, 3)),
    "T4s2_256_128_14": Conv(14, 256, 128, (4, 4), 2, transposed=True),
}
POOLS = {
    "max3s2_112x64": Pool(112, 64, 3, 2, 1),
    "max2s2_28x32": Pool(28, 32, 2, 2, 0),
    "max3s2_35x288": Pool(35, 288, 3, 2, 0),
    "max3s1_14x512": Pool(14, 512, 3, 1, 1),
    "sum3s1_35x288": Pool(35, 288, 3, 1, 1, "sum"),
    "sum2s2_56x128": Pool(56, 128, 2, 2, 0, "sum"),
}


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Standard normal arrays, the same in every process."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, "f") for shape in shapes]


def shapes(case: Conv, n: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of input, kernel (of the convolution that a transposed one transposes) and output."""
    if case.transposed:
        small, large = (n, case.side, case.side, case.channels), (n, *(2 * case.side,) * 2, case.features)
        return small, (*case.window, case.features, case.channels), large
    out = tuple(-(-case.side // case.stride) for _ in case.window)
    kernel = (*case.window, case.channels // case.groups, case.features)
    return (n, case.side, case.side, case.channels), kernel, (n, *out, case.features)
