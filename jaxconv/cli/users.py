"""What a user sees of a mistake: one line and an exit code, not a traceback."""

import re
import signal
import sys
from collections.abc import Callable

from jaxconv.train import Stopped

DONE, FAILED, USAGE, PREEMPTED, INTERRUPTED = 0, 1, 2, 42, 130


def answer(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code.

    0: done. 1: a part could not be done: an image, a network. 2: a mistake in the call. 42: stopped by SIGTERM, state
    saved. 130: stopped by SIGINT, state saved.
    """
    try:
        return command()
    except Stopped as stop:
        print(f"{stop}. The same command with --out on this directory continues it.", file=sys.stderr)
        return PREEMPTED if stop.signal == signal.SIGTERM else INTERRUPTED
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"jaxconv: error: {named_as_flag(str(error))}", file=sys.stderr)
        return USAGE


def named_as_flag(message: str) -> str:
    """The message with the setting at its start named as its flag.

    `batch_size must ...` becomes `--batch-size must ...`; a single word is a setting only where `must` follows.
    """
    return re.sub(r"^[a-z]+(?:(?:_[a-z]+)+\b|(?= must\b))", lambda m: "--" + m[0].replace("_", "-"), message)
