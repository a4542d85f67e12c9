"""The download against a server of our own: whatever a mirror sends, only the right file is ever in place."""

import hashlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minighost.data import cifar, download
from minighost.errors import FormatError
from minighost.files import alone

GOOD = bytes(range(256)) * 1600  # six chunks and a bit
WRONG = GOOD[::-1]
PAGE = b"<!doctype html><html>please log in</html>"


class Mirror(BaseHTTPRequestHandler):
    """Serves by path; `asked` keeps (path, Range header) of every request."""

    asked: list = []

    def do_GET(self):
        start = self.headers.get("Range")
        self.asked.append((self.path, start))
        kind = self.path.strip("/").partition("?")[0]
        if kind == "gone":
            return self.send_error(404)
        if kind in ("moved", "lost"):
            return self._answer(302, b"", Location="/good" if kind == "moved" else "http://[::bad/")
        body = {
            "page": PAGE,
            "portal": PAGE,
            "wrong": WRONG,
            "short": GOOD[:-1],
            "long": GOOD * 3,
            "endless": GOOD * 3,
        }.get(kind, GOOD)
        if start and kind in ("good", "breaks", "wrong", "slow", "elsewhere", "another"):
            first = int(start.removeprefix("bytes=").removesuffix("-"))
            if first >= len(body):
                return self.send_error(416)
            said = {
                "elsewhere": f"bytes 0-{len(body) - 1}/{len(body)}",
                "another": f"bytes {first}-{len(body) + 8}/{len(body) + 9}",
            }
            whole = f"bytes {first}-{len(body) - 1}/{len(body)}"
            return self._answer(206, body[first:], **{"Content-Range": said.get(kind, whole)})
        if kind == "breaks":  # promises everything, sends a third, hangs up
            return self._answer(200, body[: len(body) // 3], length=len(body))
        if kind in ("endless", "portal", "ends"):  # promises nothing
            return self._answer(200, body[: len(body) // 3] if kind == "ends" else body, length="")
        if kind == "garbled":
            return self._answer(200, body, length="many")
        if kind == "chunks":
            return self._answer(200, b"zz\r\nno number\r\n", length="", **{"Transfer-Encoding": "chunked"})
        if kind == "slow":
            time.sleep(0.3)
        self._answer(200, body)

    def _answer(self, status, body, length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if length != "":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MINIGHOST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MINIGHOST_CIFAR10_URL", raising=False)
    monkeypatch.setattr(download, "MIRRORS", ())
    monkeypatch.setattr(download, "ARCHIVE_BYTES", len(GOOD))
    monkeypatch.setattr(download, "ARCHIVE_SHA256", hashlib.sha256(GOOD).hexdigest())
    Mirror.asked.clear()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "data" / "cifar-10-binary.tar.gz"


def part_of(place):
    return place.with_name(place.name + ".part")


@pytest.mark.parametrize("mirror", ["good", "moved"])
def test_a_good_mirror_fills_the_data_directory_once(server, place, mirror):
    assert download.fetch([server + mirror]) == place
    assert place.read_bytes() == GOOD
    assert list(place.parent.iterdir()) == [place]
    asked = len(Mirror.asked)
    assert download.fetch([server + mirror]) == place
    assert len(Mirror.asked) == asked


BAD = ["gone", "page", "portal", "wrong", "short", "long", "endless", "breaks", "ends", "garbled", "chunks", "lost"]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_mirror_is_passed_over(server, place, bad):
    assert download.fetch([server + bad, server + "good"]) == place
    assert place.read_bytes() == GOOD
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize(
    "bad, reason",
    [
        ("gone", "404"),
        ("page", f"{len(PAGE)} bytes offered, {len(GOOD):,} expected. It looks like a web page"),
        ("portal", "this is not the archive. It looks like a web page"),
        ("wrong", f"{len(GOOD):,} bytes as expected, but the SHA-256 is not"),
        ("short", f"{len(GOOD) - 1:,} bytes offered, {len(GOOD):,} expected"),
        ("long", f"{3 * len(GOOD):,} bytes offered, {len(GOOD):,} expected"),
        ("ends", f"{len(GOOD) // 3:,} bytes received, {len(GOOD):,} expected"),
        ("garbled", "'many'"),
        ("endless", f"sent more than the {len(GOOD):,} bytes"),
        ("breaks", f" of {len(GOOD):,} bytes received)"),
    ],
)
def test_without_a_good_mirror_each_failure_is_told_and_nothing_is_in_place(server, place, bad, reason):
    urls = [server + bad, "http://127.0.0.1:9/refused"]
    with pytest.raises(OSError) as caught:
        download.fetch(urls)
    message = str(caught.value)
    for words in (reason, *urls, "--data-dir", "--data-archive", "shapes10", "MINIGHOST_CIFAR10_URL"):
        assert words in message
    assert "\n" not in message
    assert not place.exists()


def test_a_broken_transfer_goes_on_where_it_stopped(server, place):
    with pytest.raises(OSError):
        download.fetch([server + "breaks"])
    kept = part_of(place).read_bytes()
    assert 0 < len(kept) <= len(GOOD) // 3 and GOOD.startswith(kept)
    assert download.fetch([server + "good"]).read_bytes() == GOOD
    assert Mirror.asked == [("/breaks", None), ("/good", f"bytes={len(kept)}-")]


def test_a_server_without_ranges_starts_over(server, place):
    place.parent.mkdir()
    part_of(place).write_bytes(GOOD[:1000])
    assert download.fetch([server + "plain"]).read_bytes() == GOOD
    assert Mirror.asked == [("/plain", "bytes=1000-")]


@pytest.mark.parametrize("start", [b"<html>" * 50, WRONG, GOOD * 2])
def test_a_wrong_beginning_is_dropped_and_the_same_mirror_asked_again(server, place, start):
    place.parent.mkdir()
    part_of(place).write_bytes(start)
    assert download.fetch([server + "good"]).read_bytes() == GOOD
    assert Mirror.asked[-1] == ("/good", None)


@pytest.mark.parametrize("bad", [*BAD, "elsewhere", "another"])
def test_no_mirror_spoils_what_another_has_sent(server, place, bad):
    place.parent.mkdir()
    part_of(place).write_bytes(GOOD[:1000])
    assert download.fetch([server + bad, server + "good"]).read_bytes() == GOOD
    if bad not in ("wrong", "endless", "breaks"):  # the first two are known for what they are only when it is too late
        kept = len(GOOD) // 3 if bad == "ends" else 1000
        assert Mirror.asked[-1] == ("/good", f"bytes={kept}-")


def test_a_partial_file_that_is_whole_is_used_without_asking_anyone(server, place):
    place.parent.mkdir()
    part_of(place).write_bytes(GOOD)
    assert download.fetch([server + "good"]).read_bytes() == GOOD
    assert Mirror.asked == [] and list(place.parent.iterdir()) == [place]


def test_of_many_that_want_it_at_the_same_time_one_downloads_and_all_get_it(server, place):
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: download.fetch([server + "slow"]).read_bytes(), range(6)))
    assert found == [GOOD] * 6
    assert Mirror.asked == [("/slow", None)] and list(place.parent.iterdir()) == [place]


def test_who_waits_for_another_download_says_so(server, place, capsys):
    place.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with alone(place.parent):
            found, said = pool.submit(download.fetch, [server + "good"]), ""
            while not said.endswith("\n"):
                said += capsys.readouterr().err
            assert not found.done()
        assert found.result().read_bytes() == GOOD
    assert said == f"waiting: another process is downloading CIFAR-10 into {place.parent}\n"


def test_when_the_one_that_downloads_fails_the_next_goes_on(server, place):
    def fetch(_):
        try:
            return download.fetch([server + "breaks"], progress=False).read_bytes()
        except OSError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fetch, range(4)))
    assert sorted(found, key=bool) == [None, GOOD, GOOD, GOOD]  # the first gets a third, the second the rest


def test_own_mirrors_come_first_then_the_variable_then_the_built_in_ones(server, monkeypatch):
    monkeypatch.setenv("MINIGHOST_CIFAR10_URL", server + "gone?2")
    monkeypatch.setattr(download, "MIRRORS", (server + "gone?1", server + "good"))
    download.fetch([server + "gone?1", server + "page"])
    assert [path for path, _ in Mirror.asked] == ["/gone?1", "/page", "/gone?2", "/good"]


def test_only_http_urls_are_mirrors():
    for url in ("ftp://host/x", "/home/me/x.tar.gz", "file:///x"):
        with pytest.raises(ValueError, match="starts with http:// or https://.*--data-archive"):
            download.fetch([url])


def test_the_data_directory_is_the_users_or_the_systems_cache(monkeypatch, tmp_path):
    assert download.data_directory() == tmp_path / "data"
    monkeypatch.setenv("MINIGHOST_DATA_DIR", "~/here")
    assert download.data_directory() == Path("~/here").expanduser()
    monkeypatch.delenv("MINIGHOST_DATA_DIR")
    assert "minighost" in str(download.data_directory())


@pytest.mark.skipif(sys.platform == "win32", reason="the home directory comes from elsewhere there")
@pytest.mark.parametrize("own", ["~/here", "~nobody-of-this-name/here", None])
def test_without_a_home_directory_the_data_directory_is_asked_for(monkeypatch, own):
    def nobody(_):
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", "MINIGHOST_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    if own:
        monkeypatch.setenv("MINIGHOST_DATA_DIR", own)
    with pytest.raises(FileNotFoundError, match="no home directory.*set MINIGHOST_DATA_DIR"):
        download.data_directory()


def test_cifar10_downloads_when_it_has_nothing_and_checks_what_came(server, place):
    with pytest.raises(FormatError, match="not a gzip archive"):  # GOOD has the right sum here, but is no archive
        cifar.cifar10("test", mirrors=[server + "good"])
    assert place.is_file()


def test_the_progress_bar_shows_in_a_terminal_only(server, monkeypatch, capsys):
    download.fetch([server + "good"], progress=True)
    assert capsys.readouterr().err == ""
    (download.data_directory() / download.ARCHIVE).unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    download.fetch([server + "good"], progress=True)
    assert "100%" in capsys.readouterr().err


def test_an_unwritable_directory_is_an_os_error(server, tmp_path):
    (tmp_path / "data").write_bytes(b"a file where the directory should be")
    with pytest.raises(OSError):
        download.fetch([server + "good"])
