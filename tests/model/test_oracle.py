"""transformers' Depth Anything, an implementation that shares no code with this one, with the same weights."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filler import network_input
from model_building import TINY, random_state
from safetensors.torch import load_file

from depth_anything_v2.checkpoints.convert import transformers_config
from depth_anything_v2.checkpoints.keys import from_transformers, is_transformers, to_transformers
from depth_anything_v2.config import ModelConfig, model_config
from depth_anything_v2.dpt import DepthAnythingV2

EQUAL = 1e-5
SWIGLU = dataclasses.replace(TINY, ffn="swiglu")
Pair = tuple[DepthAnythingV2, Any]


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    os.environ.pop("HF_HUB_OFFLINE")
    if before is not None:
        os.environ["HF_HUB_OFFLINE"] = before


def theirs(config: ModelConfig, seed: int = 5) -> Any:
    """transformers' model of a configuration, with random weights drawn under its own names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing transformers warns of is not ours
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

        model = DepthAnythingForDepthEstimation(DepthAnythingConfig(**transformers_config(config))).eval()
    model.load_state_dict(random_state(model, seed))
    return model


def pair(config: ModelConfig) -> Pair:
    other = theirs(config)
    ours = DepthAnythingV2(config=config).eval()
    ours.load_state_dict(from_transformers(other.state_dict()), strict=True)
    return ours, other


@pytest.fixture(scope="module")
def small() -> Pair:
    return pair(model_config("vits"))


def distance(models: Pair, height: int, width: int) -> tuple[float, float]:
    """Relative L2 distance of the two depths, and the largest difference of a pixel over the maximum."""
    x = torch.from_numpy(network_input(height, width))
    ours, other = models
    with torch.inference_mode():
        return compared(ours(x), other(x).predicted_depth)


def compared(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    assert a.shape == b.shape
    assert b.std() > 0.01 * b.mean()
    return float((a - b).norm() / b.norm()), float((a - b).abs().max() / b.max())


def with_our_positions(models: Pair, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """The only known difference taken away: transformers resizes its position embedding by target size."""

    def interpolate(embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return models[0].pretrained.interpolate_pos_encoding(height // 14, width // 14)

    monkeypatch.setattr(models[1].backbone.embeddings, "interpolate_pos_encoding", interpolate)
    return models


def test_small_is_equal_at_the_trained_size(small: Pair) -> None:
    assert distance(small, 518, 518)[0] < EQUAL


@pytest.mark.parametrize("size", [(252, 336), (546, 602)])
def test_small_differs_elsewhere_by_the_position_embedding_alone(
    small: Pair, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.from_numpy(network_input(*size))
    with torch.inference_mode():
        ours, plain = small[0](x), small[1](x).predicted_depth
        with_our_positions(small, monkeypatch)
        patched = small[1](x).predicted_depth
    relative, largest = compared(ours, plain)
    assert 1e-3 < relative < 3e-2
    assert largest < 0.1
    assert compared(ours, patched)[0] < EQUAL


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        SWIGLU,
        dataclasses.replace(TINY, taps=(0, 2, 3, 4), depth=6, num_heads=4, features=24, head_hidden=12),
        TINY.with_max_depth(20),
        TINY.with_max_depth(80),
    ],
    ids=["tiny", "swiglu", "other shapes", "indoor", "outdoor"],
)
def test_other_configurations_are_equal_at_every_size(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pair(config)
    assert distance(models, 518, 518)[0] < EQUAL
    with_our_positions(models, monkeypatch)
    for size in ((14, 14), (70, 98), (532, 14)):
        assert distance(models, *size)[0] < EQUAL


def test_version_one_reads_their_last_four_feature_maps(small: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    config = model_config("vits").with_last_taps()
    assert transformers_config(config)["backbone_config"]["out_indices"] == [9, 10, 11, 12]
    first = pair(config)
    assert set(first[0].state_dict()) == set(small[0].state_dict())
    with_our_positions(first, monkeypatch)
    assert distance(first, 70, 98)[0] < EQUAL
    # The taps matter: the same weights read at V2's blocks give another picture.
    assert distance((small[0], first[1]), 70, 98)[0] > 0.03


@pytest.mark.parametrize("config", [TINY, SWIGLU], ids=["mlp", "swiglu"])
@pytest.mark.parametrize("dialect", ["saved", "memory", "written by this package"])
def test_names_in_every_dialect(
    config: ModelConfig, dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = theirs(config)
    reads: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "saved": lambda: load_file(tmp_path / "model.safetensors"),
        "memory": other.state_dict,
        "written by this package": lambda: to_transformers(from_transformers(other.state_dict())),
    }
    if dialect == "saved":
        other.save_pretrained(tmp_path)
    state = reads[dialect]()
    assert is_transformers(state)
    ours = DepthAnythingV2(config=config).eval()
    ours.load_state_dict(from_transformers(state), strict=True)
    models = with_our_positions((ours, other), monkeypatch)
    assert distance(models, 56, 70)[0] < EQUAL


def test_transformers_reads_what_this_package_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    ours, other = pair(SWIGLU)
    other.config.save_pretrained(tmp_path)
    save_file(to_transformers(ours.state_dict()), tmp_path / "model.safetensors", metadata={"format": "pt"})
    again = type(other).from_pretrained(tmp_path).eval()
    models = with_our_positions((ours, again), monkeypatch)
    assert distance(models, 56, 70)[0] < EQUAL
