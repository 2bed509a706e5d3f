"""What a network's pyramid of features looks like, found by tracing it."""

from dataclasses import dataclass

from jaxconv.models.network import Network
from jaxconv.nn.receptive import receptive_fields
from jaxconv.nn.trace import trace


@dataclass(frozen=True)
class FeatureInfo:
    """One level of the pyramid that `model.features(x)` returns.

    Attributes:
        module: attribute path of the module that makes it.
        channels: length of its last axis.
        stride: pixels between neighbours, along height; width is alike in every network here. timm's `reduction`.
        receptive_field: pixels (height, width) that one element depends on, padding included.
    """

    module: str
    channels: int
    stride: int | float
    receptive_field: tuple[int, int]


def feature_info(model: Network) -> tuple[FeatureInfo, ...]:
    """The levels that `model.features(x)` returns, finest first; with `out_indices`, those that a call returns.

    Strides and receptive fields are those of images of `model.info.input_size`.
    """
    traced = trace(model, (1, *model.info.input_size, model.info.in_chans), method="features")
    program = traced.jaxpr.jaxpr
    maps = range(len(program.outvars) - len(model.level_names), len(program.outvars))
    fields = receptive_fields(traced.jaxpr, len(program.invars) - 1)
    levels = []
    for name, index in zip(model.level_names, maps):
        field = fields[index]
        stride = None if field is None else field.stride(0)
        assert field is not None and stride is not None, f"{name} is no map of the image"
        channels = program.outvars[index].aval.shape[-1]  # pyright: ignore[reportAttributeAccessIssue]  (an array)
        levels.append(FeatureInfo(name, channels, stride, (field.size(0), field.size(1))))
    return tuple(levels[i] for i in model.out_indices or range(len(levels)))
