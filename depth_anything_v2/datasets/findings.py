"""From what was seen in every pair to what a user should know, worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from depth_anything_v2.datasets.duplicates import alike_across, same_pictures
from depth_anything_v2.datasets.inspection import PairFacts
from depth_anything_v2.datasets.manifest import ManifestFrame
from depth_anything_v2.datasets.planarity import Verdict, verdict

Severity = Literal["error", "warning", "note"]

LISTED = 20  # names that a finding lists
FAR_M, NEAR_M = 500.0, 0.05  # a picture whose median lies beyond is not in metres
# Metres of one count in the formats that are common.
UNITS = (
    (0.001, "millimetres"),
    (0.01, "centimetres"),
    (1 / 256, "counts of 1/256 m (KITTI)"),
    (1 / 5000, "counts of 1/5000 m (TUM)"),
)
PLAUSIBLE_M = (0.3, 80.0)
LEAST_VALID = 0.01
OPPOSITE = 0.9  # share of the pictures whose lower third must be farther than the upper one


@dataclass(frozen=True)
class Finding:
    """code: for programs. severity: 'error' would spoil a training. items: the first names; count: of all of them."""

    code: str
    severity: Severity
    message: str
    items: tuple[str, ...] = ()
    count: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "count": self.count,
            "items": list(self.items),
        }


def find(facts: Sequence[PairFacts]) -> list[Finding]:
    """Return all findings, errors first."""
    checks: tuple[Callable[[Sequence[PairFacts]], Iterable[Finding]], ...] = (
        _troubles,
        _units,
        _geometry,
        _direction,
        _validity,
        _duplicates,
        _scenes,
    )
    found = [finding for check in checks for finding in check(facts)]
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.severity))


def geometry_verdict(facts: Sequence[PairFacts]) -> tuple[Verdict, int, int]:
    """Return what the depth looks like, and the votes for planar and for ray."""
    planar = sum(fact.votes[0] for fact in facts if fact.votes)
    ray = sum(fact.votes[1] for fact in facts if fact.votes)
    return verdict(planar, ray), planar, ray


def _finding(code: str, severity: Severity, message: str, names: Sequence[str] = ()) -> Finding:
    return Finding(code, severity, message, tuple(names[:LISTED]), len(names))


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _troubles(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    by_code: dict[str, list[PairFacts]] = defaultdict(list)
    for fact in facts:
        if fact.trouble:
            by_code[fact.trouble].append(fact)
    for code, some in by_code.items():
        names = [fact.name for fact in some]
        if code == "eight-bit-depth":
            message = (
                f"{_count(len(some), 'depth file is a picture', 'depth files are pictures')} of 8 bits: most likely "
                "the grey or coloured picture of a depth map, whose numbers are gone; use the 16-bit PNG with its "
                "scale, or npy, exr, pfm"
            )
        else:
            what = {
                "unreadable-picture": _count(len(some), "picture") + " cannot be read",
                "unreadable-depth": _count(len(some), "depth file") + " cannot be read",
                "size-mismatch": _count(len(some), "pair") + " whose picture and depth map differ in size",
            }[code]
            message = f"{what}, for example: {some[0].message}"
        yield _finding(code, "error", message, names)


def _units(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    metric = [fact for fact in facts if fact.kind == "metric" and fact.spread]
    medians = {id(fact): fact.spread.median for fact in metric if fact.spread}
    normalised = [fact for fact in metric if fact.spread and abs(fact.spread.highest - 1) < 2e-3]
    if len(normalised) > 0.8 * len(metric) and metric:
        names = [fact.name for fact in normalised]
        message = (
            f"the depth of {_count(len(names), 'picture')} ends at exactly 1: it is normalised, not in metres; use the "
            "depth before normalisation, or say kind 'relative' if it is inverse depth"
        )
        yield _finding("normalised", "error", message, names)
        return
    for code, some in (
        ("unit-too-large", [fact for fact in metric if medians[id(fact)] > FAR_M]),
        ("unit-too-small", [fact for fact in metric if medians[id(fact)] < NEAR_M]),
    ):
        if some:
            median = float(np.median([medians[id(fact)] for fact in some]))
            share = "" if len(some) == len(metric) else f" in {_count(len(some), 'picture')} of {len(metric):,}"
            message = f"the median depth is {median:,.4g} 'metres'{share}: {_unit_guess(median, _scale_of(some[0]))}"
            yield _finding(code, "error", message, [fact.name for fact in some])


def _scale_of(fact: PairFacts) -> float:
    return (fact.frame.scale or 1.0) if isinstance(fact.frame, ManifestFrame) else 1.0


def _unit_guess(median: float, scale: float) -> str:
    """Return what is likely wrong, and the scale to set."""
    stored = median / scale
    low, high = PLAUSIBLE_M
    if scale > 1 and low <= stored / scale <= high:
        return (
            f"the scale is the metres of one count, not the counts of one metre: set it to 1/{scale:g} "
            f"(the median becomes {stored / scale:.3g} m)"
        )
    if low <= stored <= high:
        return f"without the scale of {scale:g} it is {stored:.3g} m: the numbers are metres already, leave it out"
    guesses = [(unit, name) for unit, name in UNITS if low <= stored * unit <= high]
    if not guesses:
        return f"no common unit makes that plausible; find out what one count is, and set the scale (now {scale:g})"
    (unit, name), others = guesses[0], guesses[1:]
    likely = f"likely {name}: set the scale to {_fraction(unit)} (the median becomes {stored * unit:.3g} m)"
    also = " or ".join(f"{_fraction(unit)} for {name} ({stored * unit:.3g} m)" for unit, name in others)
    return f"{likely}; possible, too: {also}" if also else likely


def _fraction(unit: float) -> str:
    return f"{unit:g}" if unit in (0.001, 0.01) else f"1/{round(1 / unit)}"


def _geometry(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    seen, planar, ray = geometry_verdict(facts)
    declared = {fact.geometry for fact in facts if fact.votes}
    if seen != "undecided" and declared and seen not in declared:
        what = {"planar": "planar depth", "ray": "distance along the ray"}
        message = (
            f"the depth looks like {what[seen]}, but is taken for {what[declared.pop()]} ({planar} flat surfaces speak "
            f"for planar, {ray} for ray): set geometry to '{seen}'"
        )
        yield _finding("geometry", "error", message)


def _direction(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    for kind in ("metric", "relative"):
        some = [fact for fact in facts if fact.kind == kind and fact.lower_over_upper is not None]
        ratios = [fact.lower_over_upper or 0.0 for fact in some]
        # What is low in a picture is mostly nearer: smaller in metres, larger in inverse depth.
        opposite = sum(ratio > 1.05 if kind == "metric" else ratio < 0.95 for ratio in ratios)
        if len(some) >= 5 and opposite >= OPPOSITE * len(some):
            is_now, perhaps = (
                ("metres", "inverse depth or disparity") if kind == "metric" else ("inverse depth", "depth")
            )
            message = (
                f"in {opposite} of {len(some)} pictures the lower third would be farther than the upper one: are the "
                f"numbers {perhaps}, not {is_now}? (Pictures taken upside down or of ceilings look like this, too.)"
            )
            yield _finding("direction", "warning", message)


def _validity(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    read = [fact for fact in facts if fact.size is not None]
    empty = [fact.name for fact in read if fact.spread is None]
    sparse = [fact.name for fact in read if fact.spread is not None and fact.valid < LEAST_VALID]
    flat = [fact.name for fact in read if fact.spread is not None and fact.spread.lowest == fact.spread.highest]
    if empty:
        severity: Severity = "error" if len(empty) == len(read) else "warning"
        message = (
            f"{_count(len(empty), 'depth map has', 'depth maps have')} no valid pixel at all: check mask and scale"
        )
        yield _finding("no-valid-pixels", severity, message, empty)
    if sparse:
        message = f"{_count(len(sparse), 'depth map has', 'depth maps have')} fewer than 1 % valid pixels"
        yield _finding("few-valid-pixels", "warning", message, sparse)
    if flat:
        message = f"{_count(len(flat), 'depth map has', 'depth maps have')} one and the same number everywhere"
        yield _finding("flat-depth", "warning", message, flat)


def _duplicates(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    seen = [(fact, fact.fingerprint) for fact in facts if fact.fingerprint]
    owners, prints = [fact for fact, _ in seen], [one for _, one in seen]
    splits = [fact.frame.split for fact in owners]
    across: list[str] = []
    within: list[str] = []
    exact: set[int] = set()
    for group in same_pictures(prints):
        names = " = ".join(_where(owners[index]) for index in group[:3]) + (" = ..." if len(group) > 3 else "")
        (across if len({splits[index] for index in group}) > 1 else within).append(names)
        exact.update(group)
    alike = [
        f"{_where(owners[one])} ~ {_where(owners[other])}"
        for one, other in alike_across(prints, splits)
        if not (one in exact and other in exact)
    ]
    if across:
        message = f"{_count(len(across), 'picture')} in more than one split: what is tested on was trained on"
        yield _finding("duplicates-between-splits", "error", message, across)
    if alike:
        message = (
            f"{_count(len(alike), 'picture looks', 'pictures look')} the same as one of another split (the next frame "
            "of a video, or a copy of another size or compression): split by scene instead"
        )
        yield _finding("lookalikes-between-splits", "error", message, alike)
    if within:
        yield _finding("duplicates", "warning", f"{_count(len(within), 'picture')} more than once in one split", within)


def _where(fact: PairFacts) -> str:
    return f"{fact.frame.split}: {fact.name}" if fact.frame.split else fact.name


def _scenes(facts: Sequence[PairFacts]) -> Iterable[Finding]:
    splits: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        splits[fact.frame.scene].add(fact.frame.split)
    all_splits = {fact.frame.split for fact in facts}
    if len(all_splits) < 2:
        return
    if set(splits) == {""}:
        message = (
            "no scenes are named, so nobody can tell whether one is on both sides of a split: add a column 'scene'"
        )
        yield _finding("no-scenes", "note", message)
        return
    both = [
        f"{scene} ({', '.join(sorted(where))})" for scene, where in sorted(splits.items()) if scene and len(where) > 1
    ]
    if both:
        message = (
            f"{_count(len(both), 'scene is', 'scenes are')} in more than one split: figures on it will be too good"
        )
        yield _finding("scene-in-two-splits", "error", message, both)
