"""The networks that stand for all: the smallest of each family, by the class that builds it."""

from jaxconv.models import MODELS


def _smallest() -> list[str]:
    by_size = sorted(MODELS, key=lambda name: -MODELS[name].info.parameters)
    return sorted({MODELS[name].build: name for name in by_size}.values())


SMALLEST = _smallest()
