"""Models for the tests: the published ones with the filler's weights, and tiny ones with random weights."""

from __future__ import annotations

from typing import Any

import torch
from filler import fill_state, published_shapes

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.dpt import DepthAnythingV2

# Small, but with every part of the real ones: four blocks, all of them taps.
TINY = ModelConfig(
    "tiny", "dinov2", features=16, out_channels=(8, 12, 16, 24), embed_dim=32, depth=4, num_heads=2, taps=(0, 1, 2, 3)
)


def filled(encoder: str, **options: Any) -> DepthAnythingV2:
    """The model of `encoder` holding the filler's weights; built without ever holding two copies of them."""
    with torch.device("meta"):
        model = DepthAnythingV2(encoder, **options).eval()
    state = {name: torch.from_numpy(value) for name, value in fill_state(published_shapes(encoder))}
    model.load_state_dict(state, strict=True, assign=True)
    return model


def random_model(config: ModelConfig, seed: int) -> DepthAnythingV2:
    model = DepthAnythingV2(config=config).eval()
    model.load_state_dict(random_state(model, seed))
    return model


def random_state(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Values that leave no part without effect: LayerScale near 0.5, norms near 1, everything else scaled by fan-in."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape, generator=random)
        if name.endswith(("gamma", "lambda1")):
            noise = 0.5 + 0.1 * noise
        elif value.ndim == 1 and name.endswith("weight"):
            noise = 1 + 0.1 * noise
        elif value.ndim > 1 and "embeddings" not in name and "embed" not in name.split(".")[-1]:
            noise = noise / value[0].numel() ** 0.5
        else:
            noise = 0.1 * noise
        state[name] = noise
    for name in ("depth_head.scratch.output_conv2.2.bias", "head.conv3.bias"):
        if name in state:
            state[name] = torch.full((1,), 2.0)
    return state
