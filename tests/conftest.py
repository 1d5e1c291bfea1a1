"""Shared by all tests; being here also puts this folder on the import path (`from filler import ...`)."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the ViT-Giant (10 GB of memory, minutes) unless it is asked for with -m giant."""
    if "giant" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("giant")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("giant")]
