"""Rendered scenes as a manifest in metres, and small configurations to train on them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from depth_anything_v2.datasets.rendered import render_scene
from depth_anything_v2.training.config import TrainConfig
from depth_anything_v2.training.schema import build

HEIGHT, WIDTH = 70, 98
FARTHEST_M = 60.0


def write_scenes(
    folder: Path, seeds: Sequence[int], split: str, *, kind: str | None = None, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> Path:
    """Render scenes into pictures and 16-bit depth in millimetres, named by a manifest; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:
        scene = render_scene(seed, *size, kind=kind)
        depth = np.where(scene.depth_m < FARTHEST_M, scene.depth_m, 0)
        assert cv2.imwrite(str(folder / f"{seed}.png"), scene.image[:, :, ::-1])
        assert cv2.imwrite(str(folder / f"{seed}-depth.png"), np.round(depth * 1000).astype(np.uint16))
        rows.append((f"{seed}.png", f"{seed}-depth.png", "0.001", split, f"scene-{seed}"))
    path = folder / f"{split}.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "depth", "scale", "split", "scene"), *rows])
    return path


def tiny(task: str, train: Path, val: Path | None = None, **tables: dict[str, Any]) -> TrainConfig:
    """Return a configuration with a transformer of four narrow blocks; tables add to it."""
    model: dict[str, Any] = {"embed_dim": 32, "depth": 4, "num_heads": 2, "features": 16}
    model |= {"out_channels": [8, 16, 24, 32], "head_hidden": 8}
    data: dict[str, Any] = {
        "train": [{"dataset": "manifest", "root": str(train)}],
        "sizes": [[56, 56]],
        "batch_size": 4,
        "workers": 0,
    }
    if val is not None:
        data["val"] = [{"dataset": "manifest", "root": str(val)}]
    if task == "metric":
        model["max_depth"] = 60.0
    whole: dict[str, dict[str, Any]] = {
        "model": model,
        "data": data,
        "optimiser": {"encoder_rate": 1e-3, "head_rate": 2e-3, "clip_norm": 1.0},
        "schedule": {"steps": 6},
        "validation": {"every": 3, "limit": 2, "pictures": 2},
        "run": {"tensorboard": False, "log_every": 1, "save_every": 2, "ema": 0.9},
    }
    for name, table in tables.items():
        whole[name] = {**whole.get(name, {}), **table}
    return build(TrainConfig, {"task": task, **whole}, "test")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def saved_weights(run: Path, part: str = "model") -> dict[str, torch.Tensor]:
    """Return the weights (or their 'average') in the state of a run."""
    loaded: dict[str, torch.Tensor] = torch.load(run / "state.pt", weights_only=True)[part]
    return loaded
