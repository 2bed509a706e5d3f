import json
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from jaxconv.data import Dataset, StreamedDataset, decoded, normalization
from jaxconv.data.decoded import open_split
from jaxconv.data.image import ImageError


class Counted:
    """Records of random images that count how often they are decoded."""

    name, split, classes = "count/ed", "train", ("a", "b", "c")

    def __init__(self, count=150, mark="1"):
        self.pixels = np.random.default_rng(4).integers(0, 256, (count, 6, 5, 3), np.uint8)
        self.mark, self.decoded, self.broken = mark, 0, ()

    def __len__(self):
        return len(self.pixels)

    def key(self):
        return {"kind": "counted"}

    def fingerprint(self):
        return self.mark

    def shape(self, image_size, progress):
        return (image_size or 6), (image_size or 5), 3

    def read(self, indices, shape):
        indices = list(indices)
        if broken := [index for index in indices if index in self.broken]:
            raise ImageError(f"number {broken[0]} is broken")
        self.decoded += len(indices)
        return self.pixels[indices, : shape[0], : shape[1]], np.array(indices, np.int32) % 3


def open_quietly(records, image_size=None):
    return open_split(records, image_size, progress=False)


def the_entry(cache):
    (entry,) = [path for path in (cache / "decoded").iterdir() if path.is_dir()]
    return entry


def test_a_split_is_decoded_once_and_mapped(cache):
    records = Counted()
    for _ in range(2):
        ds = open_quietly(records)
        assert isinstance(ds, Dataset) and isinstance(ds.images, np.memmap) and not ds.images.flags.writeable
        np.testing.assert_array_equal(ds.images, records.pixels)
        np.testing.assert_array_equal(ds.labels, np.arange(150) % 3)
        assert (ds.name, ds.split, ds.classes) == ("count/ed", "train", ("a", "b", "c"))
    assert records.decoded == 150
    assert sorted(path.name for path in the_entry(cache).iterdir()) == ["images.npy", "labels.npy", "manifest.json"]


def test_the_manifest_says_what_it_is(cache):
    open_quietly(Counted(), 4)
    manifest = json.loads((the_entry(cache) / "manifest.json").read_text())
    assert manifest["identity"] == {
        "format": 3,
        "key": {"kind": "counted", "image_size": 4, "bad_images": "replace"},
        "fingerprint": "1",
        "count": 150,
    }
    assert manifest["shape"] == [4, 4, 3] and manifest["classes"] == ["a", "b", "c"] and manifest["bad"] == {}


def test_a_long_name_is_no_name_of_a_file(cache):
    records = Counted()
    records.name = "\U0001f408" * 60  # 240 bytes, as a folder may have
    assert len(open_quietly(records)) == 150
    assert the_entry(cache).name.split("-")[-2] == "train"


