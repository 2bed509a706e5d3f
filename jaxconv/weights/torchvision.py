"""torchvision's names for what timm names otherwise: rules on the names of a state dict, a table a family.

A rule is a regular expression that matches a whole name and what it becomes, a template or a function of the match. The
first rule that matches decides; a name that none matches stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]

_REGNET_UNITS = {"a": "conv1", "b": "conv2", "c": "conv3", "0": "conv", "1": "bn"}
_REGNET_BLOCK = r"trunk_output\.block(\d)\.block\d-(\d+)\."


def _regnet_block(match: re.Match[str]) -> str:
    """Block numbers count from one, and the letters of a block's units become words."""
    stage, block, unit, part, leaf = match.groups()
    place = f"s{stage}.b{int(block) + 1}"
    if unit == "proj":
        return f"{place}.downsample.{_REGNET_UNITS[part]}.{leaf}"
    return (
        f"{place}.se.{part}.{leaf}"
        if unit == "f.se"
        else f"{place}.{_REGNET_UNITS[unit[2:]]}.{_REGNET_UNITS[part]}.{leaf}"
    )


_REGNET: Rules = (
    (r"stem\.0\.(.+)", r"stem.conv.\1"),
    (r"stem\.1\.(.+)", r"stem.bn.\1"),
    (_REGNET_BLOCK + r"(proj|f\.a|f\.b|f\.c|f\.se)\.(\w+)\.(\w+)", _regnet_block),
    (r"fc\.(.+)", r"head.fc.\1"),
)
_VGG: Rules = (
    (r"classifier\.0\.(.+)", r"pre_logits.fc1.\1"),
    (r"classifier\.3\.(.+)", r"pre_logits.fc2.\1"),
    (r"classifier\.6\.(.+)", r"head.fc.\1"),
)
_CONVNEXT_UNITS = {"block.0": "conv_dw", "block.2": "norm", "block.3": "mlp.fc1", "block.5": "mlp.fc2"}
_CONVNEXT: Rules = (
    (r"features\.0\.(.+)", r"stem.\1"),
    (r"features\.([246])\.(.+)", lambda m: f"stages.{int(m[1]) // 2}.downsample.{m[2]}"),
    (r"features\.(\d)\.(\d+)\.layer_scale", lambda m: f"stages.{int(m[1]) // 2}.blocks.{m[2]}.gamma"),
    (
        r"features\.(\d)\.(\d+)\.(block\.\d)\.(\w+)",
        lambda m: f"stages.{int(m[1]) // 2}.blocks.{m[2]}.{_CONVNEXT_UNITS[m[3]]}.{m[4]}",
    ),
    (r"classifier\.0\.(.+)", r"head.norm.\1"),
    (r"classifier\.2\.(.+)", r"head.fc.\1"),
)
# Units of a block in the order in which torchvision numbers them: (convolution, norm), "se", ...
_DEPTHWISE = (("conv_dw", "bn1"), "se", ("conv_pw", "bn2"))
_INVERTED = (("conv_pw", "bn1"), ("conv_dw", "bn2"), "se", ("conv_pwl", "bn3"))
_FUSED = (("conv_exp", "bn1"), ("conv_pwl", "bn2"))
_PLAIN = (("conv", "bn1"),)
_GATE = {"fc1": "conv_reduce", "fc2": "conv_expand"}


def _unit(place: str, units: tuple, number: int, part: str, leaf: str) -> str:
    """A block's unit: part 0 is its convolution and part 1 its norm; a gate's parts have names."""
    unit = units[number]
    return f"{place}.se.{_GATE[part]}.{leaf}" if unit == "se" else f"{place}.{unit[int(part)]}.{leaf}"


def _ends(last: int, head: str = "conv_head", norm: str = "bn2") -> Rules:
    """The stem and the last convolution of the mobile families, whose classifier is the last dense layer."""
    return (
        (r"features\.0\.0\.(.+)", r"conv_stem.\1"),
        (r"features\.0\.1\.(.+)", r"bn1.\1"),
        (rf"features\.{last}\.0\.(.+)", rf"{head}.\1"),
        (rf"features\.{last}\.1\.(.+)", rf"{norm}.\1"),
        (r"classifier\.1\.(.+)", r"classifier.\1"),
    )


def _staged(last: int, kinds: tuple[tuple, ...]) -> Rules:
    """EfficientNet: features.stage.block.block.unit.part.leaf, the stages counted from one."""

    def block(match: re.Match[str]) -> str:
        stage, number, unit, part, leaf = match.groups()
        place = f"blocks.{int(stage) - 1}.{number}"
        return _unit(place, kinds[int(stage) - 1], int(unit), part, leaf)

    return *_ends(last), (r"features\.(\d)\.(\d+)\.block\.(\d)\.(\w+)\.(\w+)", block)


def _place(number: int, repeats: tuple[int, ...]) -> str:
    """Where block `number`, counted from one through all stages, stands."""
    for stage, count in enumerate(repeats):
        if number <= count:
            return f"blocks.{stage}.{number - 1}"
        number -= count
    raise ValueError(f"Block {number} lies beyond the {sum(repeats)} of {repeats}.")


