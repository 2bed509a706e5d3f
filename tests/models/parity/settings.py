"""Records what timm answers where a network is built with other settings: channels, classes, pools, output strides.

python -m models.parity.settings    # from tests/; needs torch and timm 1.0.31; writes settings.json beside this file

A case is a network, its settings and an image size; the record has the logits of two images (weights and images from
`synth.py`), and the channels and strides of `features_only=True` with the same output stride, where timm offers it.
"""

import json
from pathlib import Path

from models.parity import synth

FILE = Path(__file__).with_name("settings.json")
CLASSES = 7
NETWORKS = (
    "test_resnet resnet26d ecaresnet26t legacy_seresnet18 resnetv2_18 densenet121 mobilenetv3_small_050 "
    "efficientnet_lite0 mobilenetv4_conv_small regnetx_002 regnetv_040 test_byobnet repvgg_a0 test_convnext "
    "convmixer_768_32 test_nfnet inception_v3 inception_v4 inception_resnet_v2 legacy_xception xception41"
).split()
SETTINGS = (
    {"in_chans": 2, "global_pool": "catavgmax"},
    {"in_chans": 1, "global_pool": "max", "output_stride": 16},
    {"in_chans": 3, "global_pool": "avgmax", "output_stride": 8},
)
ROUNDED = ("regnetv_040",)
"""Networks whose logits rounding decides on these weights (see `unstable.txt`): only their pyramid is recorded.

With output stride 8 timm's float32 is 1.7e-3 from its own float64, and ours in float64 3.2e-13 from that."""
REFUSED = (AssertionError, NotImplementedError, RuntimeError, TypeError)
"""How timm says that a network does not offer a setting."""


def side(name: str) -> int:
    """Of the images, in pixels: the smallest that the network takes."""
    return 128 if "inception" in name else 72


def record(name: str, settings: dict) -> dict:
    """The record of one case, without what timm refuses."""
    return {"name": name, "settings": settings, "side": side(name), **logits(name, settings), **pyramid(name, settings)}


def logits(name: str, settings: dict) -> dict[str, list]:
    import timm
    import torch

    if name in ROUNDED:
        return {}
    try:
        net = timm.create_model(name, num_classes=CLASSES, **settings).eval()
    except REFUSED as error:
        print(f"{name} {settings}: {type(error).__name__} {error}", flush=True)
        return {}
    weights = {key: torch.tensor(synth.tensor(key, tuple(v.shape))) for key, v in net.state_dict().items() if v.ndim}
    net.load_state_dict(weights, strict=False)
    size, channels = side(name), settings["in_chans"]
    with torch.no_grad():
        answers = net(torch.tensor(synth.images(2, size, size, channels).transpose(0, 3, 1, 2))).numpy()
    return {"logits": answers.tolist()}


def pyramid(name: str, settings: dict) -> dict[str, list[int]]:
    import timm

    kept = {key: value for key, value in settings.items() if key != "global_pool"}
    try:
        info = timm.create_model(name, features_only=True, **kept).feature_info
    except REFUSED as error:
        print(f"{name} features_only {kept}: {type(error).__name__} {error}", flush=True)
        return {}
    return {"channels": info.channels(), "reduction": info.reduction()}


if __name__ == "__main__":
    cases = [record(name, settings) for name in NETWORKS for settings in SETTINGS]
    answered = [json.dumps(case) for case in cases if "logits" in case or "channels" in case]
    FILE.write_text("[\n" + ",\n".join(answered) + "\n]\n")
