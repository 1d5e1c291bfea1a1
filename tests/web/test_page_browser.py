"""The page in headless Chromium: a picture goes in, the result is seen, nothing is fetched from elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import ROOT, Server
from PIL import Image

from depth_anything_v2.io import read_depth

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
COFFEE = ROOT / "assets" / "examples" / "coffee.jpg"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def elsewhere() -> list[str]:
    """Addresses outside the page's own that its browser asked for."""
    return []


@pytest.fixture
def page(request, server: Server, browser, elsewhere: list[str], tmp_path: Path) -> Iterator[Any]:
    width, height = getattr(request, "param", (1200, 1000))
    page = browser.new_page(viewport={"width": width, "height": height})
    own = (server.address, "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(own) else elsewhere.append(asked.url))
    page.goto(server.address)
    page.wait_for_selector("#upload input[type=file]", state="attached")
    yield page
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    if shots := os.environ.get("PAGE_SCREENSHOTS"):
        shutil.copy(tmp_path / "page.png", Path(shots) / f"{request.node.name}.png")
    page.close()


def upload(page: Any, file: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(file)
    page.wait_for_selector("#upload img")


def compute(page: Any) -> None:
    page.get_by_role("button", name="Compute depth").click()
    page.wait_for_selector("#npz:not([disabled])", timeout=60_000)
    page.wait_for_function(
        "(() => { const found = [...document.querySelectorAll('#result img')];"
        " return found.length >= 2 && found.every(i => i.complete && i.naturalWidth > 0) })()"
    )


def download(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as got:
        page.locator(f"#{name}").click()
    file = folder / got.value.suggested_filename
    got.value.save_as(file)
    return file


@pytest.mark.parametrize("page", [(1200, 1000), (390, 844)], ids=["desktop", "phone"], indirect=True)
def test_upload_compute_compare_download(server: Server, page, elsewhere, tmp_path) -> None:
    upload(page, COFFEE)
    compute(page)
    told = page.locator("#told").inner_text()
    assert "Inverse depth" in told
    assert "builtin (Apache-2.0)" in told
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    with Image.open(COFFEE) as picture:
        size = picture.size
    depth = read_depth(download(page, "png16", tmp_path))
    assert ((depth.width, depth.height), depth.kind, depth.provenance.checkpoint) == (size, "relative", "builtin")
    exact = read_depth(download(page, "npz", tmp_path))
    np.testing.assert_allclose(depth.depth, exact.depth, atol=np.ptp(exact.depth) / 65534)
    assert np.ptp(exact.depth) > 0
    for name, mode in (("grey", "L"), ("colours", "RGB")):
        with Image.open(download(page, name, tmp_path)) as file:
            assert (file.mode, file.size) == (mode, size)
    assert elsewhere == []
    assert server.connections.read_text() == ""


def test_an_example_and_other_colours(page, elsewhere) -> None:
    page.locator("button.gallery-item, .gallery button, td button").first.click()
    page.wait_for_selector("#upload img")
    compute(page)
    shown = "[...document.querySelectorAll('#result img')].map(i => i.src).join()"
    before = page.evaluate(shown)
    page.get_by_label("Colours").click()
    page.get_by_role("option", name="viridis").click()
    page.wait_for_function(f"{shown} != {before!r}")
    assert "viridis" in page.evaluate(shown)
    assert elsewhere == []


def test_a_checkpoint_that_is_not_here_is_offered_with_licence_and_size(page, tmp_path) -> None:
    upload(page, COFFEE)
    assert not page.locator("#fetch").is_visible()
    page.get_by_label("Checkpoint").click()
    page.get_by_role("option", name="vitl · relative · CC-BY-NC-4.0 · 1.34 GB", exact=True).click()
    page.wait_for_selector("#fetch")
    assert "Download vitl (1.34 GB)" in page.locator("#fetch").inner_text()
    about = page.locator("#about").inner_text()
    assert "CC-BY-NC-4.0" in about
    assert "no commercial use" in about
    page.get_by_role("button", name="Compute depth").click()
    page.wait_for_function("document.body.innerText.includes('download it first')")


def test_a_file_that_is_no_picture_gives_a_sentence(page, tmp_path) -> None:
    bad = tmp_path / "text.jpg"
    bad.write_text("this is no picture")
    page.locator("#upload input[type=file]").set_input_files(bad)
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Compute depth").click()
    page.wait_for_function("document.body.innerText.includes('text.jpg')", timeout=30_000)
    assert "Traceback" not in page.inner_text("body")
