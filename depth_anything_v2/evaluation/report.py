"""What came out, as data: `build_report` makes one dictionary, which is the JSON and what Markdown and HTML show."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import OptionError
from depth_anything_v2.evaluation.benchmark import ALIGNMENTS
from depth_anything_v2.evaluation.evaluator import Evaluation
from depth_anything_v2.evaluation.pictures import Panel, worst_records
from depth_anything_v2.evaluation.records import Record
from depth_anything_v2.evaluation.statistics import HIGHER_IS_BETTER, compare, estimate
from depth_anything_v2.io.atomic import atomic_path, make_folder
from depth_anything_v2.io.depth_files import write_image
from depth_anything_v2.version import __version__

FORMAT = 1
MOST_SCENES = 40  # in the table by scene; with more, only kinds of scenes are shown
WORST = 8

METRIC_NAMES = {
    "order": "Order",
    "abs_rel": "AbsRel",
    "delta1": "delta1",
    "delta2": "delta2",
    "delta3": "delta3",
    "sq_rel": "SqRel",
    "rmse": "RMSE",
    "rmse_log": "RMSE log",
    "log10": "log10",
    "silog": "SILog",
    "boundary_f1": "Boundary F1",
    "accuracy": "Pair accuracy",
    "tae": "TAE",
    "tae_truth": "TAE of the truth",
}
METRIC_MEANINGS = {
    "order": "share of random pixel pairs, more than 10 % apart in true depth, whose order is right",
    "abs_rel": "mean of |depth - truth| / truth",
    "delta1": "share of pixels with max(depth / truth, truth / depth) below 1.25",
    "delta2": "the same, below 1.25 squared",
    "delta3": "the same, below 1.25 cubed",
    "sq_rel": "mean of (depth - truth) squared / truth",
    "rmse": "root of the mean squared error, in the unit of the truth",
    "rmse_log": "the same of natural logarithms",
    "log10": "mean difference of decimal logarithms",
    "silog": "root of mean(d^2) - 0.5 mean(d)^2, d the difference of natural logarithms",
    "boundary_f1": "scale-invariant boundary F1 of Depth Pro",
    "accuracy": "share of point pairs whose nearer point was found; a tie is wrong",
    "tae": "temporal alignment error: relative difference between depth moved into the next frame by the camera's "
    "motion and depth predicted there, where both frames see the point (Video Depth Anything)",
    "tae_truth": "the same of the true depth: the least that can be reached",
}


def build_report(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Return the report of one evaluation, or of two with their paired comparison (second minus first), as JSON data.

    Raises OptionError when two evaluations are not of one benchmark on the same data.
    """
    first = evaluations[0]
    for other in evaluations[1:]:
        if other.benchmark.digest != first.benchmark.digest or other.data != first.data:
            raise OptionError("two evaluations can be compared only on one benchmark and the same data")
    benchmark = first.benchmark
    report: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "benchmark": {**json.loads(json.dumps(dataclasses.asdict(benchmark))), "digest": benchmark.digest},
        "protocol": _protocol(evaluations),
        "data": first.data,
        "unit": benchmark.unit,
        "metrics": {m: _metric(m) for m in benchmark.metrics},
        "models": [_model(evaluation) for evaluation in evaluations],
        "comparison": [],
    }
    if len(evaluations) == 2:
        for metric in benchmark.metrics:
            found = compare(evaluations[0].records, evaluations[1].records, metric, benchmark.mean)
            report["comparison"].append({**_tidy(dataclasses.asdict(found)), "verdict": found.verdict})
    return report


def _metric(metric: str) -> dict[str, Any]:
    better = "higher" if metric in HIGHER_IS_BETTER else "lower"
    return {"name": METRIC_NAMES[metric], "better": better, "meaning": METRIC_MEANINGS[metric]}


