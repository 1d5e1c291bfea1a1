"""The position embedding: its values, and the memory of it."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import torch
from model_building import TINY, random_model, random_state

from depth_anything_v2.dinov2 import CACHED_SIZES, DinoVisionTransformer
from depth_anything_v2.dpt import DepthAnythingV2


def cubic_weights(count: int) -> npt.NDArray[np.float64]:
    """(count, 37): Keys' cubic (a = -0.75) at the places that a scale of (count + 0.1) / 37 samples, edges repeated."""
    weights = np.zeros((count, 37))
    for index in range(count):
        place = (index + 0.5) * 37 / (count + 0.1) - 0.5
        first = int(np.floor(place)) - 1
        for source in range(first, first + 4):
            t = abs(place - source)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            weights[index, min(max(source, 0), 36)] += near if t <= 1 else far
    return weights


def recomputed(encoder: DinoVisionTransformer, rows: int, columns: int) -> npt.NDArray[np.float64]:
    table = encoder.pos_embed.detach().double().numpy()[0]
    grid = table[1:].reshape(37, 37, -1)
    patches = np.einsum("yr,xc,rcd->yxd", cubic_weights(rows), cubic_weights(columns), grid)
    return np.concatenate((table[:1], patches.reshape(rows * columns, -1)))


def cached(encoder: DinoVisionTransformer, rows: int, columns: int) -> torch.Tensor:
    with torch.no_grad():
        return encoder._position_embedding(rows, columns)


def uncached(encoder: DinoVisionTransformer, rows: int, columns: int) -> torch.Tensor:
    return encoder.interpolate_pos_encoding(rows, columns).detach()


@pytest.mark.parametrize("grid", [(1, 1), (5, 7), (37, 36), (36, 37), (38, 38), (19, 79), (78, 78)])
def test_values_are_bicubic_by_scale_factor(tiny: DepthAnythingV2, grid: tuple[int, int]) -> None:
    ours = uncached(tiny.pretrained, *grid)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours[0].numpy(), recomputed(tiny.pretrained, *grid), atol=2e-5)


def test_the_trained_grid_is_used_as_it_is(tiny: DepthAnythingV2) -> None:
    assert torch.equal(cached(tiny.pretrained, 37, 37), tiny.pretrained.pos_embed)


def test_same_number_of_tokens_in_another_shape_is_interpolated(tiny: DepthAnythingV2) -> None:
    """1 x 1369 tokens are as many as 37 x 37."""
    row = uncached(tiny.pretrained, 1, 1369)
    assert row.shape == tiny.pretrained.pos_embed.shape
    assert not torch.allclose(row, tiny.pretrained.pos_embed, atol=1e-2)


def test_every_grid_up_to_120_has_as_many_positions_as_tokens() -> None:
    """The scale factor (n + 0.1) / 37 must round down to n: a rounding error would lose or add a token."""
    encoder = DinoVisionTransformer(dataclasses.replace(TINY, embed_dim=2, num_heads=1, depth=0, taps=()))
    for count in range(1, 121):
        assert encoder.interpolate_pos_encoding(count, 2).shape == (1, 1 + 2 * count, 2)
        assert encoder.interpolate_pos_encoding(3, count).shape == (1, 1 + 3 * count, 2)


def test_remembered_equals_computed(tiny: DepthAnythingV2) -> None:
    encoder = tiny.pretrained
    first = cached(encoder, 5, 7)
    assert cached(encoder, 5, 7) is first
    assert torch.equal(first, uncached(encoder, 5, 7))
    assert not torch.equal(cached(encoder, 7, 5), first)
    x = torch.randn(2, 3, 70, 98, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        remembered = tiny(x)
    torch.testing.assert_close(remembered, tiny(x).detach(), rtol=1e-6, atol=1e-6)


def test_only_a_few_sizes_are_remembered(tiny: DepthAnythingV2) -> None:
    for count in range(1, 4 * CACHED_SIZES):
        cached(tiny.pretrained, count, 2)
    assert len(tiny.pretrained._positions) <= CACHED_SIZES


@pytest.mark.parametrize("assign", [False, True])
def test_loading_other_weights_is_noticed(assign: bool) -> None:
    """With assign=True the freed weights' address is often given to the next ones."""
    model = random_model(TINY, seed=0)
    for seed in range(1, 8):
        model.load_state_dict(random_state(model, seed), assign=assign)
        assert torch.equal(cached(model.pretrained, 4, 6), uncached(model.pretrained, 4, 6)), seed


def test_training_steps_are_noticed(tiny: DepthAnythingV2) -> None:
    before = cached(tiny.pretrained, 4, 6).clone()
    optimiser = torch.optim.SGD([tiny.pretrained.pos_embed], lr=1.0)
    tiny.pretrained.interpolate_pos_encoding(4, 6).sum().backward()
    optimiser.step()
    assert not torch.equal(cached(tiny.pretrained, 4, 6), before)
    assert torch.equal(cached(tiny.pretrained, 4, 6), uncached(tiny.pretrained, 4, 6))


def test_other_types_and_devices_are_noticed(tiny: DepthAnythingV2) -> None:
    exact = cached(tiny.pretrained, 4, 6)
    for dtype in (torch.float16, torch.float32, torch.bfloat16, torch.float32, torch.float64):
        tiny.to(dtype)
        now = cached(tiny.pretrained, 4, 6)
        assert now.dtype == torch.float32
        assert torch.equal(now, uncached(tiny.pretrained, 4, 6))
    assert not torch.equal(now, exact)  # the way through bfloat16 cost precision: the values are new ones
    tiny.to("meta")
    assert cached(tiny.pretrained, 4, 6).device.type == "meta"


def test_a_copy_has_a_memory_of_its_own(tiny: DepthAnythingV2) -> None:
    cached(tiny.pretrained, 4, 6)
    other = copy.deepcopy(tiny)
    other.load_state_dict(random_state(other, 9))
    assert torch.equal(cached(other.pretrained, 4, 6), uncached(other.pretrained, 4, 6))
    assert torch.equal(cached(tiny.pretrained, 4, 6), uncached(tiny.pretrained, 4, 6))


def test_what_inference_mode_remembered_serves_elsewhere(tiny: DepthAnythingV2) -> None:
    x = torch.zeros(1, 3, 28, 42)
    with torch.inference_mode():
        inferred = tiny(x)
    with torch.no_grad():
        assert torch.equal(tiny(x), inferred)
    tiny(x).mean().backward()
    assert tiny.pretrained.pos_embed.grad is not None


@pytest.mark.parametrize("size", [(28, 42), (518, 518)])
def test_training_reaches_the_embedding_and_all_weights_but_the_unused(
    tiny: DepthAnythingV2, size: tuple[int, int]
) -> None:
    tiny.train()
    tiny(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))).mean().backward()
    untouched = {name for name, value in tiny.named_parameters() if value.grad is None or not value.grad.any()}
    unused = {
        f"depth_head.scratch.refinenet4.resConfUnit1.conv{number}.{what}"
        for number in (1, 2)
        for what in ("weight", "bias")
    }
    assert untouched == {"pretrained.mask_token", *unused}
