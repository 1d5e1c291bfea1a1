"""Checkpoints of a small transformer with the filler's weights, and engines opened from them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from filler import network_input
from picture_files import save_filled

from depth_anything_v2.checkpoints import resolve_checkpoint
from depth_anything_v2.config import model_config
from depth_anything_v2.engines import store
from depth_anything_v2.engines.choose import Request
from depth_anything_v2.engines.opening import Opened, open_engine

Batch = npt.NDArray[np.float32]

# Every part of vits, narrow: all four blocks are taps.
SMALL = dataclasses.replace(
    model_config("vits"),
    encoder="small",
    embed_dim=48,
    depth=4,
    num_heads=3,
    taps=(0, 1, 2, 3),
    features=8,
    out_channels=(8, 12, 16, 24),
)


def save_small(path: Path, change: Callable[[dict[str, torch.Tensor]], None] | None = None) -> Path:
    """Write the small transformer, nowhere zero, after `change` had its way with the weights."""

    def all_changes(state: dict[str, torch.Tensor]) -> None:
        state["depth_head.scratch.output_conv2.2.bias"].fill_(2.0)
        if change:
            change(state)

    return save_filled(path, SMALL, all_changes)


def opened(
    path: str | Path,
    engine: str,
    precision: str = "float32",
    on_wait: Callable[[str], None] | None = None,
    **options: Any,
) -> Opened:
    request = Request(engine, options.pop("device", "cpu"), precision, **options)
    return open_engine(resolve_checkpoint(path, offline=True), request, on_wait)


@contextmanager
def conversions_in(folder: Path) -> Iterator[None]:
    """Keep converted models in `folder`, for fixtures that live longer than one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "folder", lambda: folder)
        yield


def batch(number: int, height: int, width: int) -> Batch:
    """Return (number, 3, height, width) network inputs that differ."""
    return np.concatenate([network_input(height, width) * np.float32(1 - 0.2 * index) for index in range(number)])


def relative_error(found: Batch, exact: Batch) -> float:
    """Return the norm of the difference over the norm of `exact`."""
    assert found.shape == exact.shape
    assert found.dtype == np.float32
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def drift(found: Batch, exact: Batch) -> float:
    """Return the same of what varies in `exact`, in the L2 or the maximum norm, whichever is larger: never smaller."""
    varying = exact - exact.mean()
    assert np.abs(varying).max() > 0.1 * np.abs(exact).max(), "a flat map tells nothing"
    error = relative_error(found, exact) * np.linalg.norm(exact) / np.linalg.norm(varying)
    return float(max(error, np.abs(found - exact).max() / np.abs(varying).max()))


def open_at_once(checkpoint: Path, cache: Path, barrier: Any, answers: Any) -> None:
    """Open an engine when the other process does, and answer for one picture; for a process of its own."""
    os.environ["DEPTH_ANYTHING_CACHE"] = str(cache)
    torch.set_num_threads(1)
    barrier.wait(120)
    answers.put(opened(checkpoint, "openvino").engine(batch(1, 28, 42)))
