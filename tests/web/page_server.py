"""A server of the page in a process of its own, which writes down every address outside this machine it asks for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WATCHED = """
import ipaddress, os, runpy, socket, sys
log = open(os.environ["WATCH_LOG"], "a", buffering=1)
connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
def is_local(host):
    host = host.decode() if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "", None)
def note(what, address):
    host = address[0] if isinstance(address, tuple) else None
    if not is_local(host):
        log.write(f"{what} {address}\\n")
def watched_connect(self, address):
    note("connect", address)
    return connect(self, address)
def watched_connect_ex(self, address):
    note("connect", address)
    return connect_ex(self, address)
def watched_lookup(host, *rest, **options):
    note("look up", (host,))
    return lookup(host, *rest, **options)
socket.socket.connect, socket.socket.connect_ex = watched_connect, watched_connect_ex
socket.getaddrinfo = watched_lookup
script = sys.argv[1]
sys.argv = [script, *sys.argv[2:]]
runpy.run_path(script, run_name="__main__")
"""


@dataclass(frozen=True)
class Server:
    """address: 'http://127.0.0.1:PORT/'; connections: the log; cache: where uploads and results are."""

    address: str
    process: subprocess.Popen[bytes]
    connections: Path
    cache: Path
    output: Path


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, weights: Path) -> Iterator[Server]:
    """Run app.py in an empty working directory with a fresh home; a proxy that isn't there must not matter.

    weights: the cache folder of checkpoints.
    """
    log, output, cache = folder / "connections.txt", folder / "output.txt", folder / "cache"
    log.touch()
    environment = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    environment |= {
        "WATCH_LOG": str(log),
        "GRADIO_TEMP_DIR": str(cache),
        "HOME": str(folder),
        "DEPTH_ANYTHING_CACHE": str(weights),
        "HF_HOME": str(folder / "hf"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "2",
        "http_proxy": "http://127.0.0.1:9",
    }
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "GRADIO_ANALYTICS_ENABLED"):
        environment.pop(name, None)
    command = [sys.executable, "-c", WATCHED, str(ROOT / "app.py"), "--port", str(free_port())]
    with output.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield Server(_address(process, output), process, log, cache, output)
        finally:
            process.terminate()
            status = process.wait(20)
    assert (status, list(cache.glob("depth-anything-page-*"))) == (143, [])


def _address(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+/", output.read_text(encoding="utf-8"))
        if found:
            return found[0]
        assert process.poll() is None, output.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError(f"the page did not start: {output.read_text(encoding='utf-8')}")
