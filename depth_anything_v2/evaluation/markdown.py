"""The report as Markdown; pictures are linked from the folder beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from depth_anything_v2.evaluation.pictures import Panel
from depth_anything_v2.evaluation.report import figure, interval, picture_names, signed


def markdown_page(report: dict[str, Any], panels: Sequence[Sequence[Panel]] = ()) -> str:
    """Return the page of what `report.build_report` returned."""
    names = [escape(model["name"]) for model in report["models"]]
    lines = [f"# {report['benchmark']['title']}: {' and '.join(names)}", "", *protocol(report), ""]
    lines += _results(report)
    if report["comparison"]:
        lines += _comparison(report)
    for number, model in enumerate(report["models"]):
        lines += _model(report, model, panels[number] if number < len(panels) else (), number)
    lines += ["## What the figures are", ""]
    lines += [f"- **{m['name']}** ({m['better']} is better): {m['meaning']}." for m in report["metrics"].values()]
    return "\n".join(lines) + "\n"


def protocol(report: dict[str, Any]) -> list[str]:
    return [f"- **{escape(key)}**: {escape(value)}" for key, value in report["protocol"].items()]


def _results(report: dict[str, Any]) -> list[str]:
    metrics = report["metrics"]
    heads = [f"{m['name']} {arrow(m)}" for m in metrics.values()]
    rows = []
    for model in report["models"]:
        cells = (f"{figure(e['mean'])} ({interval(e)})" for e in model["estimates"].values())
        rows.append([escape(model["name"]), *cells, said_counts(model)])
    lines = ["## Results", "", *table(["", *heads, report["unit"]], rows), ""]
    for note in dict.fromkeys(model["published_note"] for model in report["models"]):
        lines += [note, ""]
    for group in {g["source"]: g for model in report["models"] for g in model["published"]}.values():
        rows = [[row["model"], *(figure(row.get(key)) for key in metrics)] for row in group["rows"]]
        lines += [f"{escape(group['source'])}:", "", *table(["", *heads], rows), ""]
    return lines


def _comparison(report: dict[str, Any]) -> list[str]:
    first, second = (escape(model["name"]) for model in report["models"])
    heads = ["", first, second, "difference", "95 % interval", f"{second} is", "better / worse on"]
    rows = [
        [
            report["metrics"][c["metric"]]["name"],
            figure(c["first"]),
            figure(c["second"]),
            signed(c["difference"]),
            interval(c, signed),
            c["verdict"],
            f"{c['better']} / {c['worse']} of {c['images']}",
        ]
        for c in report["comparison"]
    ]
    said = "Paired by image; the interval is that of the difference. *Undecided* means that it holds 0."
    return ["## Comparison", "", said, "", *table(heads, rows), ""]


def _model(report: dict[str, Any], model: dict[str, Any], panels: Sequence[Panel], number: int) -> list[str]:
    metrics = report["metrics"]
    lines = [f"## {escape(model['name'])}", ""]
    lines += [f"- {escape(key)}: {escape(str(value))}" for key, value in model["about"].items()]
    lines += [f"- {said}" for said in remarks(model)]
    for title, parts in (("By kind of scene", model["groups"]), ("By scene", model["scenes"])):
        if parts:
            rows = [
                [escape(part["name"]), *(figure(e["mean"]) for e in part["estimates"].values()), str(images(part))]
                for part in parts
            ]
            lines += [
                "",
                f"### {title}",
                "",
                *table(["", *(m["name"] for m in metrics.values()), report["unit"]], rows),
            ]
    lines += ["", "### Worst", ""]
    rows = [[escape(r["name"]), *(figure(r["metrics"].get(key)) for key in metrics)] for r in model["worst"]]
    lines += table(["", *(m["name"] for m in metrics.values())], rows)
    for panel, name in zip(panels, picture_names(number, panels), strict=True):
        captions = ", ".join(caption for caption, _ in panel.pictures)
        lines += [
            "",
            f"{escape(panel.record.name)} ({captions}):",
            "",
            f"![{escape(panel.record.name)}](pictures/{name})",
        ]
    if model["not_scored"]:
        lines += ["", "### Not scored", ""]
        lines += [f"- {r['status']}: {escape(r.get('message', r['name']))}" for r in model["not_scored"]]
    return [*lines, ""]


def remarks(model: dict[str, Any]) -> list[str]:
    """Return sentences on what a reader of the figures must know: ties, fits that failed, a part of the set."""
    said = []
    if model["ties"] is not None:
        said.append(f"{model['pairs']} pairs, {model['ties']} of them tied (counted as wrong)")
    if model["upside_down"]:
        said.append(
            f"on {model['upside_down']} the best scale was negative (far taken for near): a constant was scored instead"
        )
    if model["limited"]:
        said.append("only the first samples of the set were scored")
    return said


def said_counts(model: dict[str, Any]) -> str:
    counts = model["counts"]
    more = [f"{counts[status]} {status}" for status in ("skipped", "failed") if counts[status]]
    return ", ".join([str(counts["scored"]), *more])


def images(part: dict[str, Any]) -> int:
    return max(int(e["images"]) for e in part["estimates"].values())


def arrow(metric: dict[str, Any]) -> str:
    return "↑" if metric["better"] == "higher" else "↓"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [list(heads), ["---"] * len(heads), *(list(row) for row in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def escape(text: str) -> str:
    """Return text that Markdown shows as it is: names of files may hold anything."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return "".join("\\" + c if c in "\\`*_[]<>#" else c for c in shown)
