"""The rows of `byobnet.py`, a family a function.

| | source |
|---|---|
| `gernet` | Lin et al., "Neural Architecture Design for GPU-Efficient Networks", arXiv:2006.14090, table 1 (GENet) |
| `repvgg` | Ding et al., "RepVGG", arXiv:2101.03697, tables 2 and 3; `d2se` from its code |
| `mobileone` | Vasu et al., "MobileOne", arXiv:2206.04040, table 2 |
| `resnet50_clip`, ... | Radford et al., "Learning Transferable Visual Models", arXiv:2103.00020, table 19 |
| `regnetz_b`, ... | timm's sizes of Dollar et al., "Fast and Accurate Model Scaling", arXiv:2103.06877 |
| `resnet51q`, `resnext26ts`, ... | timm's experiments |

In the last two: q is a stem of four convolutions, t of three that widen, s SiLU; `gc`, `se`, `eca` and `bat` the
attention; the digits before `q` and `t` the depth. `_evos` rows have EvoNorm-S0a for norm and activation. `_gap` rows
are the CLIP networks with a mean in the place of the attention pool, and without a classifier, as published.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxconv.models.byob_blocks import Attention, Block, channel_attention, squeeze_excite
from jaxconv.models.byobnet import ByobNet
from jaxconv.models.published import variants
from jaxconv.nn import BilinearAttention, GlobalContext
from jaxconv.nn.evonorm import EvoNormS0

Stages = tuple[tuple[Block, ...], ...]
_SE = partial(squeeze_excite, ratio=0.25)


def _stage(kind: str, depth: int, width: int, strides: int, group: int, ratio: float, **settings: Any):
    first = Block(kind, width, strides, group, ratio, **settings)
    return (first, *[Block(kind, width, 1, group, ratio, **settings)] * (depth - 1))


def _gernet(stem: int, num_features: int, *stages: tuple[str, int, int, int, int, float]) -> dict[str, Any]:
    return {"stages": tuple(_stage(*stage) for stage in stages), "stem_widths": (stem,), "num_features": num_features}


def _repvgg(
    stem: int,
    multipliers: Sequence[int | float],
    depths: Sequence[int] = (4, 6, 16, 1),
    *,
    groups: int = 1,
    attention: Attention | None = None,
) -> dict[str, Any]:
    """Every second block of a stage has groups."""
    stages = []
    for base, multiplier, depth in zip((64, 128, 256, 512), multipliers, depths):
        width = int(base * multiplier)
        whole = Block("rep", width, attention=attention)
        split = Block("rep", width, group=width // groups if groups > 1 else 0, attention=attention)
        blocks = [split if index % 2 else whole for index in range(depth)]
        stages.append((Block("rep", width, 2, attention=attention), *blocks[1:]))
    return {"stages": tuple(stages), "stem": "rep", "stem_widths": (stem,), "stem_attention": attention}


def _mobileone(
    stem: int, multipliers: Sequence[int | float], *, branches: int = 1, excited: Sequence[int] = (0, 0, 0, 0)
) -> dict[str, Any]:
    """Depthwise 3x3 and pointwise blocks in turn; the last `excited` pairs of each stage squeeze and excite."""
    stages, channels = [], int(min(64, 64 * multipliers[0]))
    for base, multiplier, depth, last in zip((64, 128, 256, 512), multipliers, (2, 8, 10, 1), excited):
        blocks = []
        for index in range(depth):
            settings = {"branches": branches, "attention": squeeze_excite if index >= depth - last else None}
            blocks.append(Block("one", channels, 1 if index else 2, group=1, **settings))
            channels = int(base * multiplier)
            blocks.append(Block("one", channels, window=1, **settings))
        stages.append(tuple(blocks))
    return {"stages": tuple(stages), "stem": "one", "stem_widths": (stem,)}


def _bottles(
    depths: Sequence[int],
    widths: Sequence[int],
    *,
    group: int = 0,
    ratio: float = 0.25,
    first: int = 1,
    attention: Attention | None = None,
    **settings: Any,
) -> Stages:
    """Stages of bottlenecks; the first strides by `first`, the others by 2."""
    settings |= {"attention": attention}
    sizes = zip(depths, widths, (first, 2, 2, 2))
    return tuple(_stage("bottle", depth, width, strides, group, ratio, **settings) for depth, width, strides in sizes)


def _tiered(stages: Stages, *, stem_pool: str = "", num_features: int = 0, act: str = "silu") -> dict[str, Any]:
    settings = {"stem_widths": (24, 32, 64), "stem_pool": stem_pool, "num_features": num_features, "act": act}
    return {"stages": stages, **settings}


def _resnext26ts(attention: Attention | None = None) -> dict[str, Any]:
    stages = _bottles((2, 2, 2, 2), (256, 512, 1024, 2048), group=32, attention=attention)
    return _tiered(stages, stem_pool="max")


def _resnet33ts(attention: Attention | None = None, num_features: int = 1280) -> dict[str, Any]:
    stages = _bottles((2, 3, 3, 2), (256, 512, 1536, 1536), attention=attention)
    return _tiered(stages, num_features=num_features)


def _quad(first: tuple[Block, ...], *, plain: int, extra: bool) -> dict[str, Any]:
    """Four stages, the last one depthwise, after four convolutions of which the first may be plain."""
    middle = [_stage("bottle", depth, width, 2, 32, 0.25, extra=extra) for depth, width in ((4, 512), (6, 1536))]
    stages = (first, *middle, _stage("bottle", 4, 1536, 2, 1, 1.0, extra=extra))
    stem = {"stem_widths": (16, 32, 64, 128), "stem_plain": plain}
    return {"stages": stages, **stem, "num_features": 2048, "act": "silu"}


def _evonorm(group_size: int, activated: bool, channels: int) -> EvoNormS0:
    groups = channels // group_size
    return EvoNormS0(channels, groups=groups, activated=activated, epsilon=1e-3, always=True)


def _regnetz(
    depths: Sequence[int],
    widths: Sequence[int],
    group: int,
    num_features: int,
    stem: Sequence[int],
    *,
    ratio: int = 4,
    evolved: bool = False,
) -> dict[str, Any]:
    """Inverted bottlenecks, linear at their end, without shortcut where the shape changes."""
    inside = {"group": group, "ratio": float(ratio), "from_input": True, "linear": True}
    first = 2 if len(stem) == 1 else 1
    stages = _bottles(depths, widths, first=first, attention=_SE, **inside)
    evolution = partial(_evonorm, 16)
    norms = {"norm": partial(evolution, False), "active_norm": partial(evolution, True)} if evolved else {}
    return {
        "stages": stages,
        "stem_widths": tuple(stem),
        "shortcut": "",
        "num_features": num_features,
        "act": "silu",
        **norms,
    }


def _clip(depths: Sequence[int], size: int = 224, scale: int | float = 1, head: str = "attention") -> dict[str, Any]:
    """ResNet-D with averages before every stride."""
    stages = _bottles(depths, [int(width * scale) for width in (256, 512, 1024, 2048)])
    stem = {"stem_widths": tuple(int(width * scale) for width in (32, 32, 64)), "stem_pool": "avg2"}
    return {"stages": stages, **stem, "shortcut": "avg", "average": True, "head": head, "img_size": size}


_B, _D, _E = (2, 6, 12, 2), (3, 6, 12, 3), (3, 8, 16, 3)
_B_WIDTHS, _D_WIDTHS, _E_WIDTHS = (48, 96, 192, 288), (64, 128, 256, 384), (96, 192, 384, 512)
_TIERED, _DEEP = (24, 32, 64), (64, 64, 64)
_R50_WIDTHS = (256, 512, 1024, 2048)
_CLIP = {
    "resnet50": ((3, 4, 6, 3), 224),
    "resnet101": ((3, 4, 23, 3), 224),
    "resnet50x4": ((4, 6, 10, 6), 288, 1.25),
    "resnet50x16": ((6, 8, 18, 8), 384, 1.5),
    "resnet50x64": ((3, 15, 36, 10), 448, 2.0),
}

GERNETS = {
    "gernet_l": _gernet(
        32,
        2560,
        ("basic", 1, 128, 2, 0, 1.0),
        ("basic", 2, 192, 2, 0, 1.0),
        ("bottle", 6, 640, 2, 0, 0.25),
        ("bottle", 5, 640, 2, 1, 3.0),
        ("bottle", 4, 640, 1, 1, 3.0),
    ),
    "gernet_m": _gernet(
        32,
        2560,
        ("basic", 1, 128, 2, 0, 1.0),
        ("basic", 2, 192, 2, 0, 1.0),
        ("bottle", 6, 640, 2, 0, 0.25),
        ("bottle", 4, 640, 2, 1, 3.0),
        ("bottle", 1, 640, 1, 1, 3.0),
    ),
    "gernet_s": _gernet(
        13,
        1920,
        ("basic", 1, 48, 2, 0, 1.0),
        ("basic", 3, 48, 2, 0, 1.0),
        ("bottle", 7, 384, 2, 0, 0.25),
        ("bottle", 2, 560, 2, 1, 3.0),
        ("bottle", 1, 256, 1, 1, 3.0),
    ),
}
REPVGGS = {
    "repvgg_a0": _repvgg(48, (0.75, 0.75, 0.75, 2.5), (2, 4, 14, 1)),
    "repvgg_a1": _repvgg(64, (1, 1, 1, 2.5), (2, 4, 14, 1)),
    "repvgg_a2": _repvgg(64, (1.5, 1.5, 1.5, 2.75), (2, 4, 14, 1)),
    "repvgg_b0": _repvgg(64, (1, 1, 1, 2.5)),
    "repvgg_b1": _repvgg(64, (2, 2, 2, 4)),
    "repvgg_b1g4": _repvgg(64, (2, 2, 2, 4), groups=4),
    "repvgg_b2": _repvgg(64, (2.5, 2.5, 2.5, 5)),
    "repvgg_b2g4": _repvgg(64, (2.5, 2.5, 2.5, 5), groups=4),
    "repvgg_b3": _repvgg(64, (3, 3, 3, 5)),
    "repvgg_b3g4": _repvgg(64, (3, 3, 3, 5), groups=4),
    "repvgg_d2se": _repvgg(
        64, (2.5, 2.5, 2.5, 5), (8, 14, 24, 1), attention=partial(squeeze_excite, ratio=1 / 16, divisor=1)
    ),
}
MOBILEONES = {
    "mobileone_s0": _mobileone(48, (0.75, 1, 1, 2), branches=4),
    "mobileone_s1": _mobileone(64, (1.5, 1.5, 2, 2.5)),
    "mobileone_s2": _mobileone(64, (1.5, 2, 2.5, 4)),
    "mobileone_s3": _mobileone(64, (2, 2.5, 3, 4)),
    "mobileone_s4": _mobileone(64, (3, 3.5, 3.5, 4), excited=(0, 0, 5, 1)),
}
EXPERIMENTS = {
    "resnet51q": _quad(_stage("bottle", 2, 256, 1, 32, 0.25), plain=2, extra=False),
    "resnet61q": _quad(_stage("edge", 1, 256, 1, 0, 1.0), plain=0, extra=True),
    "resnext26ts": _resnext26ts(),
    "gcresnext26ts": _resnext26ts(GlobalContext),
    "seresnext26ts": _resnext26ts(squeeze_excite),
    "eca_resnext26ts": _resnext26ts(channel_attention),
    "bat_resnext26ts": _resnext26ts(partial(BilinearAttention, block=8)),
    "resnet32ts": _resnet33ts(num_features=0),
    "resnet33ts": _resnet33ts(),
    "gcresnet33ts": _resnet33ts(GlobalContext),
    "seresnet33ts": _resnet33ts(squeeze_excite),
    "eca_resnet33ts": _resnet33ts(channel_attention),
    "gcresnet50t": _tiered(_bottles((3, 4, 6, 3), _R50_WIDTHS, attention=GlobalContext), act="relu"),
    "gcresnext50ts": _tiered(_bottles((3, 4, 6, 3), _R50_WIDTHS, group=32, attention=GlobalContext), stem_pool="max"),
    "resnet50_mlp": _clip((3, 4, 6, 3), head="mlp") | {"hidden": 1024},
    "test_byobnet": {
        "stages": (
            _stage("edge", 1, 32, 2, 0, 0.5, attention=_SE),
            _stage("dark", 1, 64, 2, 0, 0.5, attention=_SE),
            _stage("basic", 1, 128, 2, 32, 0.25, attention=_SE),
            _stage("bottle", 1, 256, 2, 64, 0.25, attention=_SE),
        ),
        "stem_widths": (24,),
        "shortcut": "avg",
    },
}
REGNETZS = {
    "regnetz_b16": _regnetz(_B, _B_WIDTHS, 16, 1536, (32,), ratio=3),
    "regnetz_c16": _regnetz(_B, _B_WIDTHS, 16, 1536, (32,)),
    "regnetz_d32": _regnetz(_D, _D_WIDTHS, 32, 1792, _TIERED),
    "regnetz_d8": _regnetz(_D, _D_WIDTHS, 8, 1792, _TIERED),
    "regnetz_e8": _regnetz(_E, _E_WIDTHS, 8, 2048, _TIERED),
    "regnetz_b16_evos": _regnetz(_B, _B_WIDTHS, 16, 1536, (32,), ratio=3, evolved=True),
    "regnetz_c16_evos": _regnetz(_B, _B_WIDTHS, 16, 1536, (32,), evolved=True),
    "regnetz_d8_evos": _regnetz(_D, _D_WIDTHS, 8, 1792, _DEEP, evolved=True),
}
CLIPS = {f"{name}_clip": _clip(*row) for name, row in _CLIP.items()}
GAPS = {f"{name}_clip_gap": _clip(*row, head="fc") for name, row in _CLIP.items()}
VARIANTS = {
    **variants(ByobNet, "Lin et al. 2020, arXiv:2006.14090, table 1", GERNETS),
    **variants(ByobNet, "Ding et al. 2021, arXiv:2101.03697, tables 2 and 3", REPVGGS),
    **variants(ByobNet, "Vasu et al. 2022, arXiv:2206.04040, table 2", MOBILEONES),
    **variants(ByobNet, "timm", EXPERIMENTS),
    **variants(ByobNet, "Dollar et al. 2021, arXiv:2103.06877; timm's tables", REGNETZS),
    **variants(ByobNet, "Radford et al. 2021, arXiv:2103.00020, table 19", CLIPS | GAPS),
}
