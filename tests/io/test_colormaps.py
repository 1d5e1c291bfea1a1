"""Colours: the tables, the directions, and the original's picture byte by byte."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io import COLORMAPS, colorize, original_picture
from depth_anything_v2.io.colormaps import table, to_levels
from depth_anything_v2.prediction import DepthPrediction

RNG = np.random.default_rng(0)


def relative(values: object) -> DepthPrediction:
    return DepthPrediction(np.atleast_2d(np.array(values, np.float32)), "relative")


def metric(values: object, max_depth_m: float | None = None) -> DepthPrediction:
    return DepthPrediction(np.atleast_2d(np.array(values, np.float32)), "metric", max_depth_m)


@pytest.mark.parametrize(("name", "crc"), [("spectral", 1948644069), ("spectral_r", 639211181)])
def test_spectral_tables_are_the_originals(name: str, crc: int) -> None:
    assert zlib.crc32(table(name).tobytes()) == crc


@pytest.mark.parametrize(("name", "there"), [("spectral", "Spectral"), ("spectral_r", "Spectral_r")])
def test_spectral_tables_equal_matplotlibs(name: str, there: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = (matplotlib.colormaps[there](np.arange(256))[:, :3] * 255).astype(np.uint8)
    np.testing.assert_array_equal(table(name), expected)


@pytest.mark.parametrize("name", ["inferno", "magma", "plasma", "viridis", "turbo"])
def test_other_tables_are_in_rgb_order(name: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = matplotlib.colormaps[name](np.arange(256))[:, :3] * 255
    assert np.abs(table(name) - expected).max() < 3


def warmth(pixel: np.ndarray) -> int:
    return int(pixel[0]) - int(pixel[2])


@pytest.mark.parametrize("name", ["spectral", "turbo"])
def test_near_is_warm_for_both_kinds(name: str) -> None:
    for prediction in (relative([9, 5, 1]), metric([1, 5, 9])):
        near, _, far = colorize(prediction, name)[0]
        assert warmth(near) > 0 > warmth(far) or warmth(near) > warmth(far) + 60


@pytest.mark.parametrize("name", ["inferno", "magma", "plasma", "viridis"])
def test_near_is_bright_for_both_kinds(name: str) -> None:
    for prediction in (relative([9, 5, 1]), metric([1, 5, 9])):
        near, middle, far = colorize(prediction, name)[0].astype(int).sum(axis=1)
        assert near > middle > far


def test_grey_shows_the_numbers_themselves() -> None:
    for prediction in (relative([1, 2, 3]), metric([1, 2, 3])):
        assert colorize(prediction, "grey")[0].tolist() == [[0] * 3, [127] * 3, [255] * 3]


@pytest.mark.parametrize("name", COLORMAPS)
def test_every_map_colours_both_kinds(name: str) -> None:
    values = RNG.random((11, 13)) * 8
    for prediction in (relative(values), metric(values)):
        picture = colorize(prediction, name)
        assert picture.shape == (11, 13, 3)
        assert picture.dtype == np.uint8
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    np.testing.assert_array_equal(prediction.colorize(name), picture)


@pytest.mark.parametrize("name", COLORMAPS)
@pytest.mark.parametrize(
    "values",
    [[3, 3, 3], [0, 0, 0], [np.nan] * 3, [np.inf] * 3, [-np.inf] * 3, [np.inf, -np.inf, np.nan], [np.inf, 1, 1]],
)
def test_flat_and_non_finite_maps(name: str, values: list[float]) -> None:
    for prediction in (relative(values), metric(values, 20.0)):
        picture = colorize(prediction, name)
        assert (picture[np.isnan(prediction.depth)] == 0).all()
        original_picture(np.zeros((1, 3, 3), np.uint8), prediction.depth, pred_only=False, grayscale=False)


def test_infinity_and_nan_do_not_disturb_the_others() -> None:
    finite = [1, 2, 3, 4]
    expected = colorize(metric(finite))[0]
    picture = colorize(metric([*finite, np.inf, -np.inf, np.nan]))[0]
    np.testing.assert_array_equal(picture[:4], expected)
    np.testing.assert_array_equal(picture[4:], [expected[3], expected[0], [0, 0, 0]])


def test_value_range_is_in_the_predictions_numbers() -> None:
    picture = colorize(metric([0, 1, 2, 3, 99, np.nan]), "grey", (1, 3))[0, :, 0]
    assert picture.tolist() == [0, 0, 127, 255, 255, 0]
    narrow = colorize(relative([0.0, 1.0]), "grey", (1e-30, 2e-30))[0, :, 0]
    assert narrow.tolist() == [0, 255]
    for bad in ((3, 1), (1, 1), (0, np.inf), (np.nan, 1)):
        with pytest.raises(OptionError, match="range"):
            colorize(metric([1, 2]), "grey", bad)


def test_ranges_wider_than_float32() -> None:
    assert to_levels(np.array([[-3e38, 0, 3e38]], np.float32)).tolist() == [[0, 127, 255]]
    assert to_levels(np.array([[-1.5e308, 0, 1.5e308]])).tolist() == [[0, 127, 255]]


def test_unknown_map() -> None:
    with pytest.raises(OptionError, match="spectral"):
        colorize(metric([1, 2]), "rainbow")


def as_the_original(image: np.ndarray, depth: np.ndarray, pred_only: bool, grayscale: bool, name: str) -> np.ndarray:
    """The steps of the original's run.py, with matplotlib's map as it calls it."""
    import matplotlib

    colours = matplotlib.colormaps[name]
    scaled = ((depth - depth.min()) / (depth.max() - depth.min()) * 255.0).astype(np.uint8)
    if grayscale:
        shown = np.repeat(scaled[..., np.newaxis], 3, axis=-1)
    else:
        shown = (colours(scaled)[:, :, :3] * 255)[:, :, ::-1].astype(np.uint8)
    if pred_only:
        return shown
    return cv2.hconcat([image, np.ones((image.shape[0], 50, 3), dtype=np.uint8) * 255, shown])


@pytest.mark.parametrize("pred_only", [False, True])
@pytest.mark.parametrize("grayscale", [False, True])
@pytest.mark.parametrize("colormap", ["spectral_r", "spectral"])
@pytest.mark.parametrize("reach", [(0.0, 1.0), (-3.0, 250.0), (1e-3, 1.1e-3)])
def test_original_picture(pred_only: bool, grayscale: bool, colormap: str, reach: tuple[float, float]) -> None:
    pytest.importorskip("matplotlib")
    depth = (RNG.random((120, 90)) * (reach[1] - reach[0]) + reach[0]).astype(np.float32)
    image = RNG.integers(0, 256, (120, 90, 3), dtype=np.uint8)
    result = original_picture(image, depth, pred_only=pred_only, grayscale=grayscale, colormap=colormap)
    expected = as_the_original(image, depth, pred_only, grayscale, colormap.capitalize())
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_original_picture_of_a_flat_or_broken_map() -> None:
    image = np.full((2, 3, 3), 9, np.uint8)
    for values in (np.full((2, 3), 5), np.full((2, 3), np.nan), np.zeros((2, 3))):
        picture = original_picture(image, values.astype(np.float32), pred_only=False, grayscale=True)
        assert picture.shape == (2, 56, 3)
        assert (picture[:, :3] == 9).all()
        assert (picture[:, 3:53] == 255).all()
        assert (picture[:, 53:] == 0).all()
    some = np.array([[np.nan, 1, 2], [3, np.inf, -np.inf]], np.float32)
    levels = original_picture(image, some, pred_only=True, grayscale=True)[..., 0]
    assert levels.tolist() == [[0, 0, 127], [255, 255, 0]]


def test_original_picture_refuses_what_does_not_match() -> None:
    with pytest.raises(InputError, match="match"):
        original_picture(np.zeros((2, 3, 3), np.uint8), np.ones((3, 3), np.float32), pred_only=False, grayscale=False)
    with pytest.raises(OptionError, match="spectral_r"):
        original_picture(
            np.zeros((3, 3, 3), np.uint8),
            np.ones((3, 3), np.float32),
            pred_only=True,
            grayscale=False,
            colormap="turbo",  # type: ignore[arg-type]
        )
