"""Writes the tables of published networks, from an installed timm and torchvision.

    pip install timm==1.0.31 torchvision==0.28.0
    python experiments/tables/published.py

jaxconv/models/published.csv: a line for each published checkpoint of a network that jaxconv has, its default one first.
jaxconv/data/imagenet_classes.txt: the 1000 classes of ImageNet-1k in their order, as timm names them.
"""

import csv
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import tyro

COLUMNS = (
    "library name tag weights parameters num_classes in_chans height width fixed interpolation crop_pct crop_mode "
    "mean std first_conv classifier"
)
TIMM_MODULES = (
    "resnet senet resnetv2 densenet efficientnet mobilenetv3 regnet byobnet convnext convmixer nfnet vgg inception_v3 "
    "inception_v4 inception_resnet_v2 xception xception_aligned"
)
FIRST_AND_LAST = {
    "alexnet": ("features.0", "classifier.6"),
    "convnext": ("stem.0", "head.fc"),
    "densenet": ("features.conv0", "classifier"),
    "efficientnet": ("conv_stem", "classifier"),
    "googlenet": ("conv1.conv", "fc"),
    "inception": ("Conv2d_1a_3x3.conv", "fc"),
    "mnasnet": ("conv_stem", "classifier"),
    "mobilenet": ("conv_stem", "classifier"),
    "regnet": ("stem.conv", "head.fc"),
    "resnet": ("conv1", "fc"),
    "resnext": ("conv1", "fc"),
    "shufflenet": ("conv1.0", "fc"),
    "squeezenet": ("features.0", "classifier.1"),
    "vgg": ("features.0", "head.fc"),
    "wide_resnet": ("conv1", "fc"),
}
"""Torchvision's families: the first and the last layer, in jaxconv's names."""


def timm_rows() -> Iterator[list[Any]]:
    """A row for each checkpoint that timm publishes."""
    import timm  # pyright: ignore[reportMissingImports]  (a peer, installed for these tables alone)
    import torch  # pyright: ignore[reportMissingImports]  (a peer)
    from timm.models._registry import _model_default_cfgs  # pyright: ignore[reportMissingImports]  (a peer)

    for module in TIMM_MODULES.split():
        for name in timm.list_models(module=module):
            with torch.device("meta"):
                parameters = sum(p.numel() for p in timm.create_model(name).parameters())
            published = _model_default_cfgs[name]
            checkpoints = sorted(published.cfgs.items(), key=lambda item: item[0] != published.tags[0])
            for i, (tag, c) in enumerate(checkpoints):
                hub = f"timm/{name}.{tag}" if c.hf_hub_id == "timm/" else c.hf_hub_id
                row = ["timm", name, tag, hub or c.url or "", "" if i else parameters, c.num_classes, *c.input_size]
                row += [int(bool(c.fixed_input_size)), c.interpolation, c.crop_pct, c.crop_mode]
                yield [*row, numbers(c.mean), numbers(c.std), joined(c.first_conv), joined(c.classifier)]


def torchvision_rows() -> Iterator[list[Any]]:
    """A row for each classifier that torchvision publishes."""
    from torchvision import models  # pyright: ignore[reportMissingImports]  (a peer, installed for these tables alone)

    for name in models.list_models(module=models):
        family = next((f for f in sorted(FIRST_AND_LAST, key=len, reverse=True) if name.startswith(f)), None)
        if family is None:  # vit, swin, maxvit
            continue
        options: dict[str, Any] = {"aux_logits": False} if family in ("googlenet", "inception") else {}
        options |= {"init_weights": False} if family in ("googlenet", "inception", "vgg") else {}
        parameters = sum(p.numel() for p in models.get_model(name, weights=None, **options).parameters())
        published = models.get_model_weights(name)
        for i, w in enumerate(sorted(published, key=lambda w: w != published.DEFAULT)):
            prepared = w.transforms()
            (crop,), (resize,) = prepared.crop_size, prepared.resize_size
            # With its weights torchvision sets transform_input in these two, which takes them from ImageNet's mean and
            # deviation to halves.
            halves = (0.5,) * 3 if family in ("googlenet", "inception") else None
            row = ["torchvision", name, w.name.lower(), w.url, "" if i else parameters, 1000, 3, crop, crop, 0]
            row += [prepared.interpolation.value, kept(crop, resize), "center"]
            yield [*row, numbers(halves or prepared.mean), numbers(halves or prepared.std), *FIRST_AND_LAST[family]]


def kept(crop: int, resize: int) -> float:
    """The part of the resized side that is kept, in as few digits as give `resize` back when it divides `crop`."""
    return next(part for digits in range(17) if int(crop / (part := round(crop / resize, digits) or 1)) == resize)


def numbers(values: tuple[float, ...]) -> str:
    """Numbers in a cell."""
    return " ".join(f"{v:g}" if abs(float(f"{v:g}") - v) < 1e-12 else repr(v) for v in values)


def joined(layers: str | tuple[str, ...] | None) -> str:
    """Names in a cell."""
    return layers if isinstance(layers, str) else " ".join(layers or ())


def classes() -> str:
    """The classes of ImageNet-1k, one a line."""
    folder = resources.files("timm.data") / "_info"
    lemmas = dict(
        line.split("\t") for line in (folder / "imagenet_synset_to_lemma.txt").read_text().splitlines() if line
    )
    return "".join(f"{lemmas[synset]}\n" for synset in (folder / "imagenet_synsets.txt").read_text().split())


def main() -> None:
    """Write the tables of published networks, from an installed timm and torchvision."""
    package = Path(__file__).parents[2] / "jaxconv"
    rows, names = [COLUMNS.split(), *timm_rows(), *torchvision_rows()], classes()
    with (package / "models" / "published.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    (package / "data" / "imagenet_classes.txt").write_text(names)


if __name__ == "__main__":
    tyro.cli(main)
