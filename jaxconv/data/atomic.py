"""Files that appear whole or not at all, whoever else writes them, whenever the process dies."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxconv.data.progress import say


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Holds a lock among processes, also of several machines where the file system supports it.

    Args:
        path: the lock's file; it is made and stays.
        waiting_for: what the other process does, printed when this one has to wait for it.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process: {waiting_for}.", shown=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def folder_in_one_step(final: Path) -> Iterator[Path]:
    """Fills a folder that appears under its name when it is complete, in the place of one that was there before.

    The caller holds a lock on `final`, so that what another process left unfinished can be removed.

    Args:
        final: the folder to make.

    Yields:
        An empty folder to write to. If the block raises, it is removed and `final` stays as it was.
    """
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
