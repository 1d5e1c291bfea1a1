from __future__ import annotations

from pathlib import Path

import pytest
from engine_models import save_small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the small transformer."""
    return save_small(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, with nothing converted in it; the folder of converted models."""
    from depth_anything_v2.engines import store

    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "folder", lambda: tmp_path / "cache" / "converted")
    return tmp_path / "cache" / "converted"
