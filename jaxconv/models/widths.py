"""Rounding of channel counts, as the reference implementations round them."""


def divisible(value: int | float, divisor: int = 8, *, least: int | None = None, kept: int | float = 0.9) -> int:
    """The multiple of `divisor` nearest to `value`, halves up; the next one where that loses more than 1 - `kept`.

    Args:
        value: what is rounded.
        divisor: what the result is a multiple of.
        least: the smallest result; `divisor` where None.
        kept: the part of `value` that rounding down must keep; 0 lets it lose anything.

    Reference: Sandler et al., "MobileNetV2", whose code rounds widths so; timm's and torchvision's `make_divisible`.
    """
    nearest = max(least or divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < kept * value else nearest
