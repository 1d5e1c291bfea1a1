"""The dataset doctor: reads every pair of a dataset and says what would spoil a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depth_anything_v2.datasets.findings import Finding, find, geometry_verdict
from depth_anything_v2.datasets.inspection import EDGES, PairFacts, inspect_pair, percentile
from depth_anything_v2.datasets.reader import DepthDataset
from depth_anything_v2.datasets.sample import Frame
from depth_anything_v2.errors import OptionError
from depth_anything_v2.io.atomic import atomic_path, make_folder
from depth_anything_v2.io.depth_files import write_image
from depth_anything_v2.pipeline import default_workers, ordered_map
from depth_anything_v2.version import __version__

REPORT_FORMAT = "depth_anything_v2 dataset report"
REPORT_FILE, HISTOGRAM_FILE, SHEET_FILE = "dataset-report.json", "dataset-histogram.png", "dataset-contact-sheet.png"
SHEET_PAIRS = 24

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class DatasetReport:
    """What the doctor found. pairs: how many there are; facts: of those looked at, in order."""

    dataset: str
    pairs: int
    facts: tuple[PairFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that would spoil a training."""
        return not any(finding.severity == "error" for finding in self.findings)

    def statistics(self) -> dict[str, Any]:
        """Return JSON data on the readable depth of each split: counts, share valid, range, sizes."""
        splits: dict[str, list[PairFacts]] = {}
        for fact in self.facts:
            splits.setdefault(fact.frame.split, []).append(fact)
        return {split: _statistics(some) for split, some in splits.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        seen, planar, ray = geometry_verdict(self.facts)
        declared = sorted({fact.geometry for fact in self.facts if fact.size is not None})
        return {
            "format": REPORT_FORMAT,
            "version": __version__,
            "dataset": self.dataset,
            "pairs": self.pairs,
            "looked_at": len(self.facts),
            "ok": self.ok,
            "kinds": sorted({fact.kind for fact in self.facts if fact.size is not None}),
            "geometry": {"declared": declared, "seen": seen, "votes_planar": planar, "votes_ray": ray},
            "splits": self.statistics(),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write report, histogram and contact sheet into a folder, and return the files. Raises OutputError."""
        from depth_anything_v2.datasets.doctor_pictures import contact_sheet, histogram

        folder = Path(folder)
        make_folder(folder)
        path = folder / REPORT_FILE
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        written = [path]
        if any(fact.counts is not None for fact in self.facts):
            written.append(write_image(folder / HISTOGRAM_FILE, histogram(self.facts, self.dataset)))
        if any(fact.picture is not None for fact in self.facts):
            written.append(write_image(folder / SHEET_FILE, contact_sheet(self.facts, self.dataset)))
        return written


def check_dataset(
    datasets: DepthDataset | Sequence[DepthDataset],
    *,
    name: str = "",
    limit: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DatasetReport:
    """Read the pairs of one dataset, or of several that hold its splits, and return what there is to say.

    limit: at most so many pairs of each dataset, spread evenly over it. workers: threads that read. progress: called
    with pairs done, all of them, and a name. What cannot be read is a finding, not an error.

    Raises OptionError for a limit below one, MissingExtraError for a format whose library is missing.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"the limit is a number of pairs, at least 1, not {limit}")
    several = [datasets] if isinstance(datasets, DepthDataset) else list(datasets)
    jobs = [(dataset, frame) for dataset in several for frame in _spread(dataset.frames, limit)]
    shown = {int(index) for index in np.linspace(0, len(jobs) - 1, min(SHEET_PAIRS, len(jobs)))}

    def look(job: tuple[int, tuple[DepthDataset, Frame]]) -> PairFacts:
        index, (dataset, frame) = job
        return inspect_pair(dataset, frame, keep_pictures=index in shown)

    facts = []
    for fact in ordered_map(look, enumerate(jobs), workers=workers or default_workers(), ahead=8):
        facts.append(fact)
        if progress is not None:
            progress(len(facts), len(jobs), fact.name)
    title = name or " + ".join(dict.fromkeys(dataset.name for dataset in several))
    return DatasetReport(title, sum(map(len, several)), tuple(facts), tuple(find(facts)))


def _spread(frames: Sequence[Frame], limit: int | None) -> Iterator[Frame]:
    if limit is None or limit >= len(frames):
        yield from frames
    else:
        yield from (frames[int(index)] for index in np.linspace(0, len(frames) - 1, limit))


def _statistics(facts: Sequence[PairFacts]) -> dict[str, Any]:
    read = [fact for fact in facts if fact.size is not None]
    data: dict[str, Any] = {
        "pairs": len(facts),
        "readable": sum(fact.trouble is None for fact in facts),
        "scenes": len({fact.frame.scene for fact in facts} - {""}),
        "sizes": _sizes(read),
    }
    total = sum((fact.counts for fact in read if fact.counts is not None), np.zeros(EDGES.size - 1, np.int64))
    if total.sum():
        spreads = [fact.spread for fact in read if fact.spread is not None]
        data |= {
            "valid_share": round(float(np.mean([fact.valid for fact in read])), 4),
            "sky_share": round(float(np.mean([fact.sky for fact in read])), 4),
            "lowest": min(spread.lowest for spread in spreads),
            "highest": max(spread.highest for spread in spreads),
            "median_of_medians": float(np.median([spread.median for spread in spreads])),
            "percentiles": {f"p{p}": percentile(total, p) for p in (1, 10, 50, 90, 99)},
        }
    return data


def _sizes(facts: Sequence[PairFacts]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for fact in facts:
        if fact.size is not None:
            key = f"{fact.size[1]} x {fact.size[0]}"
            sizes[key] = sizes.get(key, 0) + 1
    return dict(sorted(sizes.items(), key=lambda item: -item[1])[:10])
