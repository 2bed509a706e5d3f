"""What a checkpoint should hold, to the bit: digests of its arrays and files, stored beside them.

A flipped bit in a file of weights is read back without a word, so every array is checked as it was in memory when it
was saved, and every file as it lay on the disk before the checkpoint got its name.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NAME = "manifest.json"


class DamagedError(ValueError):
    """A checkpoint that is not what was saved; the message names the file or the array."""


def write_manifest(folder: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Describe what lies in a folder, and force all of it to the disk.

    Args:
        folder: holds the files; the manifest goes beside them.
        arrays: what the files hold, by name.
        about: JSON values to keep with them.
    """
    body = {
        "about": dict(about),
        "arrays": {name: array_digest(array) for name, array in arrays.items()},
        "files": {str(path.relative_to(folder)): _flushed_digest(path) for path in _files(folder)},
    }
    write_body(folder, body)


def write_body(folder: Path, body: Mapping[str, Any]) -> None:
    """Put a manifest into a folder, whole or not at all, in the place of one that is there."""
    partial = folder / (NAME + ".partial")
    partial.write_text(json.dumps({"digest": text_digest(body), "body": body}, indent=1) + "\n")
    _flushed_digest(partial)
    partial.replace(folder / NAME)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, itself checked: `about`, `arrays` and `files`.

    Raises:
        DamagedError: if it is missing or changed.
    """
    try:
        stored = json.loads((folder / NAME).read_text())
        body, digest = stored["body"], stored["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{folder / NAME} cannot be read ({error}).") from error
    if text_digest(body) != digest:
        raise DamagedError(f"{folder / NAME} is not what was written: its digest differs.")
    return body


def check_files(folder: Path, body: Mapping[str, Any]) -> None:
    """Hold the files to their digests.

    Raises:
        DamagedError: if one is missing or changed.
    """
    for name, digest in body["files"].items():
        path = folder / name
        try:
            found = _digest(path.read_bytes())
        except OSError as error:
            raise DamagedError(f"{path} cannot be read ({error.strerror}).") from error
        if found != digest:
            raise DamagedError(f"{path} is not what was written: its digest differs.")


def check_arrays(arrays: Mapping[str, np.ndarray], body: Mapping[str, Any]) -> None:
    """Hold restored arrays to their digests.

    Raises:
        DamagedError: if one is missing or changed.
    """
    for name, digest in body["arrays"].items():
        if name not in arrays or array_digest(np.asarray(arrays[name])) != digest:
            raise DamagedError(f"the array {name} is not what was saved: its digest differs.")


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of the type, the shape and the bytes of an array."""
    header = f"{array.dtype} {array.shape} ".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def text_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, however they are laid out in a file."""
    return _digest(json.dumps(body, sort_keys=True).encode())


def _flushed_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return _digest(file.read())
