"""The model against numbers of the original implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from filler import network_input, picture, published_shapes, shapes_digest
from model_building import filled
from model_reference import difference, stacked_features

from depth_anything_v2.dpt import DepthAnythingV2

Reference = dict[str, npt.NDArray[Any]]
TOLERANCE = 2e-5  # float32 on a CPU; features and whole pictures pass more steps and get five times as much


def check(model: DepthAnythingV2, name: str, reference: Reference) -> None:
    """Compare the depth and the four taps that it is made from."""
    encoder, _, size = name.split("/")
    height, width = map(int, size.split("x"))
    x = torch.from_numpy(network_input(height, width))
    with torch.inference_mode():
        taps = model.pretrained.get_intermediate_layers(x, model.config.taps, return_class_token=True)
        by_parts = model.depth_head(taps, height // 14, width // 14)[:, 0]
        depth = model(x) if height * width < 100_000 else by_parts
    assert torch.equal(depth, by_parts)
    assert depth.shape == (1, height, width)
    assert difference(name, depth.numpy(), reference[name]) < TOLERANCE
    check_features(taps, (height // 14) * (width // 14), reference[f"{encoder}/features/{size}"])


def check_features(taps: Any, tokens: int, expected: npt.NDArray[np.float32]) -> None:
    ours: Reference = {}
    for index, (patches, token) in enumerate(taps):
        assert patches.shape == (1, tokens, token.shape[-1])
        ours[f"tap/{index}/patch_first_token"] = patches[0, 0].numpy()
        ours[f"tap/{index}/class_token"] = token[0].numpy()
        ours[f"tap/{index}/patch_mean_std"] = np.array([patches.mean().item(), patches.std().item()])
    rows = stacked_features(ours, "tap")
    for columns in (slice(0, 48), slice(48, 96), slice(96, 98)):
        error = np.linalg.norm(rows[:, columns] - expected[:, columns], axis=1)
        assert (error / np.linalg.norm(expected[:, columns], axis=1) < 5 * TOLERANCE).all()


@pytest.mark.parametrize("size", ["70x98", "252x336", "518x518", "546x602"])
def test_small_gives_depth_and_features_of_the_original(vits: DepthAnythingV2, reference: Reference, size: str) -> None:
    check(vits, f"vits/relative/{size}", reference)


def test_small_metric_gives_the_metres_of_the_original(vits: DepthAnythingV2, reference: Reference) -> None:
    metric = DepthAnythingV2("vits", max_depth=20).eval()
    metric.load_state_dict(vits.state_dict())
    check(metric, "vits/metric20/70x98", reference)


def test_base_gives_the_numbers_of_the_original(reference: Reference) -> None:
    model = filled("vitb")
    check(model, "vitb/relative/70x98", reference)
    check(model, "vitb/relative/252x336", reference)


@pytest.mark.slow
def test_large_gives_the_numbers_of_the_original(reference: Reference) -> None:
    model = filled("vitl")
    check(model, "vitl/relative/70x98", reference)
    check(model, "vitl/relative/196x140", reference)
    with torch.device("meta"):
        metric = DepthAnythingV2("vitl", max_depth=80).eval()
    metric.load_state_dict(model.state_dict(), assign=True)
    check(metric, "vitl/metric80/70x98", reference)


@pytest.mark.giant
@pytest.mark.timeout(1200)
def test_giant_gives_the_numbers_of_the_original(reference: Reference) -> None:
    check(filled("vitg"), "vitg/relative/56x84", reference)


@pytest.mark.parametrize("case", ["120x160@518", "300x200@252", "97x401@266"])
def test_a_picture_is_prepared_as_the_original_does(vits: DepthAnythingV2, reference: Reference, case: str) -> None:
    shape, size = case.split("@")
    height, width = map(int, shape.split("x"))
    tensor, original = vits.image2tensor(picture(height, width), int(size))
    assert original == (height, width)
    assert tensor.dtype == torch.float32
    assert difference(f"preprocess/{case}", tensor[0].numpy(), reference[f"preprocess/{case}"]) < 1e-5


@pytest.mark.parametrize("case", ["120x160@518", "300x200@252", "97x401@266"])
def test_infer_image_gives_the_depth_of_the_original(vits: DepthAnythingV2, reference: Reference, case: str) -> None:
    shape, size = case.split("@")
    height, width = map(int, shape.split("x"))
    depth = vits.infer_image(picture(height, width), int(size))
    assert depth.shape == (height, width)
    assert depth.dtype == np.float32
    name = f"vits/infer_image/{case}"
    assert difference(name, depth, reference[name]) < 5 * TOLERANCE


@pytest.mark.parametrize("encoder", ["vits", "vitb", "vitl", "vitg"])
def test_names_and_shapes_are_those_of_the_published_files(encoder: str, reference: Reference) -> None:
    with torch.device("meta"):
        model = DepthAnythingV2(encoder)
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert ours == published_shapes(encoder)
    assert shapes_digest(ours) == str(reference[f"{encoder}/keys"])
    state = {name: torch.empty(shape, device="meta") for name, shape in published_shapes(encoder).items()}
    model.load_state_dict(state, strict=True, assign=True)
    del state["depth_head.scratch.refinenet4.resConfUnit1.conv1.weight"]  # published, though it is never used
    with pytest.raises(RuntimeError, match="refinenet4"):
        model.load_state_dict(state, strict=True, assign=True)
