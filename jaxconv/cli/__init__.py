"""The `jaxconv` command: one file a subcommand."""

import io
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from jaxconv.cli.early import interruptible, preemptible

_PACKAGES = ("jaxconv", "jax", "jaxlib", "flax", "optax")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, see `users.answer`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be any bytes
    if given == ["--version"]:
        print(", ".join(f"{name} {version(name)}" for name in _PACKAGES) + f", Python {platform.python_version()}")
        return 0
    with preemptible(given[:1] == ["train"]):
        with interruptible():
            command = _imported(given)
        return command()


def _imported(arguments: list[str]) -> Callable[[], int]:
    """The command line, once everything that takes seconds to import has been."""
    import warnings

    import tyro

    from jaxconv.cli.bench import bench
    from jaxconv.cli.convert import convert
    from jaxconv.cli.evaluate import evaluate
    from jaxconv.cli.listing import list_
    from jaxconv.cli.predict import predict
    from jaxconv.cli.programs import keep_programs
    from jaxconv.cli.summary import summary
    from jaxconv.cli.train import train
    from jaxconv.cli.users import answer

    keep_programs()
    warnings.filterwarnings("ignore", module="PIL")  # of a photograph's notes and its size; no file is named
    commands = {
        **{"train": train, "eval": evaluate, "predict": predict},
        **{"summary": summary, "list": list_, "convert": convert, "bench": bench},
    }
    return lambda: answer(
        lambda: tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="jaxconv",
            description="Convolutional networks in JAX: train, measure, apply, look inside. --version names versions.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    )
