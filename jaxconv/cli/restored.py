"""A trained network from a run directory."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxconv.models import create_model
from jaxconv.nn import functionalize
from jaxconv.train import Preprocess, Run, RunError
from jaxconv.train.checkpoint import Checkpoints


@dataclass(frozen=True)
class Restored:
    """A network with the parameters of the newest checkpoint of its run.

    Attributes:
        run: its directory and description.
        step: of the checkpoint.
        apply: `(params, batch_stats, x, *, train, key) -> (logits, batch_stats)`.
        params: nested dict of arrays; the moving average where the run kept one.
        batch_stats: nested dict of arrays.
        preprocess: bytes to what the network takes.
    """

    run: Run
    step: int
    apply: Callable[..., Any]
    params: Any
    batch_stats: Any
    preprocess: Preprocess

    @classmethod
    def open(cls, directory: str | os.PathLike[str]) -> "Restored":
        """Read the newest checkpoint of a run.

        Raises:
            RunError: if this is no run directory, or the run has no checkpoint yet.
        """
        run = Run.open(directory)
        missing = [name for name in ("model", "preprocess", "data") if not isinstance(run.record.get(name), dict)]
        if missing:
            raise RunError(
                f"{directory} does not say how its network is built: the record in run.json must hold model, "
                f"preprocess and data, as `jaxconv train` writes them; it lacks {', '.join(missing)}."
            )
        apply, params, batch_stats = functionalize(
            create_model(run.record["model"]["name"], **run.record["model"]["options"])
        )
        with Checkpoints(run.checkpoints, say=warn) as checkpoints:
            if checkpoints.latest() is None:
                raise RunError(f"{directory} has no checkpoint yet: the first one is saved after the first epoch.")
            step, params, batch_stats = checkpoints.restore_network(params, batch_stats)
        settings = dict(run.record["preprocess"])
        settings["size"] = tuple(settings["size"]) if settings["size"] else None
        return cls(run, step, apply, params, batch_stats, Preprocess(**settings))


def warn(text: str) -> None:
    """Tell the user on the error output."""
    print(f"jaxconv: {text}", file=sys.stderr)
