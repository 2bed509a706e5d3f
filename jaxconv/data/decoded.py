"""Decodes a split once and keeps it as arrays that are mapped into memory."""

import hashlib
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from jaxconv.data.atomic import locked, move_folder, scratch_folder
from jaxconv.data.dataset import AnyDataset, Dataset, Records, StreamedDataset
from jaxconv.data.places import cache_dir
from jaxconv.data.progress import track

DECODED_LIMIT_BYTES = 8 * 2**30
"""A split that would be larger than this is not kept decoded: its images are decoded on access."""

_FORMAT = 1
_CHUNK = 64


def open_split(records: Records, image_size: int | None, *, progress: bool = True) -> AnyDataset:
    """Opens a split, and decodes it if that has not been done for the files as they are now.

    What was decoded is in a folder of jaxconv's cache: `images.npy`, `labels.npy` and `manifest.json`, which
    names the source, its fingerprint, and the lengths of the other two. The folder appears when it is complete, and
    is made again when the manifest does not describe it or the source.

    Args:
        records: the encoded examples.
        image_size: side in pixels of the square that images are brought to; None leaves it to `records`.
        progress: whether to show a progress bar.

    Returns:
        The decoded split, or a `StreamedDataset` where it would take more than `DECODED_LIMIT_BYTES`.

    Raises:
        ImageError: if an image cannot be used.
        OSError: if the disk has no room.
    """
    key = {**records.key(), "image_size": image_size}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    label = re.sub(r"[^\w.-]+", "_", f"{records.name}-{records.split}")
    folder = cache_dir() / "decoded" / f"{label}-{digest[:12]}"
    identity = {
        "format": _FORMAT,
        "key": key,
        "fingerprint": records.fingerprint(),
        "count": len(records),
    }
    manifest = _valid_manifest(folder, identity)
    if manifest is None:
        with locked(folder.with_name(f".{folder.name}.lock"), waiting_for=f"{label} is decoded"):
            manifest = _valid_manifest(folder, identity)
            if manifest is None:
                with scratch_folder(folder.with_name(f".{folder.name}.partial")) as work:
                    manifest = _write(records, image_size, identity, work, progress)
                    move_folder(work, folder)
    if manifest["streamed"]:
        h, w, c = manifest["shape"]
        return StreamedDataset(records, (h, w, c), folder)
    return Dataset(
        records.name,
        records.split,
        np.load(folder / "images.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        tuple(manifest["classes"]),
        folder,
    )


def _valid_manifest(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest, if it describes this source and these files."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        complete = all((folder / file).stat().st_size == size for file, size in manifest["sizes"].items())
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
    return manifest if complete and manifest["identity"] == identity else None


def _write(
    records: Records, image_size: int | None, identity: dict[str, Any], work: Path, progress: bool
) -> dict[str, Any]:
    """Fills a folder; the manifest comes last, after the arrays have reached the disk."""
    shape = records.shape(image_size, progress)
    size = len(records) * int(np.prod(shape))
    streamed = size > DECODED_LIMIT_BYTES
    if not streamed:
        free = shutil.disk_usage(work).free
        if size > free:
            raise OSError(
                f"{records.name}, {records.split}, takes {size:,} bytes decoded; {work.parent} has {free:,} left."
            )
        _decode(records, shape, work, progress)
    files = [] if streamed else ["images.npy", "labels.npy"]
    manifest = {
        "identity": identity,
        "shape": shape,
        "streamed": streamed,
        "classes": records.classes,
        "sizes": {file: (work / file).stat().st_size for file in files},
    }
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return manifest


def _decode(records: Records, shape: tuple[int, int, int], work: Path, progress: bool) -> None:
    count, row_bytes = len(records), int(np.prod(shape))
    labels = np.empty(count, np.int32)
    description = f"Decoding {records.name}, {records.split}"
    pool = ThreadPoolExecutor(os.cpu_count())
    with (work / "images.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        first = file.tell()

        def write(start: int) -> int:
            rows = range(start, min(start + _CHUNK, count))
            images, labels[rows.start : rows.stop] = records.read(rows, shape)
            _write_at(file.fileno(), images.tobytes(), first + start * row_bytes)
            return len(rows)

        try:
            with track(description, count, unit="images", shown=progress) as advance:
                for done in pool.map(write, range(0, count, _CHUNK)):
                    advance(done)
        finally:
            pool.shutdown(cancel_futures=True)  # after an unusable image the rest need not be decoded
        os.fsync(file.fileno())
    np.save(work / "labels.npy", labels)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all of the data: a full disk is an error here, and the end of the process in a mapped file."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