def test_sizes_are_kept_apart(cache):
    assert open_quietly(Counted(), 4).image_shape == (4, 4, 3)
    assert open_quietly(Counted(), 2).image_shape == (2, 2, 3)
    assert len([path for path in (cache / "decoded").iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize("stale", [Counted(mark="2"), Counted(count=149)], ids=["changed", "fewer"])
def test_a_source_that_changed_is_decoded_again(cache, stale):
    open_quietly(Counted())
    normalization(open_quietly(Counted()))
    assert (the_entry(cache) / "normalization.json").exists()
    ds = open_quietly(stale)
    assert stale.decoded == len(stale) == len(ds)
    assert not (the_entry(cache) / "normalization.json").exists()


def shorten(entry):
    os.truncate(entry / "images.npy", 1000)


def cut_manifest(entry):
    os.truncate(entry / "manifest.json", 50)


def flip_a_bit(entry):
    content = bytearray((entry / "images.npy").read_bytes())
    content[700] ^= 4
    (entry / "images.npy").write_bytes(content)


def zero_labels(entry):  # as some file systems do when the power fails
    (entry / "labels.npy").write_bytes(bytes((entry / "labels.npy").stat().st_size))


def manifest_without_classes(entry):
    manifest = json.loads((entry / "manifest.json").read_text())
    del manifest["classes"]
    (entry / "manifest.json").write_text(json.dumps(manifest))


def remove_labels(entry):
    (entry / "labels.npy").unlink()


def empty_manifest(entry):
    (entry / "manifest.json").write_text("[]")


def binary_manifest(entry):
    (entry / "manifest.json").write_bytes(b"\xff\xfe\x00")


def old_format(entry):
    manifest = json.loads((entry / "manifest.json").read_text())
    manifest["identity"]["format"] = 0
    (entry / "manifest.json").write_text(json.dumps(manifest))


DAMAGES = [shorten, flip_a_bit, zero_labels, remove_labels]
DAMAGES += [cut_manifest, empty_manifest, binary_manifest, manifest_without_classes, old_format]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(cache, damage):
    open_quietly(Counted())
    damage(the_entry(cache))
    records = Counted()
    np.testing.assert_array_equal(open_quietly(records).images, records.pixels)
    assert records.decoded == 150


def test_a_source_that_has_gone_stops_the_work_and_leaves_nothing(cache):
    records = Counted(5000)
    records.broken = range(70, 5000)
    with pytest.raises(ImageError, match=r"of 100 examples in a row one at least can be used; .* is broken"):
        open_quietly(records)
    assert records.decoded < 5000
    assert [path.name[0] for path in (cache / "decoded").iterdir()] == ["."]  # the lock
    records.broken = ()
    assert len(open_quietly(records)) == 5000


@pytest.mark.parametrize("streamed", [False, True])
def test_bad_images_are_replaced_or_left_out(cache, monkeypatch, streamed):
    if streamed:
        monkeypatch.setattr(decoded, "DECODED_LIMIT_BYTES", 0)
    records = Counted()
    records.broken = (3, 149)
    for _ in range(2):
        replaced = open_split(records, None, progress=False)
        images, labels = replaced.gather(range(150))
        stand_ins = [{3: 4, 149: 0}.get(i, i) for i in range(150)]
        np.testing.assert_array_equal(images, records.pixels[stand_ins])
        np.testing.assert_array_equal(labels, np.array(stand_ins) % 3)
        assert replaced.bad == {3: "number 3 is broken", 149: "number 149 is broken"} and not replaced.left_out
        shorter = open_split(records, None, bad_images="leave out", progress=False)
        images, labels = shorter.gather(range(148))
        np.testing.assert_array_equal(images, np.delete(records.pixels, [3, 149], axis=0))
        np.testing.assert_array_equal(labels, np.delete(np.arange(150) % 3, [3, 149]))
        assert len(shorter) == 148 and shorter.left_out == replaced.bad and not shorter.bad
        assert isinstance(shorter, StreamedDataset if streamed else Dataset)
    assert len([path for path in (cache / "decoded").iterdir() if path.is_dir()]) == 2


def test_a_split_to_measure_on_is_looked_through_once(cache, monkeypatch):
    monkeypatch.setattr(decoded, "DECODED_LIMIT_BYTES", 0)
    records = Counted()
    for _ in range(2):
        open_split(records, None, bad_images="leave out", progress=False)
        assert records.decoded == 150


def test_a_process_that_is_killed_leaves_nothing_that_counts(cache):
    script = (
        "import os, numpy as np; from jaxconv.data import decoded\n"
        "class R:\n name='count/ed'; split='train'; classes=('a','b','c')\n"
        " def __len__(s): return 150\n"
        " def key(s): return {'kind': 'counted'}\n"
        " def fingerprint(s): return '1'\n"
        " def shape(s, i, p): return (6, 5, 3)\n"
        " def read(s, i, shape): os._exit(9)\n"
        "decoded.open_split(R(), None, progress=False)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert [path.name for path in (cache / "decoded").iterdir() if path.name.endswith(".partial")]
    records = Counted()
    np.testing.assert_array_equal(open_quietly(records).images, records.pixels)
    assert not [path for path in (cache / "decoded").iterdir() if path.name.endswith(".partial")]


def test_several_callers_decode_once(cache):
    records, results = Counted(), []
    threads = [threading.Thread(target=lambda: results.append(open_quietly(records))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and records.decoded == 150


def test_a_large_split_is_streamed(cache, monkeypatch):
    monkeypatch.setattr(decoded, "DECODED_LIMIT_BYTES", 150 * 6 * 5 * 3 - 1)
    records = Counted()
    ds = open_quietly(records)
    assert isinstance(ds, StreamedDataset) and records.decoded == 0
    images, labels = ds.gather([149, 3])
    np.testing.assert_array_equal(images, records.pixels[[149, 3]])
    np.testing.assert_array_equal(labels, [2, 0])
    mean, _ = normalization(ds)
    np.testing.assert_allclose(mean, records.pixels.mean(axis=(0, 1, 2)) / 255, rtol=1e-6)
    assert isinstance(open_quietly(records), StreamedDataset)
    assert sorted(path.name for path in the_entry(cache).iterdir()) == ["manifest.json", "normalization.json"]
    monkeypatch.setattr(decoded, "DECODED_LIMIT_BYTES", 150 * 6 * 5 * 3)
    assert isinstance(open_quietly(Counted(mark="2")), Dataset)


def test_a_full_disk_is_told_before_the_work(cache, monkeypatch):
    usage = decoded.shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"count/ed, train, takes 13,500 bytes decoded; .* has 1,000 left"):
        open_quietly(Counted())


@pytest.mark.parametrize("room", [5000, 13_500])  # the last bytes alone are missing in the second
def test_a_disk_that_fills_up_leaves_nothing(cache, room):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            open_quietly(Counted())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (cache / "decoded").iterdir() if path.is_dir()]
    assert len(open_quietly(Counted())) == 150


def test_progress_is_told_when_there_is_something_to_do(cache, capsys):
    open_split(Counted(), None)
    assert "Decoding count/ed, train: 150 images" in capsys.readouterr().err
    open_split(Counted(), None)
    assert capsys.readouterr().err == ""
