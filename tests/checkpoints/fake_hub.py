"""A Hugging Face Hub on 127.0.0.1: what huggingface-hub asks for, and the ways in which a hub can misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """files: 'repo/path' (with 'spaces/' before a Space) to bytes. Behaviour is switched by the fields."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None  # bytes sent before the line is cut; once per entry of cuts_left
    cuts_left: int = 0
    status_after_cut: int | None = None
    stall_after: int | None = None  # bytes of a file sent before silence; once per entry of stalls_left
    stalls_left: int = 0
    stall: bool = False  # accept and never answer
    status: int | None = None  # answer everything with this
    delay_s: float = 0.0  # between blocks of 16 kB
    announced: dict[str, str] = field(default_factory=dict)  # digests that the hub claims instead of the true ones
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def methods(self, method: str) -> list[str]:
        return [path for asked, path, _ in self.requests if asked == method]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            """Keep the test output clean."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            if hub.stall:
                hub.released.wait(30)
                self.close_connection = True
                return
            if hub.status is not None:
                self.plain(hub.status, b"no", {})
            elif self.path.startswith("/api/models/"):
                self.listing(self.path.removeprefix("/api/models/").split("?")[0])
            else:
                self.file(body)

        def plain(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def listing(self, repo: str) -> None:
            names = [key.removeprefix(repo + "/") for key in hub.files if key.startswith(repo + "/")]
            if not names:
                self.plain(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return
            siblings = [{"rfilename": name} for name in names]
            data = json.dumps({"id": repo, "siblings": siblings, "private": False}).encode()
            self.plain(200, data, {"Content-Type": "application/json"})

        def file(self, body: bool) -> None:
            key = self.path.lstrip("/").split("?")[0]
            repo, _, rest = key.partition("/resolve/")
            name = f"{repo}/{rest.partition('/')[2]}"
            if name not in hub.files:
                known = any(entry.startswith(repo + "/") for entry in hub.files)
                self.plain(404, b"", {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound"})
                return
            data = hub.files[name]
            start = 0
            if wanted := self.headers.get("Range"):
                start = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0])
            digest = hub.announced.get(name, hashlib.sha256(data).hexdigest())
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.stream(data[start:])

        def stream(self, data: bytes) -> None:
            if hub.stall_after is not None and hub.stalls_left > 0:
                hub.stalls_left -= 1
                self.wfile.write(data[: hub.stall_after])
                self.wfile.flush()
                hub.released.wait(30)
                self.close_connection = True
                return
            if hub.cut_after is not None and hub.cuts_left > 0:
                hub.cuts_left -= 1
                self.wfile.write(data[: hub.cut_after])
                hub.status = hub.status_after_cut
                self.close_connection = True
                return
            for position in range(0, len(data), 16384):
                if hub.delay_s:
                    time.sleep(hub.delay_s)
                self.wfile.write(data[position : position + 16384])

    return Handler


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Start answering on a free port of 127.0.0.1; `hub.url` is the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    server.block_on_close = False
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
