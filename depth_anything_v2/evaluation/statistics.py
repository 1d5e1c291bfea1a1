"""Means over images or scenes, with intervals by bootstrap over scenes, and the paired comparison of two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_anything_v2.evaluation.benchmark import Mean
from depth_anything_v2.evaluation.records import Record

SAMPLES, AT_ONCE, SEED, LEVEL = 5000, 250, 0, 0.95
HIGHER_IS_BETTER = frozenset({"order", "delta1", "delta2", "delta3", "boundary_f1", "accuracy"})


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval: low and high bound 95 % of the bootstrap means (None with fewer than two scenes)."""

    metric: str
    mean: float
    low: float | None
    high: float | None
    images: int
    scenes: int


@dataclass(frozen=True)
class Difference:
    """Second minus first of one metric, on the images that both were scored on.

    better: how many images the second is better on, worse: the first. verdict: 'better', 'worse' or 'undecided' of the
    second, by whether the interval excludes 0.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    better: int
    worse: int
    images: int
    scenes: int

    @property
    def verdict(self) -> str:
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.low > 0) == (self.metric in HIGHER_IS_BETTER) else "worse"


def estimate(records: Sequence[Record], metric: str, mean: Mean = "images", *, seed: int = SEED) -> Estimate:
    """Return the mean of a metric over scored records and its interval.

    mean 'images': every image counts by its weight (the number of pairs, where there are pairs); 'scenes': images are
    averaged in each scene first. Scenes are drawn with replacement, 5,000 times, from a fixed seed. Values that
    are not numbers (a metric that an image does not allow) are left out.
    """
    used = [r for r in records if r.status == "scored" and math.isfinite(r.metrics.get(metric, math.nan))]
    values = np.array([r.metrics[metric] for r in used], dtype=np.float64)
    return Estimate(metric, *_bootstrap(values, used, mean, seed), len(used), len({r.scene for r in used}))


def compare(first: Sequence[Record], second: Sequence[Record], metric: str, mean: Mean = "images") -> Difference:
    """Return the paired difference, second minus first, over samples that both have; scenes are drawn as in `estimate`.

    Pairing by image takes out what makes one image harder than another, so that the interval is that of the
    difference, narrower than the two intervals together.
    """
    others = {record.index: record for record in second if record.status == "scored"}
    both = [(one, others[one.index]) for one in first if one.status == "scored" and one.index in others]
    pairs = [(a, b) for a, b in both if all(math.isfinite(record.metrics.get(metric, math.nan)) for record in (a, b))]
    used = [a for a, _ in pairs]
    values = np.array([(a.metrics[metric], b.metrics[metric]) for a, b in pairs], dtype=np.float64).reshape(-1, 2)
    change = values[:, 1] - values[:, 0]
    old, new = (_bootstrap(values[:, column], used, mean, SEED)[0] for column in (0, 1))
    difference, low, high = _bootstrap(change, used, mean, SEED)
    gain = change if metric in HIGHER_IS_BETTER else -change
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    return Difference(
        metric, old, new, difference, low, high, better, worse, len(used), len({record.scene for record in used})
    )


def _bootstrap(
    values: npt.NDArray[np.float64], records: Sequence[Record], mean: Mean, seed: int
) -> tuple[float, float | None, float | None]:
    """Return (mean, low, high) of values that belong to records."""
    if not records:
        return math.nan, None, None
    scenes = {scene: number for number, scene in enumerate(dict.fromkeys(record.scene for record in records))}
    of = np.array([scenes[record.scene] for record in records])
    weight = np.array([record.weight for record in records], dtype=np.float64)
    totals = np.bincount(of, weight * values, len(scenes)).astype(np.float64)
    counts = np.bincount(of, weight, len(scenes)).astype(np.float64)
    if mean == "scenes":
        totals, counts = totals / counts, np.ones_like(counts)
    centre = float(totals.sum() / counts.sum())
    if len(scenes) < 2:
        return centre, None, None
    rng, shares = np.random.default_rng(seed), np.full(len(scenes), 1 / len(scenes))
    draws = (rng.multinomial(len(scenes), shares, AT_ONCE) for _ in range(SAMPLES // AT_ONCE))
    means = np.concatenate([(drawn @ totals) / (drawn @ counts) for drawn in draws])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return centre, float(low), float(high)
