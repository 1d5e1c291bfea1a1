"""One server for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_server import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Server]:
    """Return the running page, checkpoint 'auto', with nothing but the built-in one on disk."""
    with running(tmp_path_factory.mktemp("page"), shared_cache) as server:
        yield server
