"""How an image becomes the square that a published network was measured on; resizing and rounding are torchvision's."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class EvaluationCrop:
    """Resize by the shorter side, then cut out the centre: the transform of timm's and torchvision's evaluations.

    Attributes:
        size: (h, w) of the result in pixels.
        crop_pct: the part of the resized image's side that the crop keeps.
        crop_mode: "center" keeps the image's proportions; "squash" resizes both sides to the same length.
        interpolation: "bilinear" or "bicubic", antialiased, as Pillow does them.

    Raises:
        ValueError: if one of them is out of range.
    """

    size: tuple[int, int]
    crop_pct: float = 0.875
    crop_mode: str = "center"
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.crop_pct <= 1:
            raise ValueError(f"size is positive and crop_pct in (0, 1]; got {self.size} and {self.crop_pct}.")
        if self.crop_mode not in ("center", "squash") or self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                "crop_mode is center or squash and interpolation bilinear or bicubic; "
                f"got {self.crop_mode} and {self.interpolation}."
            )

    def __call__(self, image: "Image") -> "Image":
        """The cropped image."""
        from PIL import Image

        h, w = self.size
        new_w, new_h = self._resized(*image.size)
        if (new_w, new_h) != image.size:
            image = image.resize((new_w, new_h), Image.Resampling[self.interpolation.upper()])
        top, left = round((new_h - h) / 2), round((new_w - w) / 2)
        return image.crop((left, top, left + w, top + h))

    def _resized(self, old_w: int, old_h: int) -> tuple[int, int]:
        h, w = (math.floor(side / self.crop_pct) for side in self.size)
        if self.crop_mode == "squash":
            return w, h
        if w * old_h >= h * old_w:
            return w, w * old_h // old_w
        return h * old_w // old_h, h


def covering(size: tuple[int, int] | None) -> EvaluationCrop | None:
    """The crop that keeps the most of an image: it is resized (bicubic) until it just covers (h, w); None for None."""
    return None if size is None else EvaluationCrop(size=size, crop_pct=1.0, interpolation="bicubic")
