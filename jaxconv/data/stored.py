"""Small files of JSON that a program reads again: what they hold is checked, and a damaged one is named."""

import json
import os
from pathlib import Path
from typing import Any


def read_object(path: Path, error: type[ValueError] = ValueError, /, **expected: type) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        error: what is raised.
        expected: the names that it must have, and the types of their values.

    Raises:
        ValueError: or `error`, if it is anything else; the message names the file.
        FileNotFoundError: if there is none.
    """
    found, what = _object(path.read_bytes(), expected)
    if found is None:
        wanted = f" with {' and '.join(expected)}" if expected else ""
        raise error(f"{path} is damaged: {what}. Expected an object{wanted}.")
    return found


def read_rows(path: Path, error: type[ValueError] = ValueError, /, **expected: type) -> list[dict[str, Any]]:
    """The JSON objects in a file, one a line; none where there is no file.

    Args:
        path: the file.
        error: what is raised.
        expected: the names that each must have, and the types of their values.

    Raises:
        ValueError: or `error`, if a line is anything else; the message names the file and the line.
    """
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        found, what = _object(line, expected)
        if found is None:
            raise error(f"{path} is damaged: line {number}: {what}. Expected objects with {' and '.join(expected)}.")
        rows.append(found)
    return rows


def drop_cut_line(path: Path) -> None:
    """Cuts off what follows the last end of a line: a crash or a full disk stopped the writing there."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _object(content: bytes, expected: dict[str, type]) -> tuple[dict[str, Any] | None, str]:
    """The object, or None and what it is instead."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        return None, f"{type(error).__name__}, {error}"
    if not isinstance(found, dict):
        return None, f"it holds a {type(found).__name__}"
    wrong = [name for name, kind in expected.items() if not isinstance(found.get(name), kind)]
    return (None, f"{', '.join(wrong)} missing or of another type") if wrong else (found, "")
