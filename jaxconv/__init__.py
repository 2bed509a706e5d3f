"""jaxconv: convolutional networks in JAX.

    import jaxconv.functional as F          # pure functions: arrays in, arrays out
    model = jaxconv.create_model("lenet5")  # a Flax module, by name
    apply, params, batch_stats = jaxconv.functionalize(model)
    print(jaxconv.summary(model))           # parameters, multiply-adds, receptive field of each layer
    jaxconv.fit(experiment, "runs/first")   # train; stop it, start it again, it goes on

What needs more than jax and flax is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxconv import functional, nn
    from jaxconv.data import Dataset, load_dataset, normalization, read_image
    from jaxconv.explain import summary
    from jaxconv.models import (
        LoadReport,
        ModelInfo,
        create_model,
        feature_info,
        fold,
        list_models,
        load_weights,
        model_info,
        save_weights,
    )
    from jaxconv.nn import functionalize, initialize
    from jaxconv.train import Experiment, Preprocess, Result, Run, fit, make_optimizer, make_schedule

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Experiment",
    "LoadReport",
    "ModelInfo",
    "Preprocess",
    "Result",
    "Run",
    "create_model",
    "feature_info",
    "fit",
    "fold",
    "functional",
    "functionalize",
    "initialize",
    "list_models",
    "load_dataset",
    "load_weights",
    "make_optimizer",
    "make_schedule",
    "model_info",
    "nn",
    "normalization",
    "read_image",
    "save_weights",
    "summary",
]

_LAYERS = {
    "data": ("Dataset", "load_dataset", "normalization", "read_image"),
    "explain": ("summary",),
    "models": (
        "LoadReport",
        "ModelInfo",
        "create_model",
        "feature_info",
        "fold",
        "list_models",
        "load_weights",
        "model_info",
        "save_weights",
    ),
    "nn": ("functionalize", "initialize"),
    "train": ("Experiment", "Preprocess", "Result", "Run", "fit", "make_optimizer", "make_schedule"),
}
_HOME = {name: layer for layer, names in _LAYERS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"jaxconv.{_HOME[name]}"), name)
    if name in ("functional", "nn"):
        return importlib.import_module(f"jaxconv.{name}")
    raise AttributeError(f"module 'jaxconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