def _mobilenet_v2(match: re.Match[str]) -> str:
    number, unit, part, leaf = int(match[1]), int(match[2]), match[3], match[4]
    place = _place(number, (1, 2, 3, 4, 3, 3, 1))
    units = [("conv_dw", "bn1"), ("conv_pw", "bn2")] if number == 1 else [("conv_pw", "bn1"), ("conv_dw", "bn2")]
    if part is not None:
        return f"{place}.{units[unit][int(part)]}.{leaf}"
    flat = ["conv_pw", "bn2"] if number == 1 else ["conv_pwl", "bn3"]
    return f"{place}.{flat[unit - len(units) + (number == 1)]}.{leaf}"


def _mobilenet_v3(last: int, repeats: tuple[int, ...]) -> Rules:
    """Only some blocks have a gate: what is numbered after a missing one has moved up."""

    def block(match: re.Match[str]) -> str:
        number, unit, part, leaf = int(match[1]), int(match[2]), match[3], match[4]
        units = _DEPTHWISE if number == 1 else _INVERTED
        gate = units.index("se")
        missing = unit == gate and part not in _GATE
        return _unit(_place(number, repeats), units, unit + missing, part, leaf)

    head = f"blocks.{len(repeats)}.0"
    return (
        *_ends(last, f"{head}.conv", f"{head}.bn1"),
        (r"features\.(\d+)\.block\.(\d)\.(\w+)\.(\w+)", block),
        (r"classifier\.0\.(.+)", r"conv_head.\1"),
        (r"classifier\.3\.(.+)", r"classifier.\1"),
    )


def _mnasnet(match: re.Match[str]) -> str:
    names = {0: "conv_pw", 1: "bn1", 3: "conv_dw", 4: "bn2", 6: "conv_pwl", 7: "bn3"}
    return f"blocks.{int(match[1]) - 7}.{match[2]}.{names[int(match[3])]}.{match[4]}"


_MNASNET: Rules = (
    (r"layers\.(\d+)\.(\d+)\.layers\.(\d)\.(\w+)", _mnasnet),
    *(
        (rf"layers\.{number}\.(.+)", rf"{name}.\1")
        for number, name in {
            **{0: "conv_stem", 1: "bn1", 3: "blocks.0.0.conv_dw", 4: "blocks.0.0.bn1"},
            **{6: "blocks.0.0.conv_pw", 7: "blocks.0.0.bn2", 14: "conv_head", 15: "bn2"},
        }.items()
    ),
    (r"classifier\.1\.(.+)", r"classifier.\1"),
)
RULES: Mapping[str, Rules] = MappingProxyType(
    {
        "regnetx_*|regnety_*|regnet_x_*|regnet_y_*": _REGNET,
        "vgg*": _VGG,
        "convnext_*": _CONVNEXT,
        "densenet*": ((r"(.+\.denselayer\d+\.(?:norm|conv))\.([12])\.(.+)", r"\1\2.\3"),),  # of its published files
        "mobilenetv2_*|mobilenet_v2": (
            *_ends(18),
            (r"features\.(\d+)\.conv\.(\d)(?:\.(\d))?\.(\w+)", _mobilenet_v2),
        ),
        "mobilenetv3_large_*|mobilenet_v3_large": _mobilenet_v3(16, (1, 2, 3, 4, 2, 3)),
        "mobilenetv3_small_*|mobilenet_v3_small": _mobilenet_v3(12, (1, 2, 3, 2, 3)),
        "mnasnet*": _MNASNET,
        "efficientnetv2_s|efficientnet_v2_s": _staged(7, (_PLAIN, *[_FUSED] * 2, *[_INVERTED] * 3)),
        "efficientnetv2_*|efficientnet_v2_*": _staged(8, (_PLAIN, *[_FUSED] * 2, *[_INVERTED] * 4)),
        "efficientnet_b*": _staged(8, (_DEPTHWISE, *[_INVERTED] * 6)),
    }
)
"""Patterns of our networks' names (timm's and torchvision's), joined by "|" -> the rules of that family."""
NORMS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "efficientnet_b[567]": (1e-3, 0.01),
        "efficientnetv2_?|efficientnet_v2_?": (1e-3, 0.1),
        "mobilenetv3_*|mobilenet_v3_*": (1e-3, 0.01),
        "mnasnet*": (1e-5, 3e-4),
    }
)
"""Patterns of names -> (epsilon, momentum) of torchvision's batch norms, where they are not timm's."""


def norm_settings(network: str) -> tuple[float, float] | None:
    """Epsilon and momentum of the batch norms that torchvision trained `network` with; None where timm has the same."""
    return next((settings for patterns, settings in NORMS.items() if _matches(network, patterns)), None)


def timm_names(network: str, names: list[str]) -> dict[str, str]:
    """Torchvision's name -> ours, for the state dict of the network that we call `network`."""
    rules = next((rules for patterns, rules in RULES.items() if _matches(network, patterns)), ())
    return {name: _renamed(name, rules) for name in names}


def _matches(network: str, patterns: str) -> bool:
    return any(fnmatchcase(network, pattern) for pattern in patterns.split("|"))


def _renamed(name: str, rules: Rules) -> str:
    for pattern, becomes in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(becomes) if isinstance(becomes, str) else becomes(match)
    return name
