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
RULES: Mapping[str, Rules] = MappingProxyType(
    {
        "regnetx_*|regnety_*|regnet_x_*|regnet_y_*": _REGNET,
    }
)
"""Patterns of our networks' names (timm's and torchvision's), joined by "|" -> the rules of that family."""


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
