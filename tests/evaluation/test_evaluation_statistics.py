"""Means, intervals and paired comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from depth_anything_v2.evaluation.records import Record
from depth_anything_v2.evaluation.statistics import compare, estimate


def records(values, scenes=None, weights=None, metric="abs_rel") -> list[Record]:
    scenes = scenes or [str(i) for i in range(len(values))]
    weights = weights or [1.0] * len(values)
    rows = zip(values, scenes, weights, strict=True)
    return [Record(i, f"p{i}", s, metrics={metric: v}, weight=w) for i, (v, s, w) in enumerate(rows)]


def test_means_over_images_scenes_and_pairs() -> None:
    scored = records([0.1, 0.1, 0.4], scenes=["a", "a", "b"])
    assert estimate(scored, "abs_rel", "images").mean == pytest.approx(0.2)
    assert estimate(scored, "abs_rel", "scenes").mean == pytest.approx(0.25)
    weighted = records([1.0, 0.0], weights=[1.0, 3.0])
    assert estimate(weighted, "abs_rel").mean == 0.25


def test_the_interval_covers_what_it_says() -> None:
    """Of 200 samples of 25 scenes about 95 % hold the true mean; a bootstrap over images of scenes would not."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        offsets = rng.normal(0.3, 0.1, 25).repeat(8)
        scored = records((offsets + rng.normal(0, 0.01, 200)).tolist(), [str(i // 8) for i in range(200)])
        found = estimate(scored, "abs_rel")
        held += found.low <= 0.3 <= found.high
    assert 178 <= held <= 198


def test_no_interval_for_one_scene_and_no_mean_for_nothing() -> None:
    found = estimate(records([0.1, 0.2], ["a", "a"]), "abs_rel")
    assert (found.mean, found.low, found.high, found.images, found.scenes) == (pytest.approx(0.15), None, None, 2, 1)
    assert np.isnan(estimate([], "abs_rel").mean)


def test_values_that_are_no_numbers_are_left_out() -> None:
    found = estimate(records([0.1, float("nan"), 0.3]), "abs_rel")
    assert (found.mean, found.images) == (pytest.approx(0.2), 2)


def test_pairing_finds_a_small_difference_in_much_variety() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.05, 0.6, 40)
    first, second = records(base.tolist()), records((base * 0.95).tolist())
    found = compare(first, second, "abs_rel")
    assert found.verdict == "better"
    assert found.low < found.difference < found.high < 0
    assert (found.better, found.worse) == (40, 0)
    apart = estimate(first, "abs_rel"), estimate(second, "abs_rel")
    assert apart[0].low < apart[1].high  # their own intervals overlap
    assert compare(second, first, "abs_rel").verdict == "worse"
    assert compare(first, first, "abs_rel").verdict == "undecided"


def test_a_higher_delta_is_better_and_only_common_samples_count() -> None:
    first = records([0.5, 0.6, 0.7], metric="delta1")
    second = records([0.9, 0.8, 0.9, 0.1], metric="delta1")
    second[2] = Record(2, "p2", "2", status="failed")
    found = compare(first, second, "delta1")
    assert (found.images, found.verdict, found.first, found.second) == (2, "better", 0.55, pytest.approx(0.85))
