"""Downloads that can be interrupted at any moment and are proved by their SHA-256."""

import dataclasses
import hashlib
import http
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from jaxconv.data.atomic import locked
from jaxconv.data.progress import track

_CHUNK_BYTES = 2**18
_TIMEOUT_SECONDS = 30
_PAUSE_SECONDS = 0.5
_RETRIES = 3
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


class DownloadError(OSError):
    """A file could not be downloaded whole and right; the message says what happened at each address."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        file: its name.
        size: its length in bytes.
        sha256: its digest in hexadecimal.
        urls: where it can be had, in the order in which they are tried.
    """

    file: str
    size: int
    sha256: str
    urls: tuple[str, ...]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """Downloads a file, or what an earlier call left of it, and proves it.

    Until it is complete the file is called `<name>.part`. A dropped connection is taken up again where it broke
    off, in this call or in a later one. Two processes may ask for the same file: one waits for the other.

    Args:
        archive: the file.
        folder: where to put it; it is made.
        progress: whether to show a progress bar.

    Returns:
        The path of the file, whose digest is the stated one.

    Raises:
        DownloadError: if no address gave the file. A file with a wrong digest is deleted.
    """
    final, part = folder / archive.file, folder / f"{archive.file}.part"
    with locked(folder / f".{archive.file}.lock", waiting_for=f"{archive.file} is downloaded"):
        if final.exists() and sha256_of(final) == archive.sha256:
            return final
        failures = []
        for url in archive.urls:
            try:
                _from_one_address(url, part, archive, progress)
            except (*_NETWORK_ERRORS, DownloadError) as error:
                failures.append(f"{url}: {error or type(error).__name__}")
            else:
                os.replace(part, final)
                return final
        kept = f" {_length(part):,} bytes are kept for the next attempt." if _length(part) else ""
        raise DownloadError(f"{archive.file} could not be downloaded.{kept}\n  " + "\n  ".join(failures))


def _from_one_address(url: str, part: Path, archive: Archive, progress: bool) -> None:
    """Completes the partial file; one that began elsewhere and comes out wrong is fetched once more, whole."""
    resumed = _length(part) > 0
    while True:
        description = f"Downloading {archive.file} from {urlsplit(url).hostname}"
        with track(description, archive.size, unit="bytes", shown=progress) as advance:
            advance(_length(part))
            _complete(url, part, archive.size, advance)
        found = sha256_of(part)
        if found == archive.sha256:
            return
        part.unlink()
        if not resumed:
            raise DownloadError(f"SHA-256 is {found}, expected {archive.sha256}; the file was deleted.")
        resumed = False


def _complete(url: str, part: Path, size: int, advance: Callable[[int], None]) -> None:
    """Appends to the partial file until it has its size, connecting again as long as that helps."""
    failures = 0
    while (before := _length(part)) < size or before == 0:
        error: Exception = ConnectionError("the connection ended early")
        try:
            _append(url, part, size, advance)
        except urllib.error.HTTPError as refusal:
            if refusal.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
                raise DownloadError(f"the file there ends before byte {before + 1:,} of {size:,}.") from None
            if refusal.code < 500 and refusal.code not in (408, 429):
                raise
            error = refusal
        except _NETWORK_ERRORS as dropped:
            error = dropped
        failures = 0 if _length(part) > before else failures + 1
        if failures > _RETRIES:
            raise error
        if failures:
            time.sleep(_PAUSE_SECONDS * 2 ** (failures - 1))


def _append(url: str, part: Path, size: int, advance: Callable[[int], None]) -> None:
    """Requests what the partial file lacks and appends it; starts over where the server sends the whole file."""
    have = _length(part)
    headers = {"User-Agent": "jaxconv"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response, part.open("ab") as file:
        if have and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            file.truncate(0)
            advance(-have)
            have = 0
        while have <= size and (chunk := response.read(_CHUNK_BYTES)):
            file.write(chunk)
            have += len(chunk)
            advance(len(chunk))


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
