import shutil

import numpy as np
import pytest

from jaxconv.data.originals import ORIGINALS, find_archive, read_originals


def test_sizes_and_digests_are_those_that_tfds_records():
    from tensorflow_datasets.core.download import checksums

    recorded = checksums.get_all_url_infos()
    for archives in ORIGINALS.values():
        for archive in archives:
            (info,) = [recorded[url] for url in archive.urls if url in recorded]
            assert (archive.size, archive.sha256) == (info.size, info.checksum)
            assert all(url.endswith("/" + archive.file) for url in archive.urls)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_read(originals, name):
    root, arrays = originals
    files = {archive.file: root / name / archive.file for archive in ORIGINALS[name]}
    content, names = read_originals(name, files)
    assert names == {}
    for split in ("train", "test"):
        images, labels = content[split]
        np.testing.assert_array_equal(images, arrays[name][split][0])
        np.testing.assert_array_equal(labels["label"], arrays[name][split][1])


@pytest.mark.parametrize(("name", "keys"), [("cifar10", ["label"]), ("cifar100", ["coarse_label", "label"])])
def test_cifar_archives_are_read(originals, name, keys):
    root, arrays = originals
    content, names = read_originals(name, {ORIGINALS[name][0].file: root / name / ORIGINALS[name][0].file})
    assert names["label"][:2] == ["class0", "class1"] and list(names) == keys
    for split in ("train", "test"):
        images, labels = content[split]
        np.testing.assert_array_equal(images, arrays[name][split][0])
        np.testing.assert_array_equal(labels["label"], arrays[name][split][1])
        if name == "cifar100":
            np.testing.assert_array_equal(labels["coarse_label"], arrays[name][split][1] // 5)


PLACES = [".", "mnist", "downloads", "downloads/mnist", "downloads/manual", "downloads/manual/mnist"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("renamed", [False, True])
def test_files_are_found_where_they_may_lie_whatever_their_name(originals, tmp_path, place, renamed):
    root, _ = originals
    archive = ORIGINALS["mnist"][0]
    target = tmp_path / place / ("cvdf-datasets_mnist_train-imagesXYZ.gz" if renamed else archive.file)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "mnist" / archive.file, target)
    found, refused = find_archive(archive, "mnist", [tmp_path / "nowhere", tmp_path])
    assert found is not None and found.samefile(target) and refused == []


def test_a_file_of_the_other_set_with_the_same_name_is_not_taken(originals, tmp_path):
    root, _ = originals
    archive = ORIGINALS["fashion_mnist"][0]
    shutil.copy(root / "mnist" / archive.file, tmp_path)
    found, refused = find_archive(archive, "fashion_mnist", [tmp_path])
    assert found is None
    assert len(refused) == 1 and str(tmp_path / archive.file) in refused[0] and archive.sha256 in refused[0]


def test_a_damaged_file_is_not_taken(originals, tmp_path):
    root, _ = originals
    archive = ORIGINALS["mnist"][1]
    damaged = bytearray((root / "mnist" / archive.file).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / archive.file).write_bytes(damaged)
    found, refused = find_archive(archive, "mnist", [tmp_path])
    assert found is None and "SHA-256" in refused[0]
    assert find_archive(archive, "mnist", [tmp_path, root])[0] == root / "mnist" / archive.file
