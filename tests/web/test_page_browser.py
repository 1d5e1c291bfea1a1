"""The page in headless Chromium: a picture goes in, the result is seen, nothing leaves the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depth_anything_v2.io import read_depth

ROOT = Path(__file__).parents[2]
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
# Runs app.py and writes down every address outside this machine that Python code looks up or connects to.
WATCHED = """
import ipaddress, os, runpy, socket, sys
log = open(os.environ["WATCH_LOG"], "a", buffering=1)
connect, lookup = socket.socket.connect, socket.getaddrinfo
def is_local(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", None)
def watched_connect(self, address):
    if isinstance(address, tuple) and not is_local(address[0]):
        log.write(f"connect {address}\\n")
    return connect(self, address)
def watched_lookup(host, *rest, **options):
    if not is_local(host if not isinstance(host, bytes) else host.decode()):
        log.write(f"look up {host}\\n")
    return lookup(host, *rest, **options)
socket.socket.connect, socket.getaddrinfo = watched_connect, watched_lookup
sys.argv = ["app.py", *sys.argv[1:]]
runpy.run_path("app.py", run_name="__main__")
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("page") / "connections.txt"
    log.touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "WATCH_LOG": str(log), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", WATCHED, "--port", str(port), "--checkpoint", "builtin"]
    with (
        log.with_name("server.txt").open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        address = f"http://127.0.0.1:{port}/"
        for _ in range(240):
            assert process.poll() is None, log.with_name("server.txt").read_text()
            try:
                with urllib.request.urlopen(address, timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.25)
        yield address, log
        process.terminate()


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.parametrize("size", [(1200, 1000), (390, 844)], ids=["desktop", "phone"])
def test_upload_compute_compare_download(server, browser, size, tmp_path) -> None:
    address, log = server
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    elsewhere: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    page.goto(address)
    page.locator("#upload input[type=file]").set_input_files(ROOT / "assets" / "examples" / "coffee.jpg")
    page.wait_for_selector("#upload img")
    page.get_by_role("button", name="Compute depth").click()
    page.wait_for_function("document.querySelectorAll('#result img').length >= 2", timeout=60_000)
    page.wait_for_function("document.querySelector('#told').innerText.includes('Inverse depth')")
    page.wait_for_function("[...document.querySelectorAll('#result img')].every(i => i.complete && i.naturalWidth > 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    if shots := os.environ.get("PAGE_SCREENSHOTS"):
        shutil.copy(tmp_path / "page.png", Path(shots) / f"page-{size[0]}.png")
    assert "builtin" in page.locator("#told").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    with Image.open(ROOT / "assets" / "examples" / "coffee.jpg") as picture:
        width, height = picture.size
    files = {}
    for name in ("grey", "png16"):
        with page.expect_download() as download:
            page.locator(f"#{name}").click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    depth = read_depth(files["png16"])
    assert (depth.width, depth.height, depth.kind) == (width, height, "relative")
    assert np.ptp(depth.depth) > 0
    assert depth.provenance.checkpoint == "builtin"
    with Image.open(files["grey"]) as grey:
        assert (grey.mode, grey.size) == ("L", (width, height))
    assert elsewhere == []
    assert log.read_text() == ""
    page.close()


def test_a_file_that_is_no_picture_gives_a_sentence(server, browser, tmp_path) -> None:
    address, _ = server
    bad = tmp_path / "text.jpg"
    bad.write_text("this is no picture")
    page = browser.new_page()
    page.goto(address)
    page.locator("#upload input[type=file]").set_input_files(bad)
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Compute depth").click()
    page.wait_for_function("document.body.innerText.includes('text.jpg')", timeout=30_000)
    assert "Traceback" not in page.inner_text("body")
    page.close()