def _protocol(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    said = evaluations[0].benchmark.describe()
    used = list(dict.fromkeys(evaluation.alignment for evaluation in evaluations if evaluation.alignment))
    if len(used) == 1:
        said["Alignment"] = ALIGNMENTS[used[0]]
        if evaluations[0].benchmark.task == "video":
            said["Alignment"] = said["Alignment"].replace("per image", "per clip")
    for evaluation in evaluations if len(used) > 1 else ():
        said[f"Alignment of {evaluation.model}"] = ALIGNMENTS[evaluation.alignment or "none"]
    said["Intervals"] = "95 %, by bootstrap over scenes (5,000 draws)"
    return said


def _model(evaluation: Evaluation) -> dict[str, Any]:
    benchmark, records = evaluation.benchmark, evaluation.records
    scored = evaluation.count("scored")
    published, why = benchmark.published_for(evaluation.alignment, scored, evaluation.limited)
    return {
        "name": evaluation.model,
        "about": evaluation.about,
        "alignment": evaluation.alignment,
        "counts": {status: evaluation.count(status) for status in ("scored", "skipped", "failed")},
        "limited": evaluation.limited,
        "seconds": round(evaluation.seconds, 2),
        "pairs": int(sum(r.weight for r in records)) if benchmark.task == "pairs" else None,
        "ties": sum(r.ties for r in records) if benchmark.task == "pairs" else None,
        "upside_down": sum(r.upside_down for r in records),
        "estimates": _estimates(records, evaluation),
        "groups": _parts(records, evaluation, lambda record: record.group, most=MOST_SCENES),
        "scenes": _parts(records, evaluation, lambda record: record.scene, most=MOST_SCENES),
        "published": [dataclasses.asdict(group) for group in published],
        "published_note": why,
        "worst": [_record(record) for record in worst_records(evaluation, WORST)],
        "not_scored": [_record(record) for record in records if record.status != "scored"],
        "records": [_record(record) for record in records],
    }


def _estimates(records: Sequence[Record], evaluation: Evaluation) -> dict[str, Any]:
    found = (estimate(records, metric, evaluation.benchmark.mean) for metric in evaluation.benchmark.metrics)
    return {one.metric: _tidy(dataclasses.asdict(one)) for one in found}


def _parts(
    records: Sequence[Record], evaluation: Evaluation, key: Callable[[Record], str], most: int
) -> list[dict[str, Any]]:
    """Return estimates for each value of `key`; none when there is one value only, or too many, or one per image."""
    scored = [record for record in records if record.status == "scored"]
    names = sorted({key(record) for record in scored})
    if not 2 <= len(names) <= most or len(names) == len(scored):
        return []
    parts = {name: [record for record in scored if key(record) == name] for name in names}
    return [{"name": name or "other", "estimates": _estimates(part, evaluation)} for name, part in parts.items()]


def _record(record: Record) -> dict[str, Any]:
    data = dataclasses.asdict(record)
    tidy: dict[str, Any] = _tidy({key: value for key, value in data.items() if value not in (None, "", False, {})})
    return tidy


def _tidy(value: Any) -> Any:
    """Return JSON data with None for what is not a number: NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(
    folder: str | Path, evaluations: Sequence[Evaluation], panels: Sequence[Sequence[Panel]] = ()
) -> dict[str, Any]:
    """Write report.json, report.md, report.html and pictures/ into `folder`, and return the JSON data.

    panels: the worst samples' pictures of each evaluation (`pictures.worst_panels`). The HTML page holds its pictures
    and needs nothing else. Raises OutputError; a file that is there is replaced when the new one is complete.
    """
    from depth_anything_v2.evaluation.html import html_page
    from depth_anything_v2.evaluation.markdown import markdown_page

    folder = Path(folder)
    report = build_report(evaluations)
    make_folder(folder / "pictures" if any(panels) else folder)
    for number, group in enumerate(panels):
        for panel, name in zip(group, picture_names(number, group), strict=True):
            write_image(folder / "pictures" / name, panel.row())
    text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    pages = {"report.json": text, "report.md": markdown_page(report, panels), "report.html": html_page(report, panels)}
    for name, page in pages.items():
        with atomic_path(folder / name) as file:
            file.write_text(page, encoding="utf-8")
    return report


def picture_names(model: int, panels: Sequence[Panel]) -> list[str]:
    """Return the file names of a model's panels in pictures/."""
    return [f"{'ab'[model]}-worst-{rank + 1:02d}.png" for rank in range(len(panels))]


def figure(value: float | None) -> str:
    """Return a metric's value as it is shown: three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Return a difference as it is shown."""
    return "–" if value is None else f"{value:+.3f}"


def interval(part: dict[str, Any], shown: Callable[[float | None], str] = figure) -> str:
    """Return '0.812 to 0.853', or a dash."""
    return "–" if part.get("low") is None else f"{shown(part['low'])} to {shown(part['high'])}"
