import hashlib
import http.server
import threading
import time

import numpy as np
import pytest

from jaxconv.data import download as module
from jaxconv.data.download import Archive, DownloadError, download, sha256_of

CONTENT = np.random.default_rng(5).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` for any path and behaves as badly as it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True  # whether it understands Range
        self.drop_after = []  # for each answer to come: the bytes after which the connection ends
        self.statuses = []  # for each answer to come: the status in place of the content
        self.requests = []  # the Range header of each request, and its path
        self.delay_seconds = 0.0

    def url(self, file="file.bin"):
        return f"http://127.0.0.1:{self.server_address[1]}/{file}"

    def archive(self, *urls, content=CONTENT):
        return Archive("file.bin", len(content), hashlib.sha256(content).hexdigest(), urls or (self.url(),))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((asked, self.path))
        time.sleep(server.delay_seconds)
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        body = server.content[start:]
        if start and not body:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.drop_after.pop(0)] if server.drop_after else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, folder, *urls):
    return download(server.archive(*urls), folder, progress=False)


def test_a_file_is_downloaded_and_proved(server, tmp_path):
    path = fetch(server, tmp_path / "new")
    assert path == tmp_path / "new" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert sorted(p.name for p in path.parent.iterdir()) == [".file.bin.lock", "file.bin"]


def test_a_second_call_downloads_nothing(server, tmp_path):
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_a_damaged_file_is_downloaded_again(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"x" * len(CONTENT))
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_dropped_connections_are_taken_up_where_they_broke_off(server, tmp_path):
    server.drop_after = [100_000, 1, 0, 50_000]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    ranges = [asked for asked, _ in server.requests]
    assert ranges == [None, "bytes=100000-", "bytes=100001-", "bytes=100001-", "bytes=150001-"]


def test_a_later_call_takes_up_what_an_earlier_one_left(server, tmp_path):
    server.drop_after = [70_000] + [0] * 10
    with pytest.raises(DownloadError, match=r"file.bin could not be downloaded. 70,000 bytes are kept"):
        fetch(server, tmp_path)
    assert (tmp_path / "file.bin.part").stat().st_size == 70_000
    server.drop_after, server.requests = [], []
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.requests == [("bytes=70000-", "/file.bin")]


def test_an_interrupt_from_the_keyboard_loses_nothing(server, tmp_path, monkeypatch):
    append = module._append

    def interrupted(url, part, size, advance):
        def stop(done):
            if part.exists() and part.stat().st_size:
                raise KeyboardInterrupt

        append(url, part, size, stop)

    monkeypatch.setattr(module, "_CHUNK_BYTES", 100_000)
    monkeypatch.setattr(module, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path)
    kept = (tmp_path / "file.bin.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    monkeypatch.setattr(module, "_append", append)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][0] == f"bytes={kept}-"


def test_a_server_without_ranges_sends_the_whole_again(server, tmp_path):
    server.ranges, server.drop_after = False, [100_000]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_wrong_digest_is_told_and_the_file_deleted(server, tmp_path):
    server.content = b"x" * len(CONTENT)
    found, expected = hashlib.sha256(server.content).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(DownloadError, match=f"(?s)file.bin .*SHA-256 is {found}, expected {expected}"):
        fetch(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".file.bin.lock"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", [1000, 300_000, 400_000], ids=["shorter", "whole", "longer"])
def test_a_partial_file_of_something_else_is_replaced(server, tmp_path, length):
    (tmp_path / "file.bin.part").write_bytes(b"x" * length)
    assert fetch(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("length", "reason"),
    [(200_000, "the file there ends before byte 200,001 of 300,000"), (400_000, "SHA-256 is")],
    ids=["shorter", "longer"],
)
def test_content_of_another_length_is_refused(server, tmp_path, length, reason):
    server.content = (CONTENT + CONTENT)[:length]
    with pytest.raises(DownloadError, match=f"(?s)file.bin could not be downloaded.*{reason}"):
        fetch(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".file.bin.lock"]


def test_the_next_address_is_tried(server, tmp_path):
    server.statuses = [404]
    path = fetch(server, tmp_path, server.url("first"), server.url("second"), server.url("third"))
    assert path.read_bytes() == CONTENT
    assert [path for _, path in server.requests] == ["/first", "/second"]


def test_an_address_with_wrong_content_is_passed_over(server, tmp_path):
    with Server() as liar:
        liar.content = b"an error page"
        threading.Thread(target=liar.serve_forever, kwargs={"poll_interval": 0.01}).start()
        assert fetch(server, tmp_path, liar.url(), server.url()).read_bytes() == CONTENT
        liar.shutdown()


def test_busy_servers_are_asked_again(server, tmp_path):
    server.statuses = [503, 429, 500]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 4


def test_all_failures_are_told(server, tmp_path):
    server.statuses = [403, 404]
    nobody = "http://127.0.0.1:9/file.bin"
    with pytest.raises(DownloadError, match=r"(?s)/a: HTTP Error 403.*/b: HTTP Error 404.*:9/file.bin: .*refused"):
        fetch(server, tmp_path, server.url("a"), server.url("b"), nobody)


def test_two_callers_share_one_download(server, tmp_path):
    server.delay_seconds = 0.2
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(server, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 3
    assert len(server.requests) == 1


def test_progress_counts_the_bytes(server, tmp_path, capsys):
    download(server.archive(), tmp_path)
    assert "Downloading file.bin from 127.0.0.1: 0.3 MB" in capsys.readouterr().err


def test_the_digest_is_the_one_that_everybody_computes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-4
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
