"""torchvision's names for what timm names otherwise: rules on the names of a state dict, a table a family.

A rule is a regular expression that matches a whole name and what it becomes, a template or a function of the match. The
first rule that matches decides; a name that none matches stays as it is.
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]

RULES: Mapping[str, Rules] = MappingProxyType({})
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
