"""The block strings that describe MobileNets and EfficientNets, and how they are scaled.

"ir_r2_k3_s2_e6_c24_se0.25" is an inverted residual, repeated twice, with 3x3 windows, stride 2 in the first, six
times the channels inside, 24 outside, and a gate of a quarter. The notation is that of Tan et al.'s MnasNet code, as
timm extended it:

| word | meaning | |---|---| | ds, dsa | depthwise separable, dsa with an activation after its pointwise convolution
and without shortcut | | ir, er, uir, cn | inverted residual, the same with one full convolution, MobileNetV4's
universal one, a plain convolution | | mqa | multi-query attention | | r, s, c, e | repeats, stride, channels,
expansion | | k, a, p | windows of the middle, first and last convolution; "3.5.7" divides the channels among several
| | se, gs | ratio of the gate, channels of a group | | fc, cc | channels that the expansion counts from, number of
experts | | d, h, v | width of a head (or 1: space to depth), number of heads, stride of the keys | | n | activation:
re, r6, hs, sw |
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_ACTIVATIONS = {"re": "relu", "r6": "relu6", "hs": "hard_swish", "sw": "silu", "mi": "mish"}


@dataclass(frozen=True)
class Block:
    """One block as its string describes it, before channels are scaled."""

    kind: str
    channels: int
    strides: int
    windows: tuple[int, ...] = (3,)
    first: tuple[int, ...] | None = None
    last: tuple[int, ...] | None = None
    expansion: int | float = 1.0
    gate: int | float = 0.0
    act: str = ""
    skip: bool | None = None
    group_size: int | None = None
    counted: int = 0
    experts: int = 0
    depth: int = 0
    heads: int = 0
    key_strides: int = 1


Stages = tuple[tuple[Block, ...], ...]


def decode(
    stages: Sequence[str],
    *,
    depth: int | float | Sequence[int | float] = 1.0,
    rounded: bool = False,
    keep_ends: bool = False,
    group_size: int | None = None,
    experts: int = 1,
) -> Stages:
    """The blocks of each stage, one for one.

    Args:
        stages: strings, the blocks of a stage separated by spaces.
        depth: factor of the repeats of every stage, or one for each.
        rounded: whether scaled repeats are rounded; otherwise they are rounded up.
        keep_ends: whether the first and the last stage keep their repeats.
        group_size: channels of a group where a string names none; None for depthwise.
        experts: factor of the number of experts.
    """
    factors = [depth] * len(stages) if isinstance(depth, int | float) else list(depth)
    if keep_ends:
        factors[0] = factors[-1] = 1.0
    built = []
    for text, factor in zip(stages, factors):
        parsed = [_parse(word) for word in text.split()]
        repeats = _scaled([count for _, count in parsed], factor, rounded)
        stage: list[Block] = []
        for (block, _), count in zip(parsed, repeats):
            size = block.group_size if block.group_size is not None else group_size
            stage += [replace(block, group_size=size, experts=block.experts * experts)] * count
        # Only the first block of a stage strides.
        stage[1:] = [replace(block, strides=1) for block in stage[1:]]
        built.append(tuple(stage))
    return tuple(built)


def _scaled(repeats: list[int], factor: int | float, rounded: bool) -> list[int]:
    """Repeats of one stage times the factor, shared out from the last block to the first."""
    total = sum(repeats)
    scaled = max(1, round(total * factor)) if rounded else math.ceil(total * factor)
    result = []
    for count in reversed(repeats):
        result.append(max(1, round(count / total * scaled)))
        total, scaled = total - count, scaled - result[-1]
    return result[::-1]


def _parse(word: str) -> tuple[Block, int]:
    kind, *options = word.split("_")
    skip = {"noskip": False, "skip": True}.get(next((o for o in options if "skip" in o), ""))
    act = next((_ACTIVATIONS[o[1:]] for o in options if o[:1] == "n" and o[1:] in _ACTIVATIONS), "")
    found = {match[1]: match[2] for o in options if (match := re.fullmatch(r"([a-z]+)(\d.*)", o))}
    block = Block(
        kind=kind,
        channels=int(found["c"]),
        strides=int(found["s"]),
        windows=_windows(found["k"]),
        first=_windows(found["a"]) if "a" in found else None,
        last=_windows(found["p"]) if "p" in found else None,
        expansion=float(found.get("e", 1)),
        gate=float(found.get("se", 0)),
        act=act,
        skip=skip,
        group_size=int(found["gs"]) if "gs" in found else None,
        counted=int(found.get("fc", 0)),
        experts=int(found.get("cc", 0)),
        depth=int(found.get("d", 0)),
        heads=int(found.get("h", 0)),
        key_strides=int(found.get("v", 1)),
    )
    return block, int(found["r"])


def _windows(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
