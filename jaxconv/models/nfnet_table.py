"""The rows of the networks without norms: timm's names, and the settings of `nfnet.NFNet` that make each.

Depths and widths: Brock et al., arXiv:2102.06171, table 1 (F); arXiv:2101.08692, appendix (RegNet); the light ones are
timm's.
"""

_F = {"channels": (256, 512, 1536, 1536), "stem_width": 128, "twice": True}
_LIGHT = {**_F, "group_size": 64, "bottleneck": 0.25}
_FULL = {**_F, "group_size": 128, "gate": "se", "act": "gelu", "features_out": 3072}
_RESNETS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_RESNET = {"channels": (256, 512, 1024, 2048), "stem": "7x7", "stem_width": 64, "bottleneck": 0.25, "act": "relu"}
_REG = {"stem": "3x3", "group_size": 8, "gate": "se", "width": 0.75, "bottleneck": 2.25, "reg": True}
_REGNETS = {  # depths, channels, last convolution
    "b0": ((1, 3, 6, 6), (48, 104, 208, 440), 1280),
    "b1": ((2, 4, 7, 7), (48, 104, 208, 440), 1280),
    "b2": ((2, 4, 8, 8), (56, 112, 232, 488), 1419),
    "b3": ((2, 5, 9, 9), (56, 128, 248, 528), 1536),
    "b4": ((2, 6, 11, 11), (64, 144, 288, 616), 1792),
    "b5": ((3, 7, 14, 14), (80, 168, 336, 704), 2048),
}


def _times(factor: int) -> tuple[int, ...]:
    return tuple(factor * count for count in (1, 2, 6, 3))


TABLE = {
    **{f"dm_nfnet_f{n}": {"depths": _times(n + 1), **_FULL, "deepmind": True} for n in range(7)},
    **{f"nfnet_f{n}": {"depths": _times(n + 1), **_FULL} for n in range(8)},
    "nfnet_l0": {"depths": _times(1), **_LIGHT, "gate": "se", "gate_ratio": 0.25, "features_out": 2304},
    "eca_nfnet_l0": {"depths": _times(1), **_LIGHT, "gate": "eca", "features_out": 2304},
    **{f"eca_nfnet_l{n}": {"depths": _times(n + 1), **_LIGHT, "gate": "eca", "features_out": 3072} for n in (1, 2, 3)},
    **{
        f"nf_regnet_{name}": {"depths": depths, "channels": channels, "features_out": out, **_REG}
        for name, (depths, channels, out) in _REGNETS.items()
    },
    **{f"nf_resnet{depth}": {"depths": depths, **_RESNET} for depth, depths in _RESNETS.items()},
    **{
        f"nf_seresnet{depth}": {"depths": depths, **_RESNET, "gate": "se", "gate_ratio": 1 / 16}
        for depth, depths in _RESNETS.items()
    },
    **{f"nf_ecaresnet{depth}": {"depths": depths, **_RESNET, "gate": "eca"} for depth, depths in _RESNETS.items()},
    "test_nfnet": {
        **{"depths": (1, 1, 1, 1), **_LIGHT, "channels": (32, 64, 96, 128), "group_size": 8},
        **{"gate": "se", "gate_ratio": 0.25, "features_out": 192},
    },
}
