"""The `jaxconv` command: one file a subcommand."""

import re
import sys
from collections.abc import Sequence

DONE, FAILED, USAGE, INTERRUPTED, PREEMPTED = 0, 1, 2, 130, 42


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: done. 1: some of the images could not be predicted. 2: a mistake in the call. 42: stopped by SIGTERM, state
    saved. 130: stopped by SIGINT, state saved.
    """
    import tyro

    from jaxconv.cli.evaluate import evaluate
    from jaxconv.cli.list import list_
    from jaxconv.cli.predict import predict
    from jaxconv.cli.summary import summary
    from jaxconv.cli.train import train
    from jaxconv.train import Stopped

    commands = {"train": train, "eval": evaluate, "predict": predict, "summary": summary, "list": list_}
    try:
        return tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="jaxconv",
            description="Convolutional networks in JAX: train, measure, apply, look inside.",
            args=list(sys.argv[1:] if arguments is None else arguments),
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except Stopped as stop:
        print(f"{stop}. The same command with --out on this directory continues it.", file=sys.stderr)
        return PREEMPTED if stop.signal == 15 else INTERRUPTED
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"jaxconv: error: {named_as_flag(str(error))}", file=sys.stderr)
        return USAGE


def named_as_flag(message: str) -> str:
    """The message with the setting at its start named as its flag: `batch_size must ...` to `--batch-size must ...`."""
    return re.sub(r"^([a-z]+(?:_[a-z]+)*)(?= must\b)", lambda m: "--" + m[1].replace("_", "-"), message)
