"""Weights of the right names and shapes, without training or building a model."""

from __future__ import annotations

import torch

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.dpt import build_model


def random_state(config: ModelConfig, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return values in [0, 1) that differ everywhere, so that a swapped tensor shows."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build_model(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    return {key: torch.rand(shape, generator=generator).to(dtype) for key, shape in shapes.items()}
