"""When a run is saved and what is kept."""

import re
from dataclasses import dataclass, field
from typing import Literal

METRICS = ("accuracy", "loss")
ERRORS = ("stop", "continue")


@dataclass(frozen=True, kw_only=True)
class Saving:
    """When checkpoints are saved and which stay. None of it changes what a run computes.

    Attributes:
        every: between two saves beside those at the end of each epoch: "500" steps or "60s" seconds; None for none.
        keep: how many of the newest checkpoints stay.
        keep_best: "accuracy" or "loss" of the evaluation: the checkpoint with its best value stays too; None for none.
        on_error: what follows when a checkpoint cannot be written (a full disk): "stop" ends the run, "continue" goes
            on training and tries again at the next one.

    Raises:
        ValueError: if one of them is none of these.
    """

    every: str | None = None
    keep: int = 3
    keep_best: str | None = None
    on_error: Literal["stop", "continue"] = "stop"
    steps: int | None = field(init=False, default=None)
    seconds: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if not isinstance(self.keep, int):
            raise TypeError(f"keep must be a whole number; got {self.keep!r}.")
        if self.keep < 1:
            raise ValueError(f"keep must be positive; got {self.keep}.")
        if self.keep_best is not None and self.keep_best not in METRICS:
            raise ValueError(f"keep_best must be one of {', '.join(METRICS)}; got {self.keep_best}.")
        if self.on_error not in ERRORS:
            raise ValueError(f"on_save_error must be one of {', '.join(ERRORS)}; got {self.on_error}.")
        if self.every is not None:
            number = re.fullmatch(r"(\d+|\d+(?:\.\d+)?s)", str(self.every))
            if not isinstance(self.every, str) or number is None or not float(self.every.rstrip("s")):
                raise ValueError(f"save_every must be steps such as 500 or seconds such as 60s; got {self.every}.")
            kind = "seconds" if self.every.endswith("s") else "steps"
            object.__setattr__(self, kind, (float if kind == "seconds" else int)(self.every.rstrip("s")))
