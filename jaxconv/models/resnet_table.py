"""The rows of the ResNet family: timm's names, and the settings of `resnet.ResNet` that make each.

Depths: He et al., arXiv:1512.03385, table 1; 200 and above: the papers of `resnet`. `PRUNED` has the widths that are
left of two ECA networks after pruning (Aflalo et al., "Knapsack Pruning with Inner Distillation", arXiv:2002.08258).
"""

_DEPTHS = {
    10: (1, 1, 1, 1),
    14: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    201: (3, 24, 36, 4),
    269: (3, 30, 48, 8),
}
_BASIC = (10, 18, 34)
_STEMS = {
    "": {},
    "c": {"stem": "deep", "stem_width": 32},
    "d": {"stem": "deep", "stem_width": 32, "shortcut": 0},
    "s": {"stem": "deep", "stem_width": 64},
    "t": {"stem": "tiered", "stem_width": 32, "shortcut": 0},
}
_RS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}


def _net(depth: int, letter: str = "", **settings):
    """The settings of a network of `depth` layers with the stem and shortcuts of `letter`."""
    return {"layers": _DEPTHS[depth], "bottleneck": depth not in _BASIC, **_STEMS[letter], **settings}


def _next(depth: int, groups: int, base_width: int, letter: str = "", **settings):
    """A ResNeXt: grouped 3x3 convolutions (Xie et al., arXiv:1611.05431, table 1)."""
    return _net(depth, letter, groups=groups, base_width=base_width, **settings)


TABLE = {
    **{f"resnet{depth}": _net(depth) for depth in (18, 26, 34, 50, 101, 152, 200)},
    **{f"resnet{depth}c": _net(depth, "c") for depth in (50, 101, 152)},
    **{f"resnet{depth}d": _net(depth, "d") for depth in (18, 26, 34, 50, 101, 152, 200)},
    **{f"resnet{depth}s": _net(depth, "s") for depth in (50, 101, 152)},
    **{f"resnet{depth}t": _net(depth, "t") for depth in (10, 14, 26, 50)},
    "resnet50_gn": _net(50, norm="group"),
    "wide_resnet50_2": _net(50, base_width=128),
    "wide_resnet101_2": _net(101, base_width=128),
    "resnetaa34d": _net(34, "d", smoothing="avg"),
    "resnetaa50": _net(50, smoothing="avg"),
    "resnetaa50d": _net(50, "d", smoothing="avg"),
    "resnetaa101d": _net(101, "d", smoothing="avg"),
    "resnetblur18": _net(18, smoothing="blur"),
    "resnetblur50": _net(50, smoothing="blur"),
    "resnetblur50d": _net(50, "d", smoothing="blur"),
    "resnetblur101d": _net(101, "d", smoothing="blur"),
    "resnext50_32x4d": _next(50, 32, 4),
    "resnext50d_32x4d": _next(50, 32, 4, "d"),
    **{f"resnext101_32x{width}d": _next(101, 32, width) for width in (4, 8, 16, 32)},
    "resnext101_64x4d": _next(101, 64, 4),
    **{f"seresnet{depth}": _net(depth, gate="se") for depth in (18, 34, 50, 101, 152)},
    **{f"seresnet{depth}d": _net(depth, "d", gate="se") for depth in (152, 200, 269)},
    "seresnet50t": _net(50, "t", gate="se"),
    "seresnetaa50d": _net(50, "d", gate="se", smoothing="avg"),
    "seresnext26d_32x4d": _next(26, 32, 4, "d", gate="se"),
    "seresnext26t_32x4d": _next(26, 32, 4, "t", gate="se"),
    "seresnext50_32x4d": _next(50, 32, 4, gate="se"),
    "seresnext101_32x4d": _next(101, 32, 4, gate="se"),
    "seresnext101_32x8d": _next(101, 32, 8, gate="se"),
    "seresnext101_64x4d": _next(101, 64, 4, gate="se"),
    "seresnext101d_32x8d": _next(101, 32, 8, "d", gate="se"),
    "seresnextaa101d_32x8d": _next(101, 32, 8, "d", gate="se", smoothing="avg"),
    "seresnextaa201d_32x8d": _next(201, 32, 8, "d", gate="se", smoothing="avg") | {"stem_width": 64},
    "senet154": _next(152, 64, 4, gate="se", stem="deep", shortcut=3, reduce_first=2),
    "ecaresnet26t": _net(26, "t", gate="eca"),
    "ecaresnet50t": _net(50, "t", gate="eca"),
    **{f"ecaresnet{depth}d": _net(depth, "d", gate="eca") for depth in (50, 101, 200, 269)},
    "ecaresnet50d_pruned": _net(50, "d", gate="eca", pruned="ecaresnet50d"),
    "ecaresnet101d_pruned": _net(101, "d", gate="eca", pruned="ecaresnet101d"),
    "ecaresnetlight": {"layers": (1, 1, 11, 3), "shortcut": 0, "gate": "eca"},
    "ecaresnext26t_32x4d": _next(26, 32, 4, "t", gate="eca"),
    "ecaresnext50t_32x4d": _next(50, 32, 4, "t", gate="eca"),
    **{
        f"resnetrs{depth}": {"layers": layers, **_STEMS["d"], "stem_pool": False, "gate": "se4"}
        for depth, layers in _RS.items()
    },
    "test_resnet": {
        "layers": (1, 1, 1, 1),
        "bottleneck": (False, False, True, False),
        "channels": (32, 48, 48, 96),
        **_STEMS["d"],
        "stem_width": 16,
    },
}
PRUNED = {
    "ecaresnet50d": (
        ((47, 18, 19), (52, 22, 19), (64, 35, 19)),
        ((85, 37, 171), (107, 80, 171), (120, 85, 171), (125, 87, 171)),
        ((198, 126, 818), (255, 232, 818), (256, 233, 818), (253, 235, 818), (256, 225, 818), (256, 239, 818)),
        ((492, 237, 2022), (512, 500, 2022), (512, 490, 2022)),
    ),
    "ecaresnet101d": (
        ((45, 25, 26), (53, 20, 26), (60, 27, 26)),
        ((81, 24, 142), (93, 49, 142), (102, 54, 142), (122, 78, 142)),
        (
            *((101, 25, 278), (239, 160, 278), (234, 156, 278), (250, 176, 278), (253, 191, 278), (251, 175, 278)),
            *((230, 128, 278), (244, 154, 278), (244, 159, 278), (238, 97, 278), (244, 149, 278), (253, 181, 278)),
            *((245, 119, 278), (255, 216, 278), (256, 201, 278), (253, 149, 278), (254, 141, 278), (256, 190, 278)),
            *((256, 217, 278), (255, 156, 278), (256, 155, 278), (256, 232, 278), (256, 214, 278)),
        ),
        ((499, 289, 2042), (512, 512, 2042), (512, 502, 2042)),
    ),
}
