"""What a user sees of a mistake: one line and an exit code, not a traceback."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from jaxconv.cli.codes import FAILED, INTERRUPTED, PREEMPTED, UNREAD, USAGE
from jaxconv.models import MODELS
from jaxconv.train import Stopped
from jaxconv.train.processes import PeerLostError, is_final, leave


def answer(command: Callable[[], int]) -> int:
    """Run a command; returns its exit code.

    0: done. 1: what may go well another time: a full disk, no network, no memory, an error of the machine or the
    program (with its traceback); also, a part could not be done: an image, a network. 2: a mistake in the call, its
    data or its numbers, which fails again. 42: stopped by SIGTERM, state saved. 130: stopped by SIGINT, state saved.
    141: nobody reads the output any more, as after `| head -1`; nothing is said about it.

    One of several processes ends at once after an error: the others wait for it, and would wait for ever.
    """
    try:
        code, in_order = _answer(command)
    except SystemExit as stop:
        if not jax.distributed.is_initialized():
            raise
        leave(stop.code if isinstance(stop.code, int) else FAILED)
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        leave(FAILED, error)
    if not in_order and jax.distributed.is_initialized():
        leave(code)
    return code


def _answer(command: Callable[[], int]) -> tuple[int, bool]:
    """The exit code, and whether all processes of a run come to it together."""
    try:
        try:
            return command(), True
        finally:
            if sys.stdout is not None:  # it is closed
                sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return UNREAD, False
    except Stopped as stop:
        print(f"{stop}. The same command with --out on this directory continues it.", file=sys.stderr)
        return (PREEMPTED if stop.signal == signal.SIGTERM else INTERRUPTED), True
    except KeyboardInterrupt:
        print("jaxconv: interrupted.", file=sys.stderr)
        return INTERRUPTED, False
    except MemoryError as error:
        print(f"jaxconv: error: the memory is full. {error}".rstrip(), file=sys.stderr)
        return FAILED, False
    except ModuleNotFoundError as error:
        if error.name is not None:  # Python's own: this installation is broken
            raise
        print(f"jaxconv: error: {error}", file=sys.stderr)
        return USAGE, False
    except (ValueError, FloatingPointError, OSError, PeerLostError) as error:
        _drop_output()
        print(f"jaxconv: error: {named_as_flag(str(error))}", file=sys.stderr)
        return (USAGE if is_final(error) else FAILED), False


def _drop_output() -> None:
    """Let go of output that cannot be written: Python would try again at the end, and complain once more."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def about(flag: str) -> Iterator[None]:
    """An error that names no setting gets the flag that it comes from in front, as in `--data ./x: ...`.

    A variable of the environment, as in `JAXCONV_CACHE must ...`, is a setting too.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if named_as_flag(str(error)) != str(error) or re.match(r"[A-Z]+(_[A-Z]+)+ must\b", str(error)):
            raise
        kind = type(error) if isinstance(error, OSError) else ValueError
        named = kind(f"{flag}: {error}")
        if isinstance(error, OSError) and isinstance(named, OSError):
            named.errno = error.errno  # by which it is told whether another try may go well
        raise named from error


def named_as_flag(message: str) -> str:
    """The message with the setting at its start named as its flag.

    `batch_size must ...` becomes `--batch-size must ...`; a single word is a setting only where `must` follows, and the
    name of a network, such as test_resnet, is none.
    """
    setting = re.match(r"[a-z]+(?:(?:_[a-z]+)+\b|(?= must\b))", message)
    if setting is None or setting[0] in MODELS:
        return message
    return f"--{setting[0].replace('_', '-')}{message[setting.end() :]}"
