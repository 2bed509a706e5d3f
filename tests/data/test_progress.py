import io

import pytest

from jaxconv.data import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_are_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress.track("Decoding", 4, unit="images", shown=True) as advance:
        advance(1)
        advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["Decoding: 4 images", "Decoding: 25%", "Decoding: 75%"]
    assert lines[3].startswith("Decoding: done in 0.0 s")


def test_bytes_are_told_in_megabytes(capsys):
    with progress.track("Downloading", 2_500_000, unit="bytes", shown=True):
        pass
    assert capsys.readouterr().err.startswith("Downloading: 2.5 MB")


def test_a_failure_is_not_called_done(capsys):
    with pytest.raises(KeyError), progress.track("Decoding", 4, unit="images", shown=True):
        raise KeyError
    assert "done" not in capsys.readouterr().err


@pytest.mark.parametrize("unit", ["images", "bytes"])
def test_on_a_terminal_there_is_a_bar_that_vanishes(monkeypatch, unit):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.track("Decoding pets[/b]", 4, unit=unit, shown=True) as advance:
        advance(4)
    text = terminal.getvalue()
    assert "Decoding pets[/b]" in text and "━" in text
    assert text.endswith("\x1b[2K")  # erases the line


def test_nothing_is_shown_on_request(capsys):
    with progress.track("Decoding", 4, unit="images", shown=False) as advance:
        advance(1)
    progress.say("something", shown=False)
    assert capsys.readouterr() == ("", "")
