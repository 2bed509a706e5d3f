"""RegNets X, Y, Z and V: four stages whose widths and depths follow from a line and a base.

| | source | a block |
|---|---|---|
| `regnetx` | Radosavovic, "Designing Network Design Spaces", arXiv:2003.13678, figure 16 | 1x1, grouped 3x3, 1x1 |
| `regnety` | the same, figure 17 | and squeeze-excitation after the 3x3, of a quarter of the block's *input* channels |
| `regnetz` | Dollar et al., "Fast and Accurate Model Scaling", arXiv:2103.06877 | inverted, linear at its end |
| `regnetv` | timm's | Y with norm and activation before each convolution |

The trailing number is the multiply-adds in units of 10^8. Block i of a network has the width w0 * wm^s, where s makes
that power nearest to w0 + wa * i; equal widths are a stage, and a stage's width is rounded to whole groups. timm rounds
to the nearest; `_tv` rows, as torchvision does, go one group up where that loses more than a tenth.

What is odd: a block that changes shape has no shortcut at all in `regnetz`; `regnetv` shortcuts start at the activated
input, not at the input.
"""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.models.head import ClassifierHead
from jaxconv.models.network import Network
from jaxconv.models.published import variants
from jaxconv.models.regnet_blocks import Bottleneck, PreBottleneck, Stage, Style, grouped_conv
from jaxconv.models.widths import divisible
from jaxconv.nn import activation, branch_key, initializers, rising_rates


class RegNet(Network):
    """A strided convolution, four stages of bottlenecks, perhaps a last convolution, a classifier.

    Args:
        num_classes: length of the output; 0 leaves out the classifier.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
        drop_path_rate: probability of dropping the last block's branch; it rises linearly from 0.
        global_pool: as in `GlobalPool`.
        output_stride: 8, 16 or 32.
        depth: number of blocks.
        w0: width of the first, w_0.
        wa: slope of the widths, w_a.
        wm: quotient of the widths of neighbouring stages, w_m.
        group: channels of a group, g.
        ratio: width inside a block by that of its output, b.
        kept: what rounding a width must keep, `divisible`'s; 0 for the nearest.
        se_ratio: width inside the squeeze-excitation by that of the block's input; 0 for none.
        shortcut: what a changed shape passes through: "conv1x1", "avg" (average, then 1x1), or None for no shortcut.
        linear: whether blocks end without activation.
        preact: whether norms and activations come first.
        num_features: width of the last convolution; 0 for none.
        act: name of the activation.
        norm: "batch", or "group16" for groups of 16 channels.
        zero_init_last: whether each branch starts at zero.

    Raises:
        ValueError: if the output stride is another, or the line does not give four stages.
    """

    level_names = ("stem", "s1", "s2", "s3", "s4")

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        *,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: str = "avg",
        output_stride: int = 32,
        depth: int,
        w0: int,
        wa: float,
        wm: float,
        group: int,
        ratio: float = 1.0,
        kept: float = 0.0,
        se_ratio: float = 0.0,
        shortcut: str | None = "conv1x1",
        linear: bool = False,
        preact: bool = False,
        num_features: int = 0,
        act: str = "relu",
        norm: str = "batch",
        zero_init_last: bool = True,
    ):
        style = Style(ratio, se_ratio, shortcut, linear, preact, act, norm, zero_init_last)
        self.stem = grouped_conv(in_chans, 32, 3, strides=2) if preact else style.unit(in_chans, 32, 3, strides=2)
        stages = regnet_stages(depth, w0, wa, wm, group, ratio, kept)
        self._add_stages(stages, _dilated(output_stride), rising_rates(drop_path_rate, depth), style)
        width = stages[-1][0]
        self.final_conv = style.unit(width, num_features, 1) if num_features else None
        self.final_activation = activation(act) if not num_features and (linear or preact) else None
        self.head = ClassifierHead(
            num_features or width,
            num_classes,
            global_pool=global_pool,
            drop_rate=drop_rate,
            kernel_init=initializers.normal(0.01),
        )

    def _add_stages(self, stages, strides, rates, style: Style) -> None:
        block, channels = PreBottleneck if style.preact else Bottleneck, 32
        for number, ((width, depth, group), (stride, dilation)) in enumerate(zip(stages, strides), 1):
            blocks, first = [], 1 if dilation < 4 else 2
            for index in range(depth):
                blocks.append(
                    block(
                        channels,
                        width,
                        group=group,
                        strides=1 if index else stride,
                        dilation=(dilation if index else first, dilation),
                        drop_path_rate=rates.pop(0),
                        style=style,
                    )
                )
                channels = width
            setattr(self, f"s{number}", Stage(*blocks))

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps after the first convolution and after each stage, before the last convolution."""
        maps = [self.stem(x, train)]
        for number in range(1, 5):
            maps.append(getattr(self, f"s{number}")(maps[-1], train, branch_key(key, number)))
        return tuple(maps)

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features`, through the last convolution or activation, to logits (n, num_classes)."""
        x = x if self.final_conv is None else self.final_conv(x, train)
        x = x if self.final_activation is None else self.final_activation(x)
        return self.head(x, train, key)


