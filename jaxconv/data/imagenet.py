"""ImageNet-1k's classes; the images themselves are nobody's to hand on."""

from functools import cache
from pathlib import Path


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of the 1000 classes (WordNet's lemmas), in the order of the published networks' outputs."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text().splitlines())
