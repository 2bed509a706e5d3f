"""Files that appear whole or not at all, whoever else writes them, whenever the process dies."""

import os
import uuid
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
