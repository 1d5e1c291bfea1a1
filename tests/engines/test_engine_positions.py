"""The position embedding as engines sample it, against torch's bicubic resize by scale factor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from engine_models import SMALL
from filler import fill

from depth_anything_v2 import dinov2
from depth_anything_v2.dinov2 import DinoVisionTransformer
from depth_anything_v2.util import positions
from depth_anything_v2.util.positions import sample_positions

GRIDS = [(37, 37), (37, 56), (56, 37), (39, 43), (78, 37), (19, 79), (1, 1), (37, 1), (2, 37), (5, 7), (36, 38)]
GRIDS += [(38, 38), (120, 3)]
TOLERANCE = 2e-5  # of values near 0.1 to 0.5: what float32 leaves of the places to sample at


@pytest.fixture(scope="module")
def encoder() -> DinoVisionTransformer:
    """Positions of noise, where every place that is sampled a little wrong shows."""
    config = dataclasses.replace(SMALL, embed_dim=8, num_heads=1, depth=0, taps=())
    encoder = DinoVisionTransformer(config)
    with torch.no_grad():
        encoder.pos_embed.copy_(torch.from_numpy(fill("pos_embed", tuple(encoder.pos_embed.shape))))
    return encoder


def resized(encoder: DinoVisionTransformer, rows: int, columns: int) -> np.ndarray:
    encoder.exportable = False
    return encoder.interpolate_pos_encoding(rows, columns).detach().numpy()


def in_numpy(encoder: DinoVisionTransformer, rows: int, columns: int) -> np.ndarray:
    return sample_positions(encoder.pos_embed.detach().numpy(), rows, columns)


def in_the_graph(encoder: DinoVisionTransformer, rows: int, columns: int) -> np.ndarray:
    encoder.exportable = True
    try:
        return encoder.interpolate_pos_encoding(rows, columns).detach().numpy()
    finally:
        encoder.exportable = False


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("sample", [in_numpy, in_the_graph])
def test_it_is_torch_s_resize(encoder: DinoVisionTransformer, sample, grid: tuple[int, int]) -> None:
    found, exact = sample(encoder, *grid), resized(encoder, *grid)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("sample", [in_numpy, in_the_graph])
def test_every_side_up_to_1680_pixels(encoder: DinoVisionTransformer, sample) -> None:
    for count in range(1, 121):
        for grid in ((count, 2), (2, count)):
            np.testing.assert_allclose(
                sample(encoder, *grid), resized(encoder, *grid), rtol=0, atol=TOLERANCE, err_msg=str(grid)
            )


@pytest.mark.parametrize("sample", [in_numpy, in_the_graph])
def test_the_trained_grid_is_not_touched(encoder: DinoVisionTransformer, sample) -> None:
    np.testing.assert_array_equal(sample(encoder, 37, 37), encoder.pos_embed.detach().numpy())


@pytest.mark.parametrize("grid", [(37, 56), (39, 43), (1, 1), (38, 38)], ids=str)
def test_the_comparison_sees_other_ways_to_sample(
    encoder: DinoVisionTransformer, grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By target size (no offset), or with the other usual kernel (a = -0.5)."""
    exact = resized(encoder, *grid)
    for module, name, sample in ((positions, "OFFSET", in_numpy), (dinov2, "OFFSET", in_the_graph)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, 0.0)
            assert np.abs(sample(encoder, *grid) - exact).max() > 20 * TOLERANCE
    for module, name, sample in ((positions, "CUBIC", in_numpy), (positions, "CUBIC", in_the_graph)):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, -0.5)
            assert np.abs(sample(encoder, *grid) - exact).max() > 20 * TOLERANCE
