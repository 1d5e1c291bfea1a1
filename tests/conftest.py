"""Shared by all tests; being here also puts this folder on the import path (`from filler import ...`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_anything_v2.engines import store


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the ViT-Giant (10 GB of memory, minutes) unless it is asked for with -m giant."""
    if "giant" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("giant")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("giant")]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the processes that tests start: a model is converted once for all of them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _shared_conversions(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep converted models for all tests of a run, whatever cache folder a test has, and none in the user's own."""
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(shared_cache))
    monkeypatch.setattr(store, "folder", lambda: shared_cache / "converted")
