"""The examples of the documentation, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_clips import make_clip

from depth_anything_v2 import DepthPrediction

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS_WEIGHTS = ("checkpoints/depth_anything_v2_", '"latest.pth"', '"vits")(')


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the pages speak of, and no network."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for name in ("photo.jpg", "pictures/one.jpg", "pictures/two.jpg"):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((160, 120), Image.Resampling.BICUBIC).save(tmp_path / name)
    make_clip(tmp_path / "clip.mp4", count=3)
    Image.fromarray(np.full((4, 6), 1500, np.uint16)).save(tmp_path / "kinect.png")
    DepthPrediction(np.ones((4, 6)), "relative").save(tmp_path / "disparity.pfm")
    (tmp_path / "disparity.pfm.json").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def runnable(page: Path) -> list[str]:
    """The Python examples of a page, but those that need published weights."""
    return [code for code in blocks(page, "python") if not any(word in code for word in NEEDS_WEIGHTS)]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.stem)
def test_python_examples(page: Path, desk: Path) -> None:
    """One after the other, as a reader would type them."""
    namespace: dict[str, object] = {}
    for code in runnable(page):
        exec(compile(code, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_shell_examples(page: Path, desk: Path) -> None:
    for code in blocks(page, "sh"):
        for line in code.splitlines():
            if line.startswith("make "):
                continue
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            folder = re.search(r"-o (\S+)", line)
            assert folder, f"{line} does not say where its results go"
            written = [desk / folder[1], *(desk / folder[1]).rglob("*")]  # a file, or a folder of them
            assert [p for p in written if p.suffix in (".png", ".npz", ".ply")], f"{line} wrote nothing"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
