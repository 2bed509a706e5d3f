"""Files that appear whole or not at all, whoever else writes them, whenever the process dies."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from jaxconv.data.progress import say


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step: a reader sees the old file or the new one."""
    with _written_beside(path, text) as partial:
        os.replace(partial, path)


def create_text(path: Path, text: str) -> None:
    """Writes a text file in one step where there is none; of two processes one does.

    Raises:
        FileExistsError: if there is one.
    """
    with _written_beside(path, text) as partial:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links, such as a bucket: the moment between the two stays open there
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            os.replace(partial, path)


@contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, waiting_for: str) -> Iterator[None]:
    """Holds a lock among processes, also of several machines where the file system supports it.

    Args:
        path: the lock's file; it is made and stays.
        waiting_for: what the other process does, printed when this one has to wait for it.

    Raises:
        OSError: if nothing can be written there; all locks are in jaxconv's cache, which can be put elsewhere.
    """
    import fcntl

    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process: {waiting_for}.", shown=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        told = type(error)(f"JAXCONV_CACHE must name a folder where one may write; {path.parent}: {error.strerror}.")
        told.errno = error.errno
        raise told from error


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder that is removed again, with what a process that died in its use left there.

    The caller holds a lock, so that no two processes use it at the same time.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def move_folder(source: Path, target: Path) -> None:
    """Renames a complete folder, in the place of an older one if there is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(source, target)
