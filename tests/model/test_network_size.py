"""The size rule, and the transforms that scripts for the original import."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from filler import picture
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_anything_v2.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, model_config
from depth_anything_v2.dpt import DepthAnythingV2
from depth_anything_v2.errors import OptionError
from depth_anything_v2.util import transform
from depth_anything_v2.util.transform import NormalizeImage, PrepareForNet, Resize, network_size, preprocess

SIDES = st.integers(1, 10_000)
INPUT_SIZES = st.one_of(st.sampled_from([518, 392, 256, 320]), st.integers(1, 2_100))
MULTIPLES = st.sampled_from([14, 32])
quick = settings(max_examples=300, deadline=None)


def test_every_row_of_the_reference_table(reference: dict[str, npt.NDArray[Any]]) -> None:
    table = reference["resize_rule"].tolist()
    assert len(table) == 212
    wrong = [row for row in table if network_size(*row[:3]) != (row[3], row[4])]
    assert wrong == []


@pytest.mark.parametrize(
    ("picture_size", "input_size", "expected"),
    [
        ((480, 640), 518, (518, 686)),
        ((518, 518), 518, (518, 518)),
        ((1, 1), 518, (518, 518)),
        ((518, 525), 518, (518, 532)),  # 37.5 multiples: to the even one, which is above
        ((518, 539), 518, (518, 532)),  # 38.5 multiples: to the even one, which is below
        ((510, 1020), 510, (518, 1022)),  # 36.4 would fall below the input size
        ((1, 5000), 518, (518, 2_590_000)),
    ],
)
def test_worked_examples(picture_size: tuple[int, int], input_size: int, expected: tuple[int, int]) -> None:
    assert network_size(*picture_size, input_size) == expected


@quick
@given(SIDES, SIDES, INPUT_SIZES, MULTIPLES)
def test_sides_are_multiples_and_never_below_the_input_size(height: int, width: int, size: int, multiple: int) -> None:
    result = network_size(height, width, size, multiple)
    assert all(isinstance(side, int) and side % multiple == 0 and side >= size for side in result)
    # The shorter side is scaled to the input size exactly, so all that is left is rounding it up.
    shorter = result[0] if height <= width else result[1]
    assert shorter == math.ceil(size / multiple) * multiple


@quick
@given(SIDES, SIDES, INPUT_SIZES, MULTIPLES)
def test_the_longer_side_keeps_the_aspect_within_one_multiple(
    height: int, width: int, size: int, multiple: int
) -> None:
    longer = max(network_size(height, width, size, multiple))
    exact = size * max(height, width) / min(height, width)
    assert abs(longer - exact) < multiple
    if exact >= math.ceil(size / multiple) * multiple:
        assert abs(longer - exact) <= multiple / 2 + 1e-6 * exact


@quick
@given(SIDES, SIDES, INPUT_SIZES, MULTIPLES)
def test_transposing_the_picture_transposes_the_size(height: int, width: int, size: int, multiple: int) -> None:
    assert network_size(width, height, size, multiple) == network_size(height, width, size, multiple)[::-1]


@quick
@given(SIDES, SIDES, st.integers(0, 500), INPUT_SIZES, st.integers(0, 500), MULTIPLES)
def test_more_length_or_more_input_never_gives_less(
    short: int, long: int, more: int, size: int, larger: int, multiple: int
) -> None:
    short, long = sorted((short, long))
    base = network_size(short, long, size, multiple)
    assert network_size(short, long + more, size, multiple)[1] >= base[1]
    grown = network_size(short, long, size + larger, multiple)
    assert grown[0] >= base[0]
    assert grown[1] >= base[1]


@quick
@given(SIDES, SIDES, INPUT_SIZES, MULTIPLES)
def test_the_resize_class_follows_the_same_rule(height: int, width: int, size: int, multiple: int) -> None:
    resize = Resize(size, size, keep_aspect_ratio=True, ensure_multiple_of=multiple, resize_method="lower_bound")
    assert resize.get_size(width, height) == network_size(height, width, size, multiple)[::-1]


@quick
@given(SIDES, SIDES, st.integers(1, 60), MULTIPLES)
def test_upper_bound_stays_inside(height: int, width: int, count: int, multiple: int) -> None:
    target = count * multiple
    resize = Resize(target, target, keep_aspect_ratio=True, ensure_multiple_of=multiple, resize_method="upper_bound")
    new_width, new_height = resize.get_size(width, height)
    assert max(new_width, new_height) == target
    assert new_width % multiple == new_height % multiple == 0
    exact = target * min(height, width) / max(height, width)
    assert abs(min(new_width, new_height) - exact) <= multiple / 2 + 1e-6 * target


def test_minimal_takes_the_scale_nearer_to_one() -> None:
    resize = Resize(400, 300, keep_aspect_ratio=True, ensure_multiple_of=10, resize_method="minimal")
    assert resize.get_size(500, 1000) == (400, 800)  # 0.8 for the width, 0.3 for the height
    assert resize.get_size(2000, 400) == (1500, 300)  # 0.2 for the width, 0.75 for the height


def test_without_aspect_ratio_each_side_goes_to_its_target() -> None:
    assert Resize(400, 300, ensure_multiple_of=14).get_size(640, 480) == (406, 308)
    assert Resize(400, 300).get_size(77, 1234) == (400, 300)


@pytest.mark.parametrize("bad", [(0, 10, 518), (10, 0, 518), (10, 10, 0), (-3, 10, 518)])
def test_lengths_that_make_no_sense_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(OptionError, match="positive"):
        network_size(*bad)


def test_an_unknown_resize_method_is_refused() -> None:
    with pytest.raises(OptionError, match="lower_bound"):
        Resize(10, 10, resize_method="sideways")  # type: ignore[arg-type]


def test_a_chain_of_transforms_prepares_as_image2tensor(vits: DepthAnythingV2) -> None:
    bgr = picture(61, 83)
    steps = [
        Resize(
            width=126,
            height=126,
            resize_target=False,
            keep_aspect_ratio=True,
            ensure_multiple_of=14,
            resize_method="lower_bound",
            image_interpolation_method=cv2.INTER_CUBIC,
        ),
        NormalizeImage(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        PrepareForNet(),
    ]
    sample: dict[str, Any] = {"image": cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) / 255.0}
    for step in steps:
        sample = step(sample)
    assert sample["image"].dtype == np.float32
    assert sample["image"].flags.c_contiguous
    np.testing.assert_array_equal(sample["image"], vits.image2tensor(bgr, 126)[0][0].numpy())


def test_depth_and_mask_follow_the_picture_without_new_values() -> None:
    depth = np.float32([[1, 2], [3, 4]]).repeat(20, 0).repeat(30, 1)
    sample: dict[str, Any] = {"image": np.zeros((40, 60, 3)), "depth": depth, "mask": depth > 2}
    sample = PrepareForNet()(Resize(30, 28, image_interpolation_method=cv2.INTER_CUBIC)(sample))
    assert sample["image"].shape == (3, 28, 30)
    assert sample["depth"].shape == sample["mask"].shape == (28, 30)
    assert set(np.unique(sample["depth"])) == {1, 2, 3, 4}
    np.testing.assert_array_equal(sample["mask"], (sample["depth"] > 2).astype(np.float32))
    assert sample["mask"].dtype == np.float32
    kept = Resize(30, 28, resize_target=False)({"image": np.zeros((40, 60, 3)), "depth": depth})
    assert kept["depth"].shape == (40, 60)


def test_preprocess_normalises_by_the_configuration() -> None:
    grey = np.full((5, 7, 3), 0.75, np.float32)
    ours = preprocess(grey, Preprocessing(), (14, 28))
    expected = (0.75 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(ours, np.broadcast_to(expected[:, None, None], (3, 14, 28)), rtol=1e-6)
    small = preprocess(grey, model_config("lite0").preprocessing, (32, 32))
    np.testing.assert_allclose(small, 0.5, rtol=1e-6)


def test_area_averages_where_bicubic_picks() -> None:
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::4] = 1.0
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), interpolation="area")
    np.testing.assert_allclose(preprocess(stripes, plain, (16, 16)), 0.25, atol=1e-6)
    bicubic = preprocess(stripes, Preprocessing(mean=(0, 0, 0), std=(1, 1, 1)), (16, 16))
    assert np.abs(bicubic - 0.25).max() > 0.1
    # Made larger, along one side or both, the two are the same.
    for size in ((128, 128), (128, 16), (16, 128)):
        area, cubic = (
            preprocess(stripes, Preprocessing(interpolation=method), size)  # type: ignore[arg-type]
            for method in ("area", "bicubic")
        )
        np.testing.assert_array_equal(area, cubic)


@quick
@given(SIDES, SIDES, INPUT_SIZES, MULTIPLES, st.integers(6, 40_000))
def test_the_token_limit_shrinks_both_sides_and_keeps_the_aspect(
    height: int, width: int, size: int, multiple: int, limit: int
) -> None:
    free = network_size(height, width, size, multiple)
    limited = network_size(height, width, size, multiple, limit)
    if free[0] * free[1] <= limit * 196:
        assert limited == free
        return
    assert limited[0] * limited[1] <= limit * 196
    assert limited[0] % multiple == limited[1] % multiple == 0
    assert limited[0] <= free[0]
    assert limited[1] <= free[1]
    assert network_size(width, height, size, multiple, limit) == limited[::-1] or height == width
    short, long = sorted(limited)
    exact = short * max(height, width) / min(height, width)
    room = limit * 196 // short // multiple * multiple
    assert abs(long - min(exact, room)) <= multiple


@pytest.mark.parametrize(
    ("picture_size", "expected"),
    [((100, 5000), (350, 17500)), ((1, 5000), (28, 140000)), ((5000, 1), (140000, 28)), ((1, 90000), (14, 458752))],
)
def test_thin_pictures_under_the_usual_limit(picture_size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert network_size(*picture_size, 518, 14, 32_768) == expected


def test_a_token_limit_below_one_is_refused() -> None:
    with pytest.raises(OptionError, match="token limit must be at least 1, not 0"):
        network_size(10, 10, 518, 14, 0)
    assert network_size(10, 10, 518, 32, 1) == (32, 32)  # less than one multiple is nothing


@pytest.mark.parametrize("interpolation", ["bicubic", "area"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_pictures_are_resized_in_bands_as_small_ones_are(
    interpolation: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_scale = np.iinfo(dtype).max
    rgb = np.random.default_rng(0).integers(0, full_scale, (301, 403, 3), dtype, endpoint=True)
    steps = Preprocessing(interpolation=interpolation)
    whole = preprocess(rgb, steps, (112, 140))
    np.testing.assert_allclose(whole, preprocess(rgb.astype(np.float32) / full_scale, steps, (112, 140)), atol=5e-6)
    monkeypatch.setattr(transform, "_BAND_PIXELS", 50 * 403)
    np.testing.assert_allclose(preprocess(rgb, steps, (112, 140)), whole, atol=5e-6)
