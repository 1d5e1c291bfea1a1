from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from model_building import TINY, filled, random_model
from model_reference import FILE

from depth_anything_v2.dpt import DepthAnythingV2


@pytest.fixture(scope="session")
def reference() -> dict[str, npt.NDArray[Any]]:
    with np.load(FILE) as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def vits() -> DepthAnythingV2:
    """Shared by all tests: don't change it."""
    return filled("vits")


@pytest.fixture
def tiny() -> DepthAnythingV2:
    """A model of the test's own, its weights drawn so that the depth is nowhere zero."""
    return random_model(TINY, seed=1)
