"""Brings data sets into the layout of tensorflow-datasets, without TensorFlow where jaxconv knows how."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jaxconv.data.atomic import locked, move_folder, scratch_folder
from jaxconv.data.download import Archive, DownloadError, download
from jaxconv.data.originals import ORIGINALS, Content, find_archive, read_originals
from jaxconv.data.places import cache_dir, tfds_cache_dir
from jaxconv.data.progress import say, track


def published_version(name: str) -> str:
    """The version of a key of `ORIGINALS` that `prepare` makes: the one of this TFDS."""
    import tensorflow_datasets as tfds

    return str(tfds.builder_cls(name).VERSION)


def prepare(name: str, roots: list[Path], *, progress: bool = True) -> Path:
    """Prepares MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 from the published files, without TensorFlow.

    The result is what TFDS itself would make, in its array_record format: `tfds.data_source(name, data_dir=...)`
    reads it, with the same features, splits, version, order and pixels. It lands in jaxconv's cache and is made
    once; the published files are taken from `roots`, else downloaded.

    Args:
        name: a key of `ORIGINALS`.
        roots: folders that may hold the published files.
        progress: whether to show what is being done.

    Returns:
        The folder to give to TFDS as `data_dir`.

    Raises:
        DownloadError: if a file is not found and cannot be downloaded.
    """
    target = tfds_cache_dir()
    version = published_version(name)
    final = target / name / version
    with locked(target / f".{name}.lock", waiting_for=f"{name} is prepared"):
        if not (final / "dataset_info.json").exists():
            files = {a.file: _obtain(a, name, roots, progress) for a in ORIGINALS[name]}
            content, label_names = read_originals(name, files)
            with scratch_folder(target / f".{name}.partial") as work:
                _write(name, content, label_names, work, progress)
                move_folder(work / name / version, final)
    return target


def prepare_with_tfds(name: str, looked: str, *, progress: bool = True) -> Path:
    """Lets TFDS download and prepare one of its data sets, which takes TensorFlow.

    Args:
        name: TFDS name, `name[/config][:version]`.
        looked: where the prepared set was looked for, to be told where TensorFlow is not installed.
        progress: whether TFDS shows its progress bars.

    Returns:
        The folder to give to TFDS as `data_dir`.

    Raises:
        ValueError: if TensorFlow is not installed.
    """
    if find_spec("tensorflow") is None:
        raise ValueError(
            f"{name} has to be prepared first, and TFDS does that with TensorFlow only, which is not installed. "
            "Install it (pip install tensorflow), or prepare the set elsewhere with "
            f'tfds.builder("{name}", file_format="array_record").download_and_prepare() and name its folder as '
            f"data_dir; reading it takes no TensorFlow. {looked}"
        )
    import tensorflow_datasets as tfds

    target = tfds_cache_dir()
    with locked(target / f".{name.split('/')[0].split(':')[0]}.lock", waiting_for=f"{name} is prepared"):
        builder = tfds.builder(name, data_dir=target, file_format="array_record")
        with _tfds_output(shown=progress):
            builder.download_and_prepare()
    return target


def _obtain(archive: Archive, name: str, roots: list[Path], progress: bool) -> Path:
    path, refused = find_archive(archive, name, roots)
    if path is not None:
        return path
    for line in refused:
        say(f"Not used: {line}", shown=progress)
    try:
        return download(archive, cache_dir() / "downloads" / name, progress=progress)
    except DownloadError as error:
        places = "".join(f"\n  {root}" for root in roots)
        lines = "".join(f"\n  not used: {line}" for line in refused)
        raise DownloadError(
            f"{error}\nNor is {archive.file} of {name}, {archive.size:,} bytes with SHA-256 {archive.sha256}, "
            f"in one of these folders, their {name}/ or downloads/:{places}{lines}"
        ) from error


def _write(
    name: str,
    content: Mapping[str, Content],
    label_names: Mapping[str, list[str]],
    data_dir: Path,
    progress: bool,
) -> None:
    """Runs TFDS's own builder, with examples that are encoded here: TFDS encodes images with TensorFlow."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    total = sum(len(images) for images, _ in content.values())
    with track(f"Preparing {name}", total, unit="images", shown=progress) as advance:

        def examples(split: str) -> Iterator[tuple[int, dict[str, Any]]]:
            images, labels = content[split]
            for index, pixels in enumerate(images):
                example: dict[str, Any] = {key: int(values[index]) for key, values in labels.items()}
                if "id" in builder.info.features:
                    example["id"] = f"{split}_{index:05d}"
                yield index, example | {"image": _png(pixels)}
                advance(1)

        for feature, names in label_names.items():
            builder.info.features[feature].names = names
        builder._split_generators = lambda dl_manager: {split: examples(split) for split in content}
        with _tfds_output(shown=False):
            builder.download_and_prepare()


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()


@contextmanager
def _tfds_output(*, shown: bool) -> Iterator[None]:
    """Silences TFDS's bars and prints, which would run across ours."""
    from tensorflow_datasets.core.utils import tqdm_utils

    before = tqdm_utils._active  # TFDS has a public way to set this, and none to ask for it
    tqdm_utils.display_progress_bar(before and shown)
    try:
        with nullcontext() if shown else redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(before)
