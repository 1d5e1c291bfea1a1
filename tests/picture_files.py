"""Picture files, a small checkpoint and an estimator without a network, for tests of jobs and commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from filler import fill
from PIL import Image

from depth_anything_v2.camera import Camera
from depth_anything_v2.config import ModelConfig, model_config
from depth_anything_v2.errors import ImageTooLargeError
from depth_anything_v2.estimator import Prepared
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.prediction import DepthPrediction, Provenance

if TYPE_CHECKING:
    import torch


def photo(path: Path, height: int = 48, width: int = 64, seed: int = 0) -> Path:
    """Write a smooth colourful picture in the format of the suffix, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def save_tiny_checkpoint(path: Path, max_depth_m: float | None = None) -> Path:
    """Write the small architecture with random weights whose depth is not flat."""
    import torch

    from depth_anything_v2.checkpoints import save_checkpoint
    from depth_anything_v2.dpt import build_model

    config = model_config("lite0", max_depth_m)
    torch.manual_seed(3)
    model = build_model(config)
    model.depth_head.scratch.output_conv2[2].bias.data.fill_(0.0 if max_depth_m else 1.0)
    return save_checkpoint(path, model.state_dict(), config, licence="apache-2.0")


def save_filled(
    path: Path, config: ModelConfig, change: Callable[[dict[str, torch.Tensor]], None] | None = None
) -> Path:
    """Write a checkpoint with the filler's weights, after `change` had its way with them."""
    import torch

    from depth_anything_v2.checkpoints import save_checkpoint
    from depth_anything_v2.dpt import build_model

    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in build_model(config).state_dict().items()}
    state = {name: torch.from_numpy(fill(name, shape)) for name, shape in shapes.items()}
    if change:
        change(state)
    return save_checkpoint(path, state, config, licence="apache-2.0")


class FakeEstimator:
    """Depth is the red channel plus one; pictures wider than `widest` are too large; may take its time."""

    name, licence, notes = "fake", "apache-2.0", ()
    device, precision, input_size, max_pixels = "cpu", "float32", 320, 10_000_000
    tile = None

    def __init__(
        self,
        *,
        sha256: str = "0" * 64,
        batch_size: int = 1,
        widest: int = 10_000,
        delay: float = 0,
        max_depth_m: float | None = None,
    ) -> None:
        self.config = model_config("lite0", max_depth_m)
        self.sha256, self.batch_size, self.widest, self.delay = sha256, batch_size, widest, delay
        self.batches: list[list[str | None]] = []
        self._found: dict[int, DepthPrediction] = {}

    def predict_arrays(
        self, pictures: Sequence[npt.NDArray[np.uint8]], sources: Sequence[str | None] | None = None
    ) -> list[DepthPrediction]:
        names = list(sources or [None] * len(pictures))
        for picture, name in zip(pictures, names, strict=True):
            if picture.shape[1] > self.widest:
                raise ImageTooLargeError(f"{name} is too wide: {self.widest} columns would do")
        self.batches.append(names)
        time.sleep(self.delay * len(pictures))
        return [
            DepthPrediction(
                picture[:, :, 0].astype(np.float32) + 1,
                self.config.kind,
                provenance=Provenance(checkpoint=self.name, sha256=self.sha256, source=name),
            )
            for picture, name in zip(pictures, names, strict=True)
        ]

    def prepare(
        self, rgb: npt.NDArray[np.uint8], source: str | None = None, *, camera: Camera | None = None
    ) -> Prepared:
        return Prepared(rgb.transpose(2, 0, 1), *rgb.shape[:2], self.input_size, source, camera)

    def run(self, prepared: Sequence[Prepared]) -> list[npt.NDArray[np.float32]]:
        pictures = [picture.tensor.transpose(1, 2, 0) for picture in prepared]
        predictions = self.predict_arrays(pictures, [picture.source for picture in prepared])
        self._found |= {id(picture): made for picture, made in zip(prepared, predictions, strict=True)}
        return [prediction.depth for prediction in predictions]

    def finish(self, prepared: Prepared, depth: npt.NDArray[np.float32]) -> DepthPrediction:
        return self._found.pop(id(prepared))


def replace_model(monkeypatch: pytest.MonkeyPatch, make: Callable[[EstimatorOptions], Any]) -> list[EstimatorOptions]:
    """Let commands use an estimator that `make` returns; the options it was loaded with are in the list."""
    calls: list[EstimatorOptions] = []

    def load(self: EstimatorOptions, **_how: Any) -> Any:
        calls.append(self)
        return make(self)

    monkeypatch.setattr(EstimatorOptions, "load", load)
    return calls
