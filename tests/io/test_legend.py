"""Ranges, masks and legends of coloured depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depth_anything_v2 import DepthPrediction, InputError, OptionError
from depth_anything_v2.io import colorize
from depth_anything_v2.io.legend import (
    MIN_HEIGHT,
    _labels,
    check_range,
    coloured,
    draw_legend,
    parse_range,
    shown_range,
)
from depth_anything_v2.io.masks import apply_mask, find_mask


def metric(height: int = 200, width: int = 60, low: float = 0.5, high: float = 12.3) -> DepthPrediction:
    rows = np.linspace(high, low, height, dtype=np.float32)
    return DepthPrediction(np.repeat(rows[:, None], width, axis=1), "metric", 20.0)


def texts(prediction: DepthPrediction, ends: tuple[float, float]) -> list[str]:
    return [text for text, _ in _labels(prediction, ends, 6)]


def test_without_anything_asked_it_is_the_plain_picture() -> None:
    for prediction in (metric(), DepthPrediction(metric().depth, "relative")):
        np.testing.assert_array_equal(coloured(prediction, "inferno"), colorize(prediction, "inferno"))


def test_the_robust_range_leaves_outliers_and_sky_out() -> None:
    depth = np.linspace(1, 5, 10_000).reshape(100, 100)
    depth[0, :50], depth[1, :10] = 20, 0.01
    depth[2, 0] = np.nan
    low, high = shown_range(DepthPrediction(depth, "metric", 20.0), "robust") or (0, 0)
    assert (low, high) == pytest.approx((1.08, 4.92), abs=0.02)
    assert shown_range(DepthPrediction(depth, "metric", 20.0), None) == pytest.approx((0.01, 20))
    assert shown_range(DepthPrediction(np.full((2, 2), np.nan), "metric"), "robust") is None
    flat = DepthPrediction(np.full((70, 9), 2.0), "metric")
    np.testing.assert_array_equal(coloured(flat, value_range="robust"), colorize(flat))
    assert coloured(flat.replace(depth=flat.depth * np.nan), legend=True).shape[0] == 70


def test_a_fixed_range_is_the_same_in_every_picture() -> None:
    near, far = metric(high=5), metric(high=15)
    shown = [coloured(prediction, value_range=(0.5, 20)) for prediction in (near, far)]
    expected = colorize(DepthPrediction(np.array([[3.0, 0.5, 20]]), "metric"), value_range=(0.5, 20))[0, 0]
    for prediction, picture in zip((near, far), shown, strict=True):
        row = int(np.argmin(np.abs(prediction.depth[:, 0] - 3)))
        np.testing.assert_allclose(picture[row, 0].astype(int), expected, atol=6)


@pytest.mark.parametrize("colormap", ["spectral", "viridis", "grey"])
@pytest.mark.parametrize("kind", ["metric", "relative"])
def test_the_bar_has_the_colours_of_the_picture(colormap: str, kind: str) -> None:
    """Far above, near below, in both kinds; the colours in between in the picture's order."""
    prediction = metric() if kind == "metric" else DepthPrediction(1 / metric().depth, "relative")
    bar = draw_legend(prediction, colormap, shown_range(prediction, None) or (0, 0), 200)
    column = bar[:, 9].astype(int)
    picture = colorize(prediction, colormap).astype(int)
    inside = np.flatnonzero((column != 255).any(axis=1) & (column != 32).any(axis=1))
    above, below = int(inside[0]), int(inside[-1])
    first = next(row for row in range(above, 100) if np.abs(column[row] - picture[0, 0]).max() <= 6)
    last = next(row for row in range(below, 100, -1) if np.abs(column[row] - picture[-1, 0]).max() <= 6)
    assert first < 60
    assert last > 150


def test_ticks_are_round_metres_and_ends_say_what_lies_beyond() -> None:
    assert texts(metric(), (0.5, 12.3)) == ["0.5 m", "2 m", "4 m", "6 m", "8 m", "10 m", "12.3 m"]
    assert texts(metric(low=0.2, high=19.9), (0.5, 10)) == ["< 0.5 m", "2 m", "4 m", "6 m", "8 m", "> 10 m"]
    assert texts(metric(high=19.9), (0.5, 19.9))[-1] == "> 19.9 m"  # saturated: at least that far
    assert texts(metric(high=19.9), (0, 80))[-1] == "80 m"
    assert texts(metric(low=0.051, high=0.0645), (0.051, 0.0645))[0] == "0.051 m"
    assert texts(metric(low=3, high=3), (3, 3)) == ["3 m"]
    assert texts(DepthPrediction(metric().depth, "relative"), (0, 1)) == []


