"""Complete networks: one family a file, each a table of variants and an assembly; here the tables come together."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import PRNGKeyArray

from jaxconv.functional.settings import number
from jaxconv.models import (
    alexnet,
    byob_table,
    convmixer,
    convnext,
    densenet,
    efficientnet,
    googlenet,
    inception_v3,
    inception_v4,
    lenet,
    nfnet,
    nielsen,
    pyramid,
    regnet,
    resnet,
    resnetv2,
    senet,
    shufflenet,
    squeezenet,
    vgg,
    xception,
    xception_aligned,
)
from jaxconv.models.features import FeatureInfo, feature_info
from jaxconv.models.fold import fold
from jaxconv.models.load import LoadReport, load_weights, save_weights
from jaxconv.models.network import ModelInfo, Network, Variant
from jaxconv.models.pretrained import load_pretrained, with_checkpoint
from jaxconv.models.reparameterize import reparameterize
from jaxconv.models.torchvision import aliased
from jaxconv.nn import initialize

__all__ = [
    "MODELS",
    "FeatureInfo",
    "LoadReport",
    "ModelInfo",
    "Network",
    "Variant",
    "create_model",
    "feature_info",
    "fold",
    "list_models",
    "load_weights",
    "model_info",
    "offered_settings",
    "reparameterize",
    "save_weights",
]

_NETWORKS = {
    **alexnet.VARIANTS,
    **byob_table.VARIANTS,
    **convmixer.VARIANTS,
    **convnext.VARIANTS,
    **densenet.VARIANTS,
    **efficientnet.VARIANTS,
    **googlenet.VARIANTS,
    **inception_v3.VARIANTS,
    **inception_v4.VARIANTS,
    **lenet.VARIANTS,
    **nfnet.VARIANTS,
    **nielsen.VARIANTS,
    **pyramid.VARIANTS,
    **regnet.VARIANTS,
    **resnet.VARIANTS,
    **resnetv2.VARIANTS,
    **senet.VARIANTS,
    **shufflenet.VARIANTS,
    **squeezenet.VARIANTS,
    **vgg.VARIANTS,
    **xception.VARIANTS,
    **xception_aligned.VARIANTS,
}
MODELS: Mapping[str, Variant] = MappingProxyType(_NETWORKS | aliased(_NETWORKS))
_NEUTRAL = {"drop_rate": 0, "drop_path_rate": 0, "output_stride": 32}  # what a network without such a setting does


def list_models(pattern: str = "*") -> list[str]:
    """The names of the networks that match a shell pattern such as "nielsen*", in alphabetical order."""
    return sorted(name for name in MODELS if fnmatchcase(name, pattern))


def model_info(name: str) -> ModelInfo:
    """What is known of the network `name` without building it.

    Raises:
        ValueError: if there is no such network; the message lists the closest names.
    """
    name, _, tag = name.partition(".")
    info = _variant(name).info
    return with_checkpoint(info, tag) if tag else info


def offered_settings(name: str) -> tuple[str, ...]:
    """The keywords of `create_model` that the network `name` takes, such as "drop_path_rate" or "aux_logits".

    Raises:
        ValueError: if there is no such network; the message lists the closest names.
    """
    build = _variant(name.partition(".")[0]).build
    signature = inspect.signature(build.__init__ if isinstance(build, type) else build)  # NNX hides the class's own
    return tuple(keyword for keyword in signature.parameters if keyword != "self")


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
    global_pool: str | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    output_stride: int | None = None,
    pretrained: bool | str | Path = False,
    key: int | PRNGKeyArray | None = 0,
    **settings: Any,
) -> Network:
    """Builds the network `name` and draws its parameters.

    The keywords are timm's. None takes what the network's own row says: mostly 1000 classes, 3 channels, no dropout,
    "avg" pooling, output stride 32; see `model_info(name)`.

    Args:
        name: one of `list_models()`, perhaps with the tag of a published checkpoint: "resnet50.a2_in1k". The tag
            chooses the preprocessing in `model.info`, the default number of classes, and what `pretrained` loads.
        num_classes: length of the output; 0 removes the classifier.
        in_chans: channels of the input images.
        drop_rate: probability of dropout before the classifier, in [0, 1).
        drop_path_rate: probability of skipping a residual branch, in [0, 1).
        global_pool: what reduces the last map to a vector: "avg", "max", "avgmax", "catavgmax", or "" for nothing.
        features_only: whether a call returns the pyramid of maps, as `model.features` does, instead of logits.
        out_indices: the levels of that pyramid to return; all by default, negative ones count from the last.
        output_stride: total stride of the trunk; below 32 the last strides become dilation.
        pretrained: whether to start from published weights: True for those on the Hugging Face hub, or the file or
            folder that holds them, or any others of this network. A classifier for another `num_classes` stays as
            drawn; a first convolution for other `in_chans` is summed or repeated, as timm does.
        key: an int or a JAX random key for the parameters. None leaves them undrawn, for a network whose weights are
            loaded next or whose shapes alone are of interest.
        **settings: what this network offers besides, such as `aux_logits`.

    Raises:
        ValueError: if there is no such network, if this one does not offer a setting that is given, if it has no
            published weights, or if the pyramid has no such level.
    """
    name, _, tag = name.partition(".")
    variant = _variant(name)
    info = with_checkpoint(variant.info, tag) if tag or pretrained is True else variant.info
    common = {
        "num_classes": num_classes,
        "in_chans": in_chans,
        "drop_rate": drop_rate,
        "drop_path_rate": drop_path_rate,
        "global_pool": global_pool,
        "output_stride": output_stride,
    }
    given = {keyword: value for keyword, value in common.items() if value is not None} | settings
    _check_ranges(given)
    given = _offered(name, given)
    sizes = {"num_classes": info.num_classes, "in_chans": info.in_chans}
    chosen = {**sizes, **variant.settings, **given}
    if features_only:
        chosen["num_classes"] = 0
    model = variant.build(**chosen)
    model.info = replace(info, num_classes=chosen["num_classes"], in_chans=chosen["in_chans"])
    if features_only or out_indices is not None:
        model.out_indices = _levels(model, features_only, out_indices)
    if pretrained:
        load_pretrained(model, tag, pretrained)
    return model if key is None else initialize(model, key)


def _variant(name: str) -> Variant:
    if name not in MODELS:
        begun = sorted((known for known in MODELS if name and known.startswith(name.lower())), key=len)[:2]
        close = dict.fromkeys(begun + get_close_matches(name.lower(), MODELS, n=5, cutoff=0.3)) or list_models()[:5]
        raise ValueError(f"There is no network {name!r}. The closest names: {', '.join(list(close)[:5])}.")
    return MODELS[name]


def _check_ranges(given: Mapping[str, Any]) -> None:
    for name, least, rule in (("num_classes", 0, "zero or positive"), ("in_chans", 1, "positive")):
        if not isinstance(given.get(name, least), int | np.integer) or isinstance(given.get(name), bool):
            raise TypeError(f"{name} must be a whole number; got {given[name]!r}.")
        if given.get(name, least) < least:
            raise ValueError(f"{name} must be {rule}; got {given[name]}.")
    for name in ("drop_rate", "drop_path_rate"):
        if not 0 <= number(name, given.get(name, 0)) < 1:
            raise ValueError(f"{name} must be a probability in [0, 1); got {given[name]}.")


def _offered(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the network knows; one that it does not may only ask for what any network does anyway."""
    offered = offered_settings(name)
    unknown = {keyword: value for keyword, value in given.items() if keyword not in offered}
    refused = [f"{keyword}={value!r}" for keyword, value in unknown.items() if _NEUTRAL.get(keyword) != value]
    if refused:
        raise ValueError(f"{name} offers {', '.join(offered)}: got {', '.join(refused)}.")
    return {keyword: value for keyword, value in given.items() if keyword in offered}


def _levels(model: Network, features_only: bool, out_indices: Sequence[int] | None) -> tuple[int, ...]:
    count = len(model.level_names)
    if not features_only:
        raise ValueError(f"out_indices picks levels for features_only=True: got out_indices={out_indices} without it.")
    levels = tuple(range(count)) if out_indices is None else out_indices
    if not isinstance(levels, Sequence) or not all(isinstance(level, int | np.integer) for level in levels):
        raise TypeError(f"out_indices must be a sequence of whole numbers, such as (1, 2); got {out_indices!r}.")
    if not levels or any(not -count <= level < count for level in levels):
        raise ValueError(f"{model.info.name} has {count} levels, numbered from 0: got out_indices={out_indices}.")
    return tuple(level % count for level in levels)
