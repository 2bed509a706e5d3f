"""A folder of real images, some of them damaged in the ways that files are."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from jaxconv.data import load_digits

SIDE = 32


def digit(number: int) -> Image.Image:
    """One of the scanned digits inside the package, enlarged."""
    train, _ = load_digits()
    return Image.fromarray(train.images[number, ..., 0]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def flipped(png: bytes) -> bytes:
    """The file with one bit in the middle of its pixels turned over."""
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start])
    data = bytearray(png)
    data[start + 4 + length // 2] ^= 1
    return bytes(data)


def bomb() -> bytes:
    """A PNG of a few bytes that claims 30,000 by 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bad_files() -> dict[str, tuple[bytes | None, str]]:
    """By name: content (None: a link to nothing) and what is said about it."""
    return {
        "bomb.png": (bomb(), "could be decompression bomb"),
        "empty.jpg": (b"", "an image file is not empty; this one has 0 bytes"),
        "flipped.png": (flipped(encoded(digit(3), "png")), "not a readable image"),
        "missing.jpg": (None, "No such file or directory"),
        "text.jpg": (b"this is no image\n" * 20, "cannot identify image file"),
        "truncated.jpg": (encoded(digit(4), "jpeg")[:-200], "truncated"),
    }


def odd_files() -> dict[str, bytes]:
    """By name: images of unusual kinds, which are good."""
    frames = [digit(number).convert("P") for number in (5, 6)]
    deep = Image.fromarray(np.asarray(digit(7)).astype(np.uint16) * 257)
    return {
        "animated.gif": encoded(frames[0], "gif", save_all=True, append_images=frames[1:]),
        "cmyk.jpg": encoded(digit(8).convert("CMYK"), "jpeg"),
        "deep.png": encoded(deep, "png"),
        "folder.jpg/inside.png": encoded(digit(9), "png"),
    }


def write(path: Path, content: bytes | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.symlink_to(path.with_name("gone"))
    else:
        path.write_bytes(content)


def damaged_folder(root: Path, *, good: int = 12, bad: bool = True) -> list[Path]:
    """Classes a and b in train and val, `good` images of each in train; returns the bad files, all in class a.

    Three of them are in val. The odd ones are in class b of train.
    """
    number = 0
    for split, count in (("train", good), ("val", 4)):
        for label in ("a", "b"):
            for place in range(count):
                write(root / split / label / f"m{place:02}.jpg", encoded(digit(number), "jpeg", quality=90))
                number += 1
    for name, content in odd_files().items():
        write(root / "train" / "b" / name, content)
    if not bad:
        return []
    splits = {name: "val" if name in ("empty.jpg", "text.jpg", "flipped.png") else "train" for name in bad_files()}
    paths = [root / splits[name] / "a" / name for name in bad_files()]
    for path in paths:
        write(path, bad_files()[path.name][0])
    return paths
