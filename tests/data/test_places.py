from pathlib import Path

import pytest

from jaxconv.data import places


def test_the_environment_names_the_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXCONV_CACHE", "/c")
    monkeypatch.setenv("TFDS_DATA_DIR", "~/t")
    assert places.roots(tmp_path) == [tmp_path, Path.home() / "t", Path("/c/tfds")]
    assert places.roots(None) == [Path.home() / "t", Path("/c/tfds")]


def test_without_it_they_are_in_the_home_folder(monkeypatch):
    monkeypatch.delenv("JAXCONV_CACHE")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert places.cache_dir() == Path.home() / ".cache" / "jaxconv"
    assert places.roots(None)[0] == Path.home() / "tensorflow_datasets"


def test_data_dir_is_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"data_dir names a folder; .*nowhere is none"):
        places.roots(tmp_path / "nowhere")


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_the_cache_is_a_folder(monkeypatch, tmp_path, below):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("JAXCONV_CACHE", str(tmp_path / "file" / below))
    with pytest.raises(ValueError, match=r"JAXCONV_CACHE must name a folder, .*: .*file is a file"):
        places.cache_dir()
