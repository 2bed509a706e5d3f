"""torchvision's names for networks that timm has under another one: the timm row, with torchvision's preprocessing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxconv.models.network import Variant
from jaxconv.models.published import published_info

ALIASES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType({})
"""torchvision's name -> (timm's name, settings in which torchvision's network differs)."""


def aliased(networks: Mapping[str, Variant]) -> dict[str, Variant]:
    """The rows of `ALIASES`, built as the networks they stand for."""
    rows = {}
    for name, (original, differing) in ALIASES.items():
        variant = networks[original]
        info = published_info(name, variant.info.source, "torchvision")
        rows[name] = Variant(variant.build, info, MappingProxyType({**variant.settings, **differing}))
    return rows
