"""Whatever is in a file, it is what was expected or named as damaged."""

import pytest

from jaxconv.data.stored import drop_cut_line, read_object, read_rows


class OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSONDecodeError, Expecting value: line 1 column 1"),
        (b'{"a": 1', "JSONDecodeError, Expecting"),
        (b"\xff\xfe\xfd", "UnicodeDecodeError, "),
        (bytes(40), "JSONDecodeError, |UnicodeDecodeError, "),
        (b"[" * 100_000, "RecursionError, |JSONDecodeError, "),
        (b"[]", "it holds a list"),
        (b"null", "it holds a NoneType"),
        (b"{}", "a, b missing or of another type"),
        (b'{"a": "1", "b": []}', "a missing or of another type"),
    ],
)
def test_what_is_no_such_object_is_named(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(OwnError, match=rf"x.json is damaged: ({message}).*\. Expected an object with a and b\."):
        read_object(path, OwnError, a=int, b=list)
    path.write_bytes(b'{"a": 1, "b": []}\n' + content.replace(b"\n", b"") + b"\n")
    with pytest.raises(
        ValueError, match=rf"x.json is damaged: line 2: ({message}).*\. Expected objects with a and b\."
    ):
        read_rows(path, a=int, b=list)


def test_objects_and_rows(tmp_path):
    path = tmp_path / "x.jsonl"
    assert read_rows(path, a=int) == []
    with pytest.raises(FileNotFoundError):
        read_object(path, a=int)
    path.write_text('{"a": 1, "more": "ü"}\n', encoding="utf-8")
    assert read_object(path, a=int) == {"a": 1, "more": "ü"} and read_rows(path, a=int) == [{"a": 1, "more": "ü"}]


@pytest.mark.parametrize(("content", "kept"), [(b"", b""), (b"ab", b""), (b"a\nb", b"a\n"), (b"a\n", b"a\n")])
def test_a_line_that_was_cut_goes(tmp_path, content, kept):
    (tmp_path / "x").write_bytes(content)
    drop_cut_line(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == kept
    drop_cut_line(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