def regnet_stages(
    depth: int, w0: int, wa: int | float, wm: int | float, group: int, ratio: int | float = 1, kept: int | float = 0
) -> list[tuple[int, int, int]]:
    """(width, depth, channels of a group) of each stage (equations 2 to 4 of arXiv:2003.13678, in float32).

    Raises:
        ValueError: if there are not four.
    """
    line = np.arange(depth, dtype=np.float32) * np.float32(wa) + np.float32(w0)
    steps = np.round(np.log(line / np.float32(w0)) / np.float32(np.log(wm)))
    widths, depths = np.unique(np.round(w0 * np.float32(wm) ** steps / 8).astype(int) * 8, return_counts=True)
    if len(widths) != 4:
        raise ValueError(f"A RegNet has four stages: w0={w0}, wa={wa}, wm={wm} over {depth} blocks give {len(widths)}.")
    stages = []
    for width, blocks in zip(widths.tolist(), depths.tolist()):
        inner = int(width * ratio)
        size = min(group, inner)
        inner = divisible(inner, size, kept=kept) if kept else round(inner / size) * size
        stages.append((int(inner / ratio), blocks, size))
    return stages


def _dilated(output_stride: int) -> list[tuple[int, int]]:
    """(stride, dilation) of each stage: from `output_stride` on, a stage that would stride dilates instead."""
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride is 8, 16 or 32: got {output_stride}.")
    return [(2, 1) if reached <= output_stride else (1, reached // output_stride) for reached in (4, 8, 16, 32)]


def _row(depth: int, w0: int, wa: float, wm: float, group: int, **settings: Any) -> dict[str, Any]:
    return {"depth": depth, "w0": w0, "wa": wa, "wm": wm, "group": group, **settings}


_y = partial(_row, se_ratio=0.25)
_z = partial(_row, se_ratio=0.25, ratio=4.0, shortcut=None, linear=True, act="silu")
_v = partial(_row, se_ratio=0.25, preact=True, act="silu")
_PAPER = variants(
    RegNet,
    "Radosavovic et al. 2020, arXiv:2003.13678, figures 16 and 17",
    {
        "regnetx_002": _row(13, 24, 36.44, 2.49, 8),
        "regnetx_004": _row(22, 24, 24.48, 2.54, 16),
        "regnetx_004_tv": _row(22, 24, 24.48, 2.54, 16, kept=0.9),
        "regnetx_006": _row(16, 48, 36.97, 2.24, 24),
        "regnetx_008": _row(16, 56, 35.73, 2.28, 16),
        "regnetx_016": _row(18, 80, 34.01, 2.25, 24),
        "regnetx_032": _row(25, 88, 26.31, 2.25, 48),
        "regnetx_040": _row(23, 96, 38.65, 2.43, 40),
        "regnetx_064": _row(17, 184, 60.83, 2.07, 56),
        "regnetx_080": _row(23, 80, 49.56, 2.88, 120),
        "regnetx_120": _row(19, 168, 73.36, 2.37, 112),
        "regnetx_160": _row(22, 216, 55.59, 2.1, 128),
        "regnetx_320": _row(23, 320, 69.86, 2.0, 168),
        "regnety_002": _y(13, 24, 36.44, 2.49, 8),
        "regnety_004": _y(16, 48, 27.89, 2.09, 8),
        "regnety_006": _y(15, 48, 32.54, 2.32, 16),
        "regnety_008": _y(14, 56, 38.84, 2.4, 16),
        "regnety_008_tv": _y(14, 56, 38.84, 2.4, 16, kept=0.9),
        "regnety_016": _y(27, 48, 20.71, 2.65, 24),
        "regnety_032": _y(21, 80, 42.63, 2.66, 24),
        "regnety_040": _y(22, 96, 31.41, 2.24, 64),
        "regnety_040_sgn": _y(22, 96, 31.41, 2.24, 64, act="silu", norm="group16"),
        "regnety_064": _y(25, 112, 33.22, 2.27, 72),
        "regnety_080": _y(17, 192, 76.82, 2.19, 56),
        "regnety_080_tv": _y(17, 192, 76.82, 2.19, 56, kept=0.9),
        "regnety_120": _y(19, 168, 73.36, 2.37, 112),
        "regnety_160": _y(18, 200, 106.23, 2.48, 112),
        "regnety_320": _y(20, 232, 115.89, 2.53, 232),
    },
)
_SEER = variants(
    RegNet,
    "Goyal et al. 2021, arXiv:2103.01988",
    {
        "regnety_640": _y(20, 352, 147.48, 2.4, 328),
        "regnety_1280": _y(27, 456, 160.83, 2.52, 264),
        "regnety_2560": _y(27, 640, 230.83, 2.53, 373),
    },
)
_SCALED = variants(
    RegNet,
    "Dollar et al. 2021, arXiv:2103.06877; timm's tables",
    {
        "regnetz_005": _z(21, 16, 10.7, 2.51, 4, num_features=1024),
        "regnetz_040": _z(28, 48, 14.5, 2.226, 8),
        "regnetz_040_h": _z(28, 48, 14.5, 2.226, 8, num_features=1536),
        "regnetv_040": _v(22, 96, 31.41, 2.24, 64),
        "regnetv_064": _v(25, 112, 33.22, 2.27, 72, shortcut="avg"),
    },
)
VARIANTS = _PAPER | _SEER | _SCALED
