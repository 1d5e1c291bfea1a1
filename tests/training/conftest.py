"""Scenes for all tests of training, rendered once."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_data import write_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Manifests of five scenes to train on and of two held out; not to be changed."""
    folder = tmp_path_factory.mktemp("scenes")
    return write_scenes(folder / "train", range(5), "train"), write_scenes(folder / "val", (50, 51), "val")
