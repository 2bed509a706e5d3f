"""The published files of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100: where they are and what is in them.

Sizes and digests are those that tensorflow-datasets records for them.
"""

import gzip
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxconv.data.download import Archive, sha256_of

_MNIST = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_FASHION = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_TORONTO = ("https://www.cs.toronto.edu/~kriz/",)


def _archive(file: str, size: int, sha256: str, sites: tuple[str, ...]) -> Archive:
    return Archive(file, size, sha256, tuple(site + file for site in sites))


ORIGINALS: dict[str, tuple[Archive, ...]] = {
    "mnist": (
        _archive(
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            _MNIST,
        ),
        _archive(
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            _MNIST,
        ),
        _archive(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            _MNIST,
        ),
        _archive(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            _MNIST,
        ),
    ),
    "fashion_mnist": (
        _archive(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            _FASHION,
        ),
        _archive(
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            _FASHION,
        ),
        _archive(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            _FASHION,
        ),
        _archive(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            _FASHION,
        ),
    ),
    "cifar10": (
        _archive(
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            (*_TORONTO, "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/"),
        ),
    ),
    "cifar100": (
        _archive(
            "cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            _TORONTO,
        ),
    ),
}
"""The files of each set, under its TFDS name."""

Content = tuple[np.ndarray, dict[str, np.ndarray]]
"""Images, uint8 (n, h, w, c), and labels, uint8 (n,), by the name of the TFDS feature, of one split."""


def find_archive(archive: Archive, name: str, roots: list[Path]) -> tuple[Path | None, list[str]]:
    """Looks for an original file by its digest.

    Sets share file names (MNIST and Fashion-MNIST do) and TFDS renames what it downloads, so a file counts as
    found where its SHA-256 is right, whatever it is called.

    Args:
        archive: the file.
        name: the TFDS name of its data set.
        roots: folders; in each, the folder itself, `<name>`, `downloads`, `downloads/manual` and `<name>` in
            these two are searched.

    Returns:
        The path or None, and a line about each file that has the name but not the content.
    """
    refused = []
    for root in roots:
        for place in (root, root / "downloads", root / "downloads" / "manual"):
            for folder in (place, place / name):
                for path in _files_in(folder):
                    size = path.stat().st_size
                    digest = sha256_of(path) if size == archive.size else None
                    if digest == archive.sha256:
                        return path, []
                    if path.name == archive.file:
                        refused.append(
                            f"{path} has {size:,} bytes and SHA-256 {digest or 'not computed'}; "
                            f"expected {archive.size:,} and {archive.sha256}."
                        )
    return None, refused


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def read_originals(name: str, files: Mapping[str, Path]) -> tuple[dict[str, Content], dict[str, list[str]]]:
    """Reads the published files of one set.

    Args:
        name: a key of `ORIGINALS`.
        files: where each file is, by its published name.

    Returns:
        The content of the splits `train` and `test`, and the class names that the files state, by feature.
    """
    if name in ("mnist", "fashion_mnist"):
        return {
            "train": _read_idx(files, "train"),
            "test": _read_idx(files, "t10k"),
        }, {}
    if name == "cifar10":
        batches = [f"data_batch_{i}.bin" for i in range(1, 6)]
        return _read_cifar(
            files["cifar-10-binary.tar.gz"],
            "cifar-10-batches-bin/",
            {"train": batches, "test": ["test_batch.bin"]},
            {"label": "batches.meta.txt"},
        )
    return _read_cifar(
        files["cifar-100-binary.tar.gz"],
        "cifar-100-binary/",
        {"train": ["train.bin"], "test": ["test.bin"]},
        {"coarse_label": "coarse_label_names.txt", "label": "fine_label_names.txt"},
    )


def _read_idx(files: Mapping[str, Path], prefix: str) -> Content:
    """The IDX format: two zero bytes, type, rank, the sizes as big-endian int32, the values."""

    def read(kind: str, rank: int) -> np.ndarray:
        data = gzip.decompress(files[f"{prefix}-{kind}-ubyte.gz"].read_bytes())
        assert data[:4] == bytes([0, 0, 8, rank]), "the digest was right, so the header is"
        shape = np.frombuffer(data, ">i4", rank, offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)

    return read("images-idx3", 3)[..., None], {"label": read("labels-idx1", 1)}


def _read_cifar(
    path: Path, folder: str, splits: Mapping[str, list[str]], label_files: Mapping[str, str]
) -> tuple[dict[str, Content], dict[str, list[str]]]:
    """The binary form: for each example its labels, a byte each, and 3x32x32 values, channel by channel."""
    with tarfile.open(path) as tar:

        def read(file: str) -> bytes:
            member = tar.extractfile(folder + file)
            assert member is not None, "the digest was right, so the archive holds this file"
            return member.read()

        names = {key: read(file).decode().split() for key, file in label_files.items()}
        content = {}
        for split, batches in splits.items():
            data = np.frombuffer(b"".join(read(file) for file in batches), np.uint8)
            rows = data.reshape(-1, len(label_files) + 3072)
            images = rows[:, len(label_files) :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            content[split] = images, {key: rows[:, i] for i, key in enumerate(label_files)}
    return content, names
