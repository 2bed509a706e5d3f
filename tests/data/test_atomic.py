import errno
import os
import threading
from pathlib import Path

import pytest

from jaxconv.data import atomic


def test_write_text_replaces_in_one_step(tmp_path, monkeypatch):
    atomic.write_text(tmp_path / "a", "old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no rename"):
        patch.setattr(atomic.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("no rename")))
        atomic.write_text(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]
    atomic.write_text(tmp_path / "a", "ä")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "ä"


@pytest.mark.parametrize("links", [True, False])
def test_create_text_leaves_what_is_there(tmp_path, monkeypatch, links):
    def link(*paths):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not links:
        monkeypatch.setattr(atomic.os, "link", link)
    atomic.create_text(tmp_path / "a", "first")
    with pytest.raises(FileExistsError, match="a"):
        atomic.create_text(tmp_path / "a", "second")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "first")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written_is_told_by_its_setting(tmp_path, monkeypatch, number):
    def open_(self, *_):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "open", open_)
    with (
        pytest.raises(OSError, match=f"^JAXCONV_CACHE must name a folder .*; {tmp_path}: ") as caught,
        atomic.locked(tmp_path / "lock", waiting_for=""),
    ):
        pass
    assert caught.value.errno == number


def test_locked_lets_one_in_at_a_time(tmp_path, capsys):
    inside, most = 0, 0
    entered = threading.Event()

    def work():
        nonlocal inside, most
        with atomic.locked(tmp_path / "new" / "lock", waiting_for="the other works"):
            inside += 1
            most = max(most, inside)
            entered.wait(0.05)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert "Waiting for another process: the other works." in capsys.readouterr().err


def test_scratch_folder_is_empty_at_first_and_gone_at_last(tmp_path):
    folder = tmp_path / "work"
    (folder / "left by a dead process").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), atomic.scratch_folder(folder) as work:
        assert work == folder and not list(work.iterdir())
        (work / "file").touch()
        raise KeyboardInterrupt
    assert not folder.exists()


def test_move_folder_takes_the_place_of_an_older_one(tmp_path):
    for name in ("new", "deep/old"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / name[-3:]).touch()
    atomic.move_folder(tmp_path / "new", tmp_path / "deep" / "old")
    assert [path.name for path in (tmp_path / "deep" / "old").iterdir()] == ["new"]
    assert not (tmp_path / "new").exists()
