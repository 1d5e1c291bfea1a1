"""Commands run in this process, each test in a folder of its own; no network but 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from picture_files import save_tiny_checkpoint

from depth_anything_v2.cli.main import main
from depth_anything_v2.engines import store
from depth_anything_v2.estimator import DepthEstimator


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> str:
    """A checkpoint of the small architecture, relative, with random weights; converted, so that no note says so."""
    path = save_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "folder", lambda: shared_cache / "converted")
        for precision in ("auto", "float32"):
            DepthEstimator.from_pretrained(path, precision=precision)
    return str(path)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and cache, and a hub address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run `depth-anything ARGUMENTS...`; what the test printed before is dropped."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Outcome(status, out, err)

    return run


@pytest.fixture
def predict(command: Callable[..., Outcome], checkpoint: str) -> Callable[..., Outcome]:
    """Run `depth-anything predict -o out ARGUMENTS...` with the small checkpoint at a small size."""

    def run(*arguments: object) -> Outcome:
        return command("predict", "-o", "out", "--checkpoint", checkpoint, "--input-size", 64, *arguments)

    return run
