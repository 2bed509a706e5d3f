"""What a user sees of a mistake: one line and an exit code, not a traceback."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jaxconv.train import Stopped

DONE, FAILED, USAGE, PREEMPTED, INTERRUPTED = 0, 1, 2, 42, 130

WRONG_PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
"""The errors of the system that another call avoids; the others (a full disk, no network) may pass by themselves."""


def answer(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code.

    0: done. 1: what may go well another time: a full disk, no network, no memory; also, some of the images could not
    be predicted. 2: a mistake in the call, which fails again. 42: stopped by SIGTERM, state saved. 130: stopped by
    SIGINT, state saved.
    """
    try:
        return command()
    except Stopped as stop:
        print(f"{stop}. The same command with --out on this directory continues it.", file=sys.stderr)
        return PREEMPTED if stop.signal == signal.SIGTERM else INTERRUPTED
    except MemoryError as error:
        print(f"jaxconv: error: the memory is full. {error}".rstrip(), file=sys.stderr)
        return FAILED
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"jaxconv: error: {named_as_flag(str(error))}", file=sys.stderr)
        return FAILED if isinstance(error, OSError) and not isinstance(error, WRONG_PATHS) else USAGE


@contextmanager
def about(flag: str) -> Iterator[None]:
    """An error that names no setting gets the flag that it comes from in front, as in `--data ./x: ...`."""
    try:
        yield
    except (ValueError, OSError) as error:
        if named_as_flag(str(error)) != str(error):
            raise
        kind = type(error) if isinstance(error, OSError) else ValueError
        raise kind(f"{flag}: {error}") from error


def named_as_flag(message: str) -> str:
    """The message with the setting at its start named as its flag.

    `batch_size must ...` becomes `--batch-size must ...`; a single word is a setting only where `must` follows.
    """
    return re.sub(r"^[a-z]+(?:(?:_[a-z]+)+\b|(?= must\b))", lambda m: "--" + m[0].replace("_", "-"), message)
