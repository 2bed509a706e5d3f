"""Where data is looked for, and the one place where jaxconv writes."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for everything that jaxconv makes: `$JAXCONV_CACHE`, else `~/.cache/jaxconv`.

    Raises:
        ValueError: if something else than a folder is in its place.
    """
    path = Path(os.environ.get("JAXCONV_CACHE") or "~/.cache/jaxconv").expanduser()
    nearest = next((place for place in (path, *path.parents) if os.path.exists(place)), path)  # False without rights
    if os.path.exists(nearest) and not os.path.isdir(nearest):
        raise ValueError(f"JAXCONV_CACHE must name a folder, or a place for one; got {path}: {nearest} is a file.")
    return path


def tfds_cache_dir() -> Path:
    """Folder, laid out as TFDS does, for the sets that jaxconv has prepared."""
    return cache_dir() / "tfds"


def roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """Folders that may hold data sets, in the order in which they are searched.

    Args:
        data_dir: the user's folder; it is only ever read.

    Returns:
        `data_dir`, TFDS's own folder (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`), and ours.

    Raises:
        ValueError: if `data_dir` is no folder.
    """
    own = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    if data_dir is None:
        return [own, tfds_cache_dir()]
    given = Path(data_dir).expanduser()
    if not given.is_dir():
        raise ValueError(f"data_dir names a folder; {given} is none.")
    return [given, own, tfds_cache_dir()]
