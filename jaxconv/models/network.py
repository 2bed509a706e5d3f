"""What every complete network shares: how it is called, what its table row holds, what it says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import branch_key

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a network before it is built.

    Attributes:
        name: its name in the table.
        source: the publication and the table of it that the numbers come from.
        parameters: trainable numbers as published, with the row's own settings.
        input_size: (height, width) that it is meant for, in pixels.
        fixed_input_size: whether it takes no other size, because it flattens its last map.
        num_classes: length of its output.
        in_chans: channels of its input.
        mean: what is subtracted from inputs in [0, 1], per channel; None where the data set decides.
        std: what they are then divided by; None where the data set decides.
        interpolation: how images are resized for it.
        crop_pct: the part of the resized image's side that the centre crop keeps.
        crop_mode: "center" resizes by the shorter side, "squash" to a square.
        tag: which published checkpoint the preprocessing and the classes are of; "" where there is none.
    """

    name: str
    source: str
    parameters: int
    input_size: tuple[int, int] = (224, 224)
    fixed_input_size: bool = False
    num_classes: int = 1000
    in_chans: int = 3
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str = "bilinear"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    tag: str = ""

    def size_for(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """The (height, width) of images: `size`, or where that is None what the network is meant for.

        Raises:
            ValueError: if the size is not positive, or the network takes another one only.
        """
        if size is not None and min(size) < 1:
            raise ValueError(f"size must be positive; got {size}.")
        if self.fixed_input_size and size not in (None, self.input_size):
            raise ValueError(
                f"size must be {self.input_size} for {self.name}, which flattens its last map; got {size}."
            )
        return size or self.input_size


@dataclass(frozen=True)
class Variant:
    """A row of a family's table: who builds it, with which settings, and what is known of it."""

    build: Callable[..., "Network"]
    info: ModelInfo
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Network(nnx.Module):
    """A trunk that returns a pyramid of maps, and a classifier that turns the last map into logits.

    A network writes `features` and `classify`, and names the module behind each level of the pyramid in `level_names`.

    Attributes:
        info: its table row, with the input channels and classes that it was built with.
        out_indices: the levels that a call returns instead of logits; None for logits.
    """

    level_names: tuple[str, ...] = ()
    info: ModelInfo
    out_indices: tuple[int, ...] | None = None

    def features(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps of x at every level of `level_names`, finest first."""
        raise NotImplementedError(f"{type(self).__name__} must define features().")

    def classify(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."]:
        """From the last map of `features` to logits (n, num_classes)."""
        raise NotImplementedError(f"{type(self).__name__} must define classify().")

    def logits(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."] | tuple[Float[Array, "n k"], ...]:
        """Logits (n, num_classes); in training, with auxiliary heads, a tuple (logits, auxiliary logits, ...)."""
        return self.classify(self.features(x, train, branch_key(key, 0))[-1], train, branch_key(key, 1))

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n ..."] | tuple[Float[Array, "..."], ...]:
        """Logits of the images x, or the maps at `out_indices` where the network was built for features."""
        if self.out_indices is None:
            return self.logits(x, train, key)
        maps = self.features(x, train, key)
        return tuple(maps[level] for level in self.out_indices)


def check_output_stride(output_stride: int, offered: tuple[int, ...] = (8, 16, 32)) -> None:
    """Holds an output stride to those that a family offers.

    Raises:
        ValueError: if it is none of them.
    """
    if output_stride not in offered:
        *others, last = offered
        raise ValueError(f"output_stride is {', '.join(map(str, others))} or {last}: got {output_stride}.")


def flatten(x: Float[Array, "n *space c"]) -> Float[Array, "n f"]:
    """Each image in one row, channels outermost as PyTorch orders them, so that its dense kernels carry over."""
    axes = (0, x.ndim - 1, *range(1, x.ndim - 1))
    return x.transpose(axes).reshape(x.shape[0], -1)
