"""Image files to uint8 arrays: every format that Pillow reads, and .npy."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from jaxconv.data.crop import EvaluationCrop, covering
from jaxconv.data.pixels import unit_to_uint8

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".npy", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings, in small letters, of what `list_images` takes for an image."""

_ORIENTATION, _TURNED = 0x0112, range(5, 9)  # EXIF: in these, rows and columns are exchanged; there are 1 to 8
_OF_THE_MACHINE = {
    errno.EIO,
    errno.EMFILE,
    errno.ENODEV,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
"""Errors of a process or of a network disk: no property of the file, which may be read well a second later."""

_SMALLEST_SIDE = 4
_LARGEST_ASPECT = 8


class ImageError(ValueError):
    """A file that is no usable image; the message names the file and the rule that it breaks."""


def read_image(
    path: str | os.PathLike[str], *, channels: int, size: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w c"]:
    """Reads an image file.

    Photographs are turned upright as their EXIF orientation says. 16-bit images are scaled to 8 bits, palettes
    resolved, transparency composited on white, and of an animation the first frame is taken. A `.npy` file holds
    (h, w), (h, w, 1) or (h, w, 3), uint8 or floats in [0, 1].

    Args:
        path: the file.
        channels: 1 (luma of ITU-R 601) or 3 (red, green, blue).
        size: (h, w) in pixels; the image is resized, keeping its proportions and antialiased (bicubic), until it just
            covers this size, and its centre is cut out. None keeps the image's own size.

    Returns:
        Values from 0 to 255.

    Raises:
        ImageError: if the file is no image, truncated, empty or (PNG) not as its checksums say, has a side under 4
            pixels, an aspect ratio over 8 or more than 179 million pixels; for `.npy`, another shape, type or range.
        ValueError: if `channels` or `size` is out of range.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"size is positive; got {size}.")
    return read_crop(path, covering(size), channels=channels)


def read_crop(
    path: str | os.PathLike[str], crop: EvaluationCrop | None, *, channels: int
) -> UInt8[np.ndarray, "h w c"]:
    """Reads an image file as `read_image` does, brought to its size as a published network is evaluated.

    Args:
        path: the file.
        crop: the size and how it is reached; None keeps the image's own.
        channels: 1 or 3.

    Raises:
        ImageError: if the file is no usable image.
        ValueError: if `channels` is out of range.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 or 3; got channels={channels}.")
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return to_array(_open_npy(path), str(path), channels=channels, crop=crop)
    with open_image(path, str(path)) as image:
        return to_array(_upright(image), str(path), channels=channels, crop=crop)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files under a folder, at any depth, sorted by path.

    What counts is the ending of the name (see `EXTENSIONS`); names that begin with a dot are passed over, and
    links to folders are not followed.

    Args:
        folder: the folder.

    Returns:
        At least one path.

    Raises:
        ValueError: if it is no folder or holds no image.
        OSError: if it or a folder in it cannot be listed: what lies there is not left out in silence.
    """
    if not os.path.isdir(folder):
        raise ValueError(f"{os.fspath(folder)} is not a folder.")
    found = []
    for place, subfolders, files in os.walk(folder, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(place, f) for f in files if f.lower().endswith(EXTENSIONS) and not f.startswith(".")]
    if not found:
        raise ValueError(f"{os.fspath(folder)} holds no image; looked for names in {' '.join(EXTENSIONS)}.")
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def resize_images(images: UInt8[np.ndarray, "n h w c"], size: int) -> UInt8[np.ndarray, "n size size c"]:
    """Resizes each image until its shorter side has `size` pixels and cuts out the square in the centre."""
    from PIL import Image

    c = images.shape[-1]
    crop = covering((size, size))
    return np.stack(
        [
            to_array(Image.fromarray(pixels.squeeze(-1) if c == 1 else pixels), "", channels=c, crop=crop)
            for pixels in images
        ]
    )


def image_header(path: Path) -> tuple[int, int, int]:
    """Height, width and channels (1 for gray, else 3) of an image file, upright, without decoding it.

    Raises:
        ImageError: if the file is no image.
    """
    if path.suffix.lower() == ".npy":
        image = _open_npy(path)
        return image.height, image.width, 1 if image.mode == "L" else 3
    with open_image(path, str(path), header_only=True) as image:
        w, h = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
        gray = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
        return (w, h, 1 if gray else 3) if turned else (h, w, 1 if gray else 3)


@contextmanager
def open_image(source: Path | bytes, name: str, *, header_only: bool = False) -> "Iterator[Image]":
    """Opens an encoded image; whatever goes wrong while it is decoded becomes an `ImageError` that says `name`.

    A PNG is held against its checksums, which Pillow passes over: of 300 flipped bits 8 gave other pixels without an
    error (`tests/data/test_image.py` flips some). JPEG, GIF and WebP have none: what their decoders do not stumble
    over is taken for the image.

    Args:
        source: a file or its content.
        name: what the image is called.
        header_only: whether the pixels are not asked for, nor to be checked.

    Yields:
        The image.

    Raises:
        ImageError: if it cannot be decoded.
        OSError: if the fault is not the file's: too many open files, a network disk that does not answer.
    """
    from PIL import Image

    try:
        if isinstance(source, Path) and os.path.exists(source) and not os.path.isfile(source):
            raise ImageError(f"{name}: an image is a file; this is none.")  # opening a pipe would wait for its writer
        with Image.open(_stream(source)) as image:
            if image.format == "PNG" and not header_only:
                with Image.open(_stream(source)) as again:
                    again.verify()
            yield image
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they stumble over: OSError, SyntaxError, struct.error ...
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        if isinstance(source, Path) and os.path.isfile(source) and os.path.getsize(source) == 0:
            raise ImageError(f"{name}: an image file is not empty; this one has 0 bytes.") from error
        raise ImageError(f"{name}: not a readable image ({error}).") from error


def _stream(source: Path | bytes) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def to_array(image: "Image", name: str, *, channels: int, crop: EvaluationCrop | None) -> UInt8[np.ndarray, "h w c"]:
    """Brings a Pillow image of any mode to 8 bits, to 1 or 3 channels and to a size; see `read_image`."""
    w, h = image.size
    if min(h, w) < _SMALLEST_SIDE:
        raise ImageError(f"{name}: both sides have at least {_SMALLEST_SIDE} pixels; this image is {h}x{w}.")
    if max(h, w) > _LARGEST_ASPECT * min(h, w):
        raise ImageError(
            f"{name}: the longer side is at most {_LARGEST_ASPECT} times the shorter; this image is {h}x{w}."
        )
    image = _eight_bits(image, name).convert("L" if channels == 1 else "RGB")
    pixels = np.array(image if crop is None else crop(image))
    return pixels[..., None] if channels == 1 else pixels


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _eight_bits(image: "Image", name: str) -> "Image":
    """The same image with 8 bits a channel and no transparency. Pillow's own conversion cuts 16 bits off at 255."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(
                f"{name}: integer pixels lie between 0 and 65535; this image has {values.min()} to {values.max()}."
            )
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ImageError(f"{name}: pixels are integers; this image has floats, whose range no format states.")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image


def _open_npy(path: Path) -> "Image":
    from PIL import Image

    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy too stumbles in several ways: BadZipFile, EOFError, OSError, ValueError
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE):
            raise
        raise ImageError(f"{path}: not a readable .npy array ({error}).") from error
    if not isinstance(values, np.ndarray) or not (
        values.ndim == 2 or (values.ndim == 3 and values.shape[-1] in (1, 3))
    ):
        raise ImageError(f"{path}: an image has shape (h, w), (h, w, 1) or (h, w, 3); got {np.shape(values)}.")
    if values.dtype != np.uint8:
        try:
            values = unit_to_uint8(values)
        except ValueError as error:
            raise ImageError(f"{path}: {error}") from error
    return Image.fromarray(values.squeeze(-1) if values.shape[-1:] == (1,) and values.ndim == 3 else values)
