"""A recipe becomes a command: its keywords are the flags."""

import inspect
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from jaxconv.cli.train import report
from jaxconv.cli.users import answer
from jaxconv.train import Experiment, fit


def run_recipe(recipe: Callable[..., Experiment], arguments: Sequence[str] | None = None) -> int:
    """Build the experiment from the command line, train it, print the results; returns the exit code.

    Args:
        recipe: a typed function of keywords that returns an `Experiment`; its docstring is the help. `--out` is added.
        arguments: without the name of the program; `sys.argv[1:]` by default.
    """

    def command(*, out: Path | None = None, **knobs) -> int:
        experiment = recipe(**knobs)
        directory = out or Path("runs") / f"{recipe.__name__}-{time.strftime('%Y%m%d-%H%M%S')}"
        report(experiment, fit(experiment, directory))
        return 0

    place = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Path | None)
    signature = inspect.signature(recipe)
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), place], return_annotation=int)
    command.__annotations__ = {**recipe.__annotations__, "out": Path | None, "return": int}
    command.__doc__ = inspect.cleandoc(recipe.__doc__ or "") + (
        "\n    out: Run directory; an unfinished run there is continued. Default: runs/RECIPE-DATE-TIME."
    )
    return answer(lambda: tyro.cli(command, args=arguments))
