"""Pictures over http from a local server that behaves, and from several that do not."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depth_anything_v2.errors import InputError
from depth_anything_v2.io import is_url, read_image
from depth_anything_v2.io.fetch import fetch

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    stop = threading.Event()

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: bytes, length: int | None = None, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path
        if path in ("/picture.png", "/ein%20Bild%20%C3%A9.png?size=1&name=a%20b"):
            self.answer(png())
        elif path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/picture.png")
            self.end_headers()
        elif path == "/moved-to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif path == "/page":
            self.answer(b"<!DOCTYPE html><html>sign in</html>")
        elif path == "/empty":
            self.answer(b"")
        elif path == "/cut":
            self.answer(png()[:40], length=len(png()))
        elif path == "/claims-much":
            self.answer(b"x", length=10**12)
        elif path == "/silent":
            self.stop.wait(30)
        elif path == "/drips-header":
            while not self.stop.wait(0.05):
                self.wfile.write(b"H")
        elif path in ("/drips-body", "/endless"):
            self.send_response(200)
            self.end_headers()
            while not self.stop.wait(0.05 if path == "/drips-body" else 0):
                self.wfile.write(b"x" if path == "/drips-body" else b"x" * 100_000)
        else:
            self.answer(b"no", status=404)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that hang up are what some tests are about."""

    Handler.stop.clear()
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        Handler.stop.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("path", ["/picture.png", "/moved", "/ein Bild é.png?size=1&name=a b#here"])
def test_picture(server: str, path: str) -> None:
    np.testing.assert_array_equal(read_image(server + path), PIXELS)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nowhere.jpg", "404"),
        ("/page", "web page"),
        ("/empty", "empty"),
        ("/cut", "40 of"),
        ("/claims-much", "limit"),
        ("/moved-to-file", "not allowed|unknown url type"),
    ],
)
def test_bad_answers(server: str, path: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_image(server + path)
    assert server + path in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["/silent", "/drips-header", "/drips-body"])
def test_a_server_that_hangs_costs_no_more_than_the_timeout(server: str, path: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError, match=r"within 0.3 s"):
        read_image(server + path, timeout_s=0.3)
    assert time.monotonic() - start < 1.5


def test_an_endless_answer_stops_at_the_limit(server: str) -> None:
    with pytest.raises(InputError, match="limit of 1 MB"):
        fetch(server + "/endless", 10, max_bytes=1_000_000)


def test_nobody_listens() -> None:
    with pytest.raises(InputError, match=re.escape("cannot read 'http://127.0.0.1:9/a.jpg'")):
        read_image("http://127.0.0.1:9/a.jpg", timeout_s=5)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a.jpg", "s3://bucket/a.jpg"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"only http:// and https://"):
        read_image(url)


@pytest.mark.parametrize("url", ["http://", "http://user:secret word@[bad/a.jpg", "http://127.0.0.1:port/a.jpg"])
def test_addresses_that_make_no_sense(url: str) -> None:
    with pytest.raises(InputError):
        read_image(url, timeout_s=2)


def test_paths_are_not_addresses(tmp_path: Path) -> None:
    assert is_url("https://example.org/a.jpg")
    assert not any(map(is_url, ["a.jpg", "C:\\a.jpg", "C:/a.jpg", "a:b.jpg", "dir//a.jpg"]))
