"""A recipe becomes a command: its keywords are the flags."""

import inspect
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxconv.cli.train import report
from jaxconv.cli.upkeep import Upkeep
from jaxconv.cli.users import answer
from jaxconv.train import Experiment


def run_recipe(recipe: Callable[..., Experiment], arguments: Sequence[str] | None = None) -> int:
    """Build the experiment from the command line, train it, print the results; returns the exit code.

    Args:
        recipe: a typed function of keywords that returns an `Experiment`; its docstring is the help. The flags of
            `Upkeep` are added: `--out`, `--save-every`, `--max-restarts` ...
        arguments: without the name of the program; `sys.argv[1:]` by default.
    """

    def command(*, upkeep: Upkeep, **knobs) -> int:
        def run(out: Path, first: bool) -> int:
            experiment = recipe(**knobs)
            result = upkeep.fit(experiment, out, progress=True)
            if first:
                report(experiment, result)
            return 0

        return upkeep.run(Path("runs") / f"{recipe.__name__}-{time.strftime('%Y%m%d-%H%M%S')}", run)

    kept = Annotated[Upkeep, tyro.conf.arg(name="")]
    place = inspect.Parameter("upkeep", inspect.Parameter.KEYWORD_ONLY, annotation=kept)
    signature = inspect.signature(recipe)
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), place], return_annotation=int)
    command.__annotations__ = {**recipe.__annotations__, "upkeep": kept, "return": int}
    command.__doc__ = inspect.cleandoc(recipe.__doc__ or "") + "\n    upkeep: Where the run lives."
    return answer(lambda: tyro.cli(command, args=arguments, config=(tyro.conf.OmitArgPrefixes,)))
