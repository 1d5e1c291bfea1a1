"""A small transformer and what a stranger does with its exported file."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from picture_files import save_filled

from depth_anything_v2.checkpoints import load_checkpoint, resolve_checkpoint
from depth_anything_v2.config import ModelConfig, Preprocessing, model_config
from depth_anything_v2.engines.source import build

SIDE = 84  # of the network input of a square picture
FEW_SIZES = {"dinov2": ((6, 8), (37, 3)), "efficientnet": ((1, 1), (3, 4))}


def small_config(max_depth_m: float | None = None) -> ModelConfig:
    """Four narrow blocks, for pictures of 84 x 84; the encoder's name is that of a published one."""
    config = dataclasses.replace(
        model_config("vits"),
        depth=4,
        embed_dim=48,
        num_heads=2,
        taps=(0, 1, 2, 3),
        features=16,
        out_channels=(8, 16, 24, 32),
        preprocessing=Preprocessing(SIDE, 14),
    )
    return config.with_max_depth(max_depth_m)


def save_small_transformer(path: Path, max_depth_m: float | None = None) -> Path:
    return save_filled(path, small_config(max_depth_m))


def by_torch(checkpoint: Path, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the checkpoint answers, by the plain module."""
    model = build(load_checkpoint(resolve_checkpoint(checkpoint))).eval()
    with torch.no_grad():
        return model(torch.from_numpy(batch)).numpy()


def random_input(number: int, height: int, width: int) -> npt.NDArray[np.float32]:
    return np.random.RandomState(0).standard_normal((number, 3, height, width)).astype(np.float32)


def relative_error(exact: npt.NDArray[Any], near: npt.NDArray[Any]) -> float:
    assert exact.shape == near.shape
    return float(np.linalg.norm(near - exact) / np.linalg.norm(exact))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names_in(folder: Path) -> set[str]:
    """Every file in a folder, hidden ones, too."""
    return {path.name for path in folder.rglob("*")}
