"""torchvision's names for networks that timm has under another one: the timm row, with torchvision's preprocessing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jaxconv.models.network import Variant
from jaxconv.models.published import published_info

_REGNETS = {
    "x_400mf": "x_004_tv",
    "x_800mf": "x_008",
    "x_1_6gf": "x_016",
    "x_3_2gf": "x_032",
    "x_8gf": "x_080",
    "x_16gf": "x_160",
    "x_32gf": "x_320",
    "y_400mf": "y_004",
    "y_800mf": "y_008_tv",
    "y_1_6gf": "y_016",
    "y_3_2gf": "y_032",
    "y_8gf": "y_080_tv",
    "y_16gf": "y_160",
    "y_32gf": "y_320",
    "y_128gf": "y_1280",
}
ALIASES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        **{f"regnet_{ours}": (f"regnet{timm}", {"zero_init_last": False}) for ours, timm in _REGNETS.items()},
        "mobilenet_v2": ("mobilenetv2_100", {"drop_rate": 0.2}),
        "mobilenet_v3_large": ("mobilenetv3_large_100", {"epsilon": 1e-3, "momentum": 0.01, "drop_rate": 0.2}),
        "mobilenet_v3_small": ("mobilenetv3_small_100", {"epsilon": 1e-3, "momentum": 0.01, "drop_rate": 0.2}),
        "mnasnet0_5": ("mnasnet_050", {"momentum": 3e-4, "drop_rate": 0.2}),
        "mnasnet0_75": ("mnasnet_075", {"momentum": 3e-4, "drop_rate": 0.2}),
        "mnasnet1_0": ("mnasnet_100", {"momentum": 3e-4, "drop_rate": 0.2}),
        "mnasnet1_3": ("mnasnet_100", {"width": 1.3, "momentum": 3e-4, "drop_rate": 0.2}),
        **{f"efficientnet_v2_{size}": (f"efficientnetv2_{size}", {"epsilon": 1e-3}) for size in ("s", "m", "l")},
    }
)
"""torchvision's name -> (timm's name, settings in which torchvision's network differs)."""


def aliased(networks: Mapping[str, Variant]) -> dict[str, Variant]:
    """The rows of `ALIASES`, built as the networks they stand for."""
    rows = {}
    for name, (original, differing) in ALIASES.items():
        variant = networks[original]
        info = published_info(name, variant.info.source, "torchvision")
        rows[name] = Variant(variant.build, info, MappingProxyType({**variant.settings, **differing}))
    return rows
