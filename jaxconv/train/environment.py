"""Where a run took place: versions, device, commit."""

import platform
import subprocess
from importlib import metadata
from typing import Any

import jax

PACKAGES = ("jaxconv", "jax", "jaxlib", "flax", "optax", "safetensors", "numpy")


def environment() -> dict[str, Any]:
    """Versions, device and commit of this process."""
    devices = jax.devices()
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)},
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the working directory, with `-dirty` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