def test_a_legend_is_beside_the_picture_and_never_in_it() -> None:
    for prediction in (metric(), metric(20, 30), DepthPrediction(np.ones((1, 1)), "relative")):
        picture = coloured(prediction, legend=True)
        height, width = prediction.depth.shape
        assert picture.shape[0] == max(height, MIN_HEIGHT)
        np.testing.assert_array_equal(picture[:height, :width], colorize(prediction))
        assert (picture[height:, :width] == 255).all()
        panel = picture[:, width:]
        assert panel.shape[1] > 30
        assert (panel[:, -1] == 255).all()  # no text is cut off
        assert (panel < 64).all(axis=2).any()


def test_ranges_that_make_no_sense() -> None:
    assert parse_range(" 0.5, 20") == (0.5, 20)
    assert parse_range("Robust") == "robust"
    for text in ("20,0.5", "1", "1,2,3", "near,far", "nan,3", "-1,3", "2,2", "0,inf", ""):
        with pytest.raises(OptionError, match="NEAR,FAR"):
            parse_range(text)
    with pytest.raises(OptionError, match="relative depth has none"):
        check_range((0.5, 20), "relative")
    check_range("robust", "relative")


def test_masked_pixels_are_invalid_black_and_out_of_the_range(tmp_path: Path) -> None:
    prediction = metric(high=19)
    mask = np.zeros((200, 60), np.uint8)
    mask[:100] = 255
    Image.fromarray(mask).save(tmp_path / "sky.png")
    masked = apply_mask(prediction, tmp_path / "sky.png")
    np.testing.assert_array_equal(masked.valid, mask == 0)
    np.testing.assert_array_equal(masked.depth, prediction.depth)
    assert "sky.png': 50.0% of the pixels" in masked.provenance.notes[0]
    picture = coloured(masked)
    assert (picture[:100] == 0).all()
    below = DepthPrediction(prediction.depth[100:], "metric", 20.0)
    np.testing.assert_array_equal(picture[100:], coloured(below))
    saturated = metric(high=20)  # invalid, but seen: as far as the model can say
    assert (coloured(saturated)[0] > 0).any()


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_masks_of_any_depth_and_size(top: int, tmp_path: Path) -> None:
    values = np.zeros((100, 30), np.uint16 if top > 255 else np.uint8)
    values[:25] = top
    Image.fromarray(values).save(tmp_path / "mask.png")
    masked = apply_mask(metric(), tmp_path / "mask.png")
    assert not masked.valid[:50].any()
    assert masked.valid[50:].all()
    assert "resized to the picture" in masked.provenance.notes[0]
    with pytest.raises(InputError, match=r"the mask '.*' is 30 x 100 pixels, the picture 200 x 60"):
        apply_mask(DepthPrediction(np.ones((60, 200)), "metric"), tmp_path / "mask.png")


def test_a_saturated_sky_is_masked_like_any_other_pixel(tmp_path: Path) -> None:
    depth = np.full((60, 80), 40.0, np.float32)
    depth[0], depth[:20] = 5.0, 80.0
    depth[20:25] = 80.0  # hills, as far as the model can say
    sky = np.zeros((60, 80), np.uint8)
    sky[:20] = 255
    Image.fromarray(sky).save(tmp_path / "sky.png")
    masked = apply_mask(DepthPrediction(depth, "metric", 80.0), tmp_path / "sky.png")
    assert np.isnan(masked.depth[:20]).all()
    assert (masked.depth[20:] == depth[20:]).all()
    picture = coloured(masked)
    assert not picture[:20].any()
    assert picture[20:].any(axis=2).all()
    assert shown_range(masked, None) == (40.0, 80.0)


def test_where_masks_are_looked_for(tmp_path: Path) -> None:
    for name in ("a.png", "sub/a.jpg", "sub/a.png", "b.c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_mask(tmp_path, "sub/a") == tmp_path / "sub/a.png"
    assert find_mask(tmp_path, "b.c") == tmp_path / "b.c.webp"
    assert find_mask(tmp_path / "a.png", "anything") == tmp_path / "a.png"
    for path, stem, said in ((tmp_path, "sub/b", "no mask 'sub/b.png'"), (tmp_path / "x.png", "a", "no mask")):
        with pytest.raises(InputError, match=said):
            find_mask(path, stem)
