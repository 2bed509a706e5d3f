"""Tiny data sets of which every pixel is known."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxconv.data import download
from jaxconv.data.download import Archive
from jaxconv.data.originals import ORIGINALS


class Squares:
    """Records whose image number i is filled with i."""

    name, split, classes = "squares", "train", ("even", "odd")

    def __len__(self):
        return 7

    def key(self):
        return {"kind": "squares"}

    def fingerprint(self):
        return "1"

    def shape(self, image_size, progress):
        return 4, 5, 3

    def read(self, indices, shape):
        images = np.stack([np.full(shape, index, np.uint8) for index in indices])
        return images, np.array(indices, np.int32) % 2


@pytest.fixture
def squares():
    return Squares()


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory, monkeypatch):
    """Keeps every test away from the user's folders, its terminal, and from the network."""
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("JAXCONV_CACHE", str(place / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(place / "tensorflow_datasets"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    return place


@pytest.fixture
def cache(own_places):
    return own_places / "cache"


def _write_tfds(root, name, splits, *, config=None, image=None, label=None, version="1.0.0", extra=None):
    """Prepares a tiny set as TFDS does: splits maps a name to a list of (encoded image, label)."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    features = {
        "image": image or tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        "label": label or tfds.features.ClassLabel(names=["ant", "bee", "cow"]),
        **(extra or {}),
    }
    features = {key: feature for key, feature in features.items() if feature != "none"}

    def examples(rows):
        for index, (data, label) in enumerate(rows):
            values = {"image": data, "label": label}
            yield index, {key: values.get(key, label) for key in features}

    with registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version(version)
            BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {split: examples(rows) for split, rows in splits.items()}

            def _generate_examples(self):
                raise AssertionError

    Tiny.name = name
    tfds.disable_progress_bar()
    builder = Tiny(data_dir=root, file_format="array_record")
    builder.download_and_prepare()
    return Path(builder.data_path)


def _png(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(buffer, "png", **options)
    return buffer.getvalue()


@pytest.fixture
def write_tfds():
    return _write_tfds


@pytest.fixture
def png():
    return _png


def _idx(values):
    return bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


def _cifar(arrays, folder, batches, names, coarse):
    """A tar.gz in CIFAR's binary form; batches maps a file to (split, rows)."""
    files = {file: "\n".join(lines).encode() + b"\n\n" for file, lines in names.items()}
    for file, (split, rows) in batches.items():
        images, labels = arrays[split]
        columns = [labels[rows, None] // 5] if coarse else []
        columns += [labels[rows, None], images[rows].transpose(0, 3, 1, 2).reshape(-1, 3072)]
        files[file] = np.concatenate(columns, axis=1).astype(np.uint8).tobytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for file, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def originals(tmp_path_factory, monkeypatch):
    """Tiny files in the form of the published ones, with their digests: (folder, arrays by set and split)."""
    root, rng = tmp_path_factory.mktemp("originals"), np.random.default_rng(8)
    shapes = {name: (28, 28, 1) if "mnist" in name else (32, 32, 3) for name in ORIGINALS}
    arrays = {
        name: {
            split: (rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n, np.uint8))
            for split, n in (("train", 12), ("test", 5))
        }
        for name, shape in shapes.items()
    }
    contents = {"cifar10": {}, "cifar100": {}}
    for name in ("mnist", "fashion_mnist"):
        contents[name] = {
            f"{prefix}-{kind}-ubyte.gz": gzip.compress(_idx(array))
            for split, prefix in (("train", "train"), ("test", "t10k"))
            for kind, array in (
                ("images-idx3", arrays[name][split][0][..., 0]),
                ("labels-idx1", arrays[name][split][1]),
            )
        }
    batches = {
        f"data_batch_{i + 1}.bin": ("train", slice(*b)) for i, b in enumerate([(0, 4), (4, 5), (5, 6), (6, 9), (9, 12)])
    }
    contents["cifar10"]["cifar-10-binary.tar.gz"] = _cifar(
        arrays["cifar10"],
        "cifar-10-batches-bin",
        {**batches, "test_batch.bin": ("test", slice(None))},
        {"batches.meta.txt": [f"class{i}" for i in range(10)]},
        coarse=False,
    )
    contents["cifar100"]["cifar-100-binary.tar.gz"] = _cifar(
        arrays["cifar100"],
        "cifar-100-binary",
        {"train.bin": ("train", slice(None)), "test.bin": ("test", slice(None))},
        {
            "coarse_label_names.txt": [f"coarse{i}" for i in range(20)],
            "fine_label_names.txt": [f"class{i}" for i in range(100)],
        },
        coarse=True,
    )
    for name, files in contents.items():
        (root / name).mkdir()
        archives = []
        for file, data in files.items():
            (root / name / file).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            archives.append(Archive(file, len(data), digest, ("http://127.0.0.1:9/" + file,)))
        monkeypatch.setitem(ORIGINALS, name, tuple(archives))
    return root, arrays
