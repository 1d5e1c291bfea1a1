"""Key names of transformers: files as it saves them, its state_dict() in memory, and back; its model as a judge."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_weights import random_state

from depth_anything_v2.checkpoints import keys
from depth_anything_v2.checkpoints.convert import transformers_config
from depth_anything_v2.config import ModelConfig, model_config
from depth_anything_v2.dpt import build_model

transformers = pytest.importorskip("transformers")


def small(encoder: str) -> ModelConfig:
    """The architecture of an encoder at a fraction of its size."""
    return dataclasses.replace(
        model_config(encoder),
        embed_dim=48,
        depth=4,
        num_heads=4,
        taps=(0, 1, 2, 3),
        features=16,
        out_channels=(8, 12, 16, 24),
    )


@pytest.fixture(params=["vits", "vitg"])
def pair(request: pytest.FixtureRequest) -> tuple[ModelConfig, Any]:
    """A small configuration (MLP or SwiGLU) and transformers' model of it."""
    config = small(request.param)
    data = transformers_config(config)
    backbone = transformers.Dinov2Config(**data.pop("backbone_config"))
    theirs = transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(backbone_config=backbone, **data)
    ).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for value in theirs.parameters():
            value.uniform_(-0.1, 0.1)
        theirs.head.conv3.bias.fill_(1)  # keeps the last ReLU open
    return config, theirs


def test_memory_and_saved_names_give_the_same_model(pair: tuple[ModelConfig, Any], tmp_path: Path) -> None:
    config, theirs = pair
    from safetensors.torch import load_file

    memory = keys.from_transformers(theirs.state_dict())
    theirs.save_pretrained(tmp_path / "hf")
    saved = keys.from_transformers(load_file(tmp_path / "hf" / "model.safetensors"))
    assert memory.keys() == saved.keys()
    assert all(torch.equal(memory[key], saved[key]) for key in memory)
    ours = build_model(config)
    ours.load_state_dict(memory, strict=True)
    picture = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = theirs(picture).predicted_depth, ours(picture)
    assert expected.std() > 0
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["vits", "vitg"])
def test_back_and_forth(encoder: str) -> None:
    state = random_state(small(encoder))
    there = keys.to_transformers(state)
    assert keys.is_transformers(there)
    assert not any(key.startswith(("pretrained.", "depth_head.")) for key in there)
    back = keys.from_transformers(there)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())


def test_a_converted_checkpoint_is_read_by_transformers(vits_state: dict[str, torch.Tensor]) -> None:
    from depth_anything_v2.checkpoints import convert_checkpoint, load_checkpoint, resolve_checkpoint

    torch.save(vits_state, "depth_anything_v2_metric_vkitti_vits.pth")
    loaded = load_checkpoint(resolve_checkpoint("depth_anything_v2_metric_vkitti_vits.pth"))
    written = convert_checkpoint(loaded, "hf", half=True, to="transformers")
    assert {path.name for path in written} == {"model.safetensors", "config.json", "preprocessor_config.json"}
    theirs, info = transformers.DepthAnythingForDepthEstimation.from_pretrained(
        "hf", output_loading_info=True, dtype=torch.float32
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert (theirs.config.depth_estimation_type, theirs.config.max_depth) == ("metric", 80)
    returned = keys.from_transformers(theirs.state_dict())
    assert all(torch.equal(returned[key], value.float()) for key, value in vits_state.items())
    again = load_checkpoint(resolve_checkpoint(Path("hf")))
    assert again.config == loaded.config
    assert json.loads(Path("hf/preprocessor_config.json").read_text())["ensure_multiple_of"] == 14


def test_an_incomplete_attention_is_named() -> None:
    from depth_anything_v2.errors import CheckpointFormatError

    state = keys.to_transformers(random_state(small("vits")))
    del state["backbone.encoder.layer.2.attention.attention.key.bias"]
    with pytest.raises(CheckpointFormatError, match=r"blocks\.2\.attn\.qkv\.bias has no key"):
        keys.from_transformers(state)
