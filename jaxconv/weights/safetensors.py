"""Safetensors files, through the library; bfloat16, which NumPy does not know, comes as that of ml_dtypes."""

from collections.abc import Mapping
from pathlib import Path

import ml_dtypes  # noqa: F401  # registers bfloat16 with NumPy, as the library expects
import numpy as np
import safetensors
import safetensors.numpy


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file by name.

    Raises:
        ValueError: if the file is cut off or damaged, or holds 8-bit floats.
    """
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is a damaged or truncated safetensors file: {error}.") from error
    except AttributeError as error:  # the library looks its types up in NumPy
        raise ValueError(f"{path} holds numbers of a type that is not read: {error}.") from error


def write_safetensors(state: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes tensors by name; the file appears whole or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    whole = {name: np.asarray(value, order="C") for name, value in state.items()}
    part = path.with_name(f".{path.name}.part")
    try:
        safetensors.numpy.save_file(whole, part)
        part.replace(path)
    except safetensors.SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}.") from error
    finally:
        if path.parent.is_dir():
            part.unlink(missing_ok=True)
