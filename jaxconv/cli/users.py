"""What a user sees of a mistake: one line and an exit code, not a traceback."""

import re
import signal
import sys
from collections.abc import Callable

import jax

from jaxconv.cli.codes import FAILED, INTERRUPTED, PREEMPTED, USAGE
from jaxconv.train import CheckpointError, Stopped
from jaxconv.train.processes import leave


def answer(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code.

    0: done. 1: some of the images could not be predicted, a checkpoint could not be written, or an error of the program
    or the machine, with its traceback. 2: a mistake in the call, its data or its numbers. 42: stopped by SIGTERM, state
    saved. 130: stopped by SIGINT, state saved.

    One of several processes ends at once after an error: the others wait for it, and would wait for ever.
    """
    try:
        code = _answer(command)
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        leave(FAILED, error)
    if code in (FAILED, USAGE) and jax.distributed.is_initialized():
        leave(code)
    return code


def _answer(command: Callable[[], int]) -> int:
    try:
        return command()
    except Stopped as stop:
        print(f"{stop}. The same command with --out on this directory continues it.", file=sys.stderr)
        return PREEMPTED if stop.signal == signal.SIGTERM else INTERRUPTED
    except KeyboardInterrupt:
        print("jaxconv: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except CheckpointError as error:
        return _say(error, FAILED)
    except (ValueError, FloatingPointError, OSError) as error:
        return _say(error, USAGE)


def _say(error: Exception, code: int) -> int:
    print(f"jaxconv: error: {named_as_flag(str(error))}", file=sys.stderr)
    return code


def named_as_flag(message: str) -> str:
    """The message with the setting at its start named as its flag.

    `batch_size must ...` becomes `--batch-size must ...`; a single word is a setting only where `must` follows.
    """
    return re.sub(r"^[a-z]+(?:(?:_[a-z]+)+\b|(?= must\b))", lambda m: "--" + m[0].replace("_", "-"), message)
