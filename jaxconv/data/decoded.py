"""Decodes a split once and keeps it as arrays that are mapped into memory."""

import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxconv.data.atomic import locked, move_folder, scratch_folder
from jaxconv.data.dataset import AnyDataset, Dataset, StreamedDataset
from jaxconv.data.places import cache_dir
from jaxconv.data.progress import say, track
from jaxconv.data.records import Records
from jaxconv.data.stored import read_object
from jaxconv.data.usable import Without, read_usable

DECODED_LIMIT_BYTES = 8 * 2**30
"""A split that would be larger than this is not kept decoded: its images are decoded on access."""

_FORMAT = 3
_CHUNK = 64
_READ_BYTES = 2**22
_LONGEST_LABEL = 50  # of up to four bytes each; a name of a file has at most 255

BadImages = Literal["replace", "leave out"]
"""What becomes of an example that cannot be used: another one in its place, or nothing."""


def open_split(
    records: Records, image_size: int | None, *, bad_images: BadImages = "replace", progress: bool = True
) -> AnyDataset:
    """Opens a split, and decodes it if that has not been done for the files as they are now.

    What was decoded is in a folder of jaxconv's cache: `images.npy`, `labels.npy` and `manifest.json`, which
    names the source, its fingerprint, the examples that cannot be used, and the lengths and checksums of the other two.
    The folder appears when it is complete, and is made again when the manifest does not describe it or the source.

    A split to train on keeps its length and its order whatever cannot be used, so the examples of every other step
    stay as they are. In a split to measure on nothing may count twice, so all of it is decoded here once, also where
    it is too large to be kept decoded, and what cannot be used is no part of it.

    Args:
        records: the encoded examples.
        image_size: side in pixels of the square that images are brought to; None leaves it to `records`.
        bad_images: "replace" puts another example in the place of one that cannot be used, see `read_usable`;
            "leave out" makes the split shorter.
        progress: whether to show a progress bar, and how many images cannot be used.

    Returns:
        The decoded split, or a `StreamedDataset` where it would take more than `DECODED_LIMIT_BYTES`.

    Raises:
        ImageError: if too many examples in a row cannot be used.
        OSError: if the disk has no room.
    """
    key = {**records.key(), "image_size": image_size, "bad_images": bad_images}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    label = re.sub(r"[^\w.-]+", "_", f"{records.name}-{records.split}")
    folder = cache_dir() / "decoded" / f"{label[-_LONGEST_LABEL:]}-{digest[:12]}"
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
    return _opened(records, folder, manifest, progress)


def _opened(records: Records, folder: Path, manifest: dict[str, Any], progress: bool) -> AnyDataset:
    bad = {int(position): why for position, why in manifest["bad"].items()}
    replaced = manifest["identity"]["key"]["bad_images"] == "replace"
    replacing, left_out = (bad, {}) if replaced else ({}, bad)
    if bad:
        what = "replaced by the next usable ones" if replaced else "left out"
        say(f"{records.name}, {records.split}: {len(bad):,} unusable images are {what}.", shown=progress)
    if manifest["streamed"]:
        h, w, c = manifest["shape"]
        usable = Without(records, list(bad)) if left_out else records
        return StreamedDataset(usable, (h, w, c), folder, left_out=left_out)
    return Dataset(
        records.name,
        records.split,
        np.load(folder / "images.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        tuple(manifest["classes"]),
        folder,
        replacing,
        left_out,
    )


def _valid_manifest(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest, if it describes this source and these files."""
    try:
        manifest = read_object(
            folder / "manifest.json", identity=dict, shape=list, streamed=bool, classes=list, bad=dict, files=dict
        )
        if manifest["identity"] != identity:
            return None
        whole = all(_length_and_checksum(folder / file, known) == known for file, known in manifest["files"].items())
    except (FileNotFoundError, ValueError):
        return None
    return manifest if whole else None


def _length_and_checksum(path: Path, known: list[int] | None = None) -> list[int]:
    """Length in bytes and CRC-32 of a file; the second takes half a second a gigabyte, and waits for the right length.

    A flipped bit would be trained on without a word, and zeros that a power failure leaves are no array at all.
    """
    length, checksum = path.stat().st_size, 0
    if known is None or known[:1] == [length]:
        with path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                checksum = zlib.crc32(chunk, checksum)
    return [length, checksum]


def _write(
    records: Records, image_size: int | None, identity: dict[str, Any], work: Path, progress: bool
) -> dict[str, Any]:
    """Fills a folder; the manifest comes last, after the arrays have reached the disk."""
    shape = records.shape(image_size, progress)
    size = len(records) * int(np.prod(shape))
    streamed, leave_out = size > DECODED_LIMIT_BYTES, identity["key"]["bad_images"] == "leave out"
    bad: dict[int, str] = {}
    if not streamed:
        _require_room(records, size, work)
        bad = _decode(records, shape, work, progress)
        if bad and leave_out:
            _decode(Without(records, list(bad)), shape, work, progress)
    elif leave_out:
        bad = _in_chunks(records, shape, lambda *example: None, f"Looking at {records.name}, {records.split}", progress)
    files = [] if streamed else ["images.npy", "labels.npy"]
    manifest = {
        "identity": identity,
        "shape": shape,
        "streamed": streamed,
        "classes": records.classes,
        "bad": {str(position): bad[position] for position in sorted(bad)},
        "files": {file: _length_and_checksum(work / file) for file in files},
    }
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return manifest


def _require_room(records: Records, size: int, work: Path) -> None:
    free = shutil.disk_usage(work).free
    if size > free:
        raise OSError(
            f"{records.name}, {records.split}, takes {size:,} bytes decoded; {work.parent} has {free:,} left."
        )


def _decode(records: Records, shape: tuple[int, int, int], work: Path, progress: bool) -> dict[int, str]:
    """Writes the arrays; returns the positions that hold another example, and why."""
    labels, row_bytes = np.empty(len(records), np.int32), int(np.prod(shape))
    with (work / "images.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(records), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        first = file.tell()

        def write(start: int, images: np.ndarray, some_labels: np.ndarray) -> None:
            labels[start : start + len(images)] = some_labels
            _write_at(file.fileno(), images.tobytes(), first + start * row_bytes)

        bad = _in_chunks(records, shape, write, f"Decoding {records.name}, {records.split}", progress)
        os.fsync(file.fileno())
    np.save(work / "labels.npy", labels)
    return bad


def _in_chunks(
    records: Records,
    shape: tuple[int, int, int],
    take: Callable[[int, np.ndarray, np.ndarray], None],
    description: str,
    progress: bool,
) -> dict[int, str]:
    """Reads all examples in several threads; `take` gets the position of the first, the images and the labels."""
    count, bad = len(records), dict[int, str]()

    def read(start: int) -> int:
        rows = range(start, min(start + _CHUNK, count))
        take(start, *read_usable(records, rows, shape, bad))
        return len(rows)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with track(description, count, unit="images", shown=progress) as advance:
            for done in pool.map(read, range(0, count, _CHUNK)):
                advance(done)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error the rest need not be decoded
    return bad


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all of the data: a full disk is an error here, and the end of the process in a mapped file."""
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
