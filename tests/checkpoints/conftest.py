"""Every test here has a cache, a working directory and a hub of its own; nothing leaves 127.0.0.1."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_weights import random_state
from fake_hub import Hub, serve

from depth_anything_v2.checkpoints import cache, registry, resolve
from depth_anything_v2.config import MODEL_CONFIGS, model_config

PAYLOAD = bytes(range(256)) * 800  # stands for a checkpoint where only its bytes matter


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and cache, and a hub address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", closed)
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    cache._unreachable.clear()
    return work


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub, empty, which HF_ENDPOINT points to."""
    state = Hub()
    server = serve(state)
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    yield state
    state.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Change records of the registry for one test: registered('vits', bytes=..., sha256=...)."""
    data = copy.deepcopy(registry._registry())

    def clear() -> None:
        registry.list_checkpoints.cache_clear()
        registry.transformers_checkpoints.cache_clear()

    def change(name: str, section: str = "checkpoints", **fields: Any) -> None:
        next(record for record in data[section] if record["name"] == name).update(fields)
        clear()

    monkeypatch.setattr(registry, "_registry", lambda: data)
    clear()
    yield change
    monkeypatch.undo()
    clear()


@pytest.fixture
def tiny_vits(registered: Callable[..., None]) -> bytes:
    """Make the published `vits` a file of a few kilobytes, and return its bytes."""
    registered("vits", bytes=len(PAYLOAD), sha256=hashlib.sha256(PAYLOAD).hexdigest())
    return PAYLOAD


@pytest.fixture
def fake_builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put some bytes where the built-in weights are."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "builtin.safetensors").write_bytes(b"built in")
    monkeypatch.setattr(resolve, "DATA", folder)
    return folder / "builtin.safetensors"


REAL_VITS = MODEL_CONFIGS["vits"]
# The blocks and taps of vits at a thousandth of its size: what is tested here is names, not arithmetic.
SMALL_VITS = dataclasses.replace(
    MODEL_CONFIGS["vits"], embed_dim=24, num_heads=2, features=8, out_channels=(4, 6, 8, 10), head_hidden=4
)


@pytest.fixture(autouse=True)
def small_vits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 'vits' be a small model in every test that doesn't ask for `real_vits`."""
    monkeypatch.setitem(MODEL_CONFIGS, "vits", SMALL_VITS)


@pytest.fixture
def real_vits(small_vits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODEL_CONFIGS, "vits", REAL_VITS)


@pytest.fixture(scope="session")
def vits_state() -> dict[str, torch.Tensor]:
    """Float16 weights of the small vits."""
    return random_state(SMALL_VITS, torch.float16)


@pytest.fixture(scope="session")
def lite_state() -> dict[str, torch.Tensor]:
    return random_state(model_config("lite0"))
