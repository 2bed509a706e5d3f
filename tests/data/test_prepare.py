import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxconv.data import prepare as module
from jaxconv.data.download import DownloadError
from jaxconv.data.prepare import prepare, prepare_with_tfds


def tfds_source(name, data_dir, split):
    import tensorflow_datasets as tfds

    return tfds.data_source(name, split=split, data_dir=data_dir, download=False)


def snapshot(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_tfds_reads_what_was_prepared(originals, cache, name):
    root, arrays = originals
    before = snapshot(root)
    data_dir = prepare(name, [root], progress=False)
    assert data_dir == cache / "tfds" and snapshot(root) == before
    for split in ("train", "test"):
        images, labels = arrays[name][split]
        source = tfds_source(name, data_dir, split)
        assert len(source) == len(images)
        seen = []
        for example in source:
            matches = np.flatnonzero((images == example["image"]).all(axis=(1, 2, 3)))
            assert len(matches) == 1 and labels[matches[0]] == example["label"]
            seen.append(matches[0])
            if name.startswith("cifar"):
                assert example["id"].decode() == f"{split}_{matches[0]:05d}"
            if name == "cifar100":
                assert example["coarse_label"] == example["label"] // 5
        assert sorted(seen) == list(range(len(images)))


def test_descriptions_are_those_of_tfds(originals):
    import tensorflow_datasets as tfds

    root, _ = originals
    for name, first in [("fashion_mnist", "T-shirt/top"), ("cifar10", "class0"), ("mnist", "0")]:
        builder = tfds.builder(name, data_dir=prepare(name, [root], progress=False))
        assert builder.info.features["label"].names[0] == first
        assert set(builder.info.splits) == {"train", "test"}
        assert str(builder.info.version) == str(tfds.builder_cls(name).VERSION)
        assert builder.info.supervised_keys == ("image", "label")


def test_preparing_twice_writes_once(originals, cache):
    root, _ = originals
    prepare("mnist", [root], progress=False)
    before = snapshot(cache)
    prepare("mnist", [], progress=False)
    assert snapshot(cache) == before


def test_what_is_interrupted_leaves_nothing_and_can_be_repeated(originals, cache, monkeypatch):
    root, _ = originals

    def break_off(pixels):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_png", break_off)
        prepare("mnist", [root], progress=False)
    assert [path.name for path in (cache / "tfds").iterdir()] == [".mnist.lock"]
    (cache / "tfds" / ".mnist.partial" / "rest").mkdir(parents=True)
    prepare("mnist", [root], progress=False)
    assert sorted(path.name for path in (cache / "tfds").iterdir()) == [".mnist.lock", "mnist"]


@pytest.mark.slow
def test_two_processes_prepare_one_set(originals, cache):
    root, _ = originals
    script = (
        "import sys, pickle, pathlib; from jaxconv.data import originals, prepare\n"
        "originals.ORIGINALS.update(pickle.loads(bytes.fromhex(sys.argv[1])))\n"
        "print(prepare.prepare('mnist', [pathlib.Path(sys.argv[2])]))"
    )
    import pickle

    from jaxconv.data.originals import ORIGINALS

    command = [sys.executable, "-c", script, pickle.dumps(ORIGINALS).hex(), str(root)]
    workers = [subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE) for _ in range(3)]
    errors = [worker.communicate()[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], errors
    assert sum("Preparing mnist" in error for error in errors) == 1
    assert len(tfds_source("mnist", cache / "tfds", "train")) == 12


def test_files_of_the_other_set_are_never_used(originals, tmp_path):
    root, _ = originals
    shutil.copytree(root / "mnist", tmp_path / "fashion_mnist")
    with pytest.raises(DownloadError) as caught:
        prepare("fashion_mnist", [tmp_path], progress=False)
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz could not be downloaded" in message
    assert f"not used: {tmp_path / 'fashion_mnist' / 'train-images-idx3-ubyte.gz'} has" in message
    assert str(tmp_path) in message


def test_progress_is_told(originals, capsys):
    root, _ = originals
    prepare("mnist", [root])
    captured = capsys.readouterr()
    assert captured.err.startswith("Preparing mnist: 17 images")
    assert captured.out == ""


def test_without_tensorflow_the_user_learns_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install tensorflow.*tfds.builder\(\"stl10\".*Looked here"):
        prepare_with_tfds("stl10", "Looked here.", progress=False)


def test_with_tensorflow_tfds_prepares_in_the_cache(cache, monkeypatch, png, capsys):
    import tensorflow_datasets as tfds

    class PreparedByTfds(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(num_classes=2)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            rows = [(i, {"image": png(np.full((4, 4, 1), i, np.uint8)), "label": i % 2}) for i in range(3)]
            return {"train": iter(rows)}

        def _generate_examples(self):
            raise AssertionError

    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert prepare_with_tfds("prepared_by_tfds", "", progress=False) == cache / "tfds"
    assert len(tfds_source("prepared_by_tfds", cache / "tfds", "train")) == 3
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
