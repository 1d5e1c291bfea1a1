"""The report as one HTML page that holds its pictures and loads nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from depth_anything_v2.evaluation.markdown import arrow, images, remarks, said_counts
from depth_anything_v2.evaluation.pictures import Panel, Picture
from depth_anything_v2.evaluation.report import figure, interval, signed

STYLE = Path(__file__).parent / "report.css"
_SCALE_STEPS = 9


def html_page(report: dict[str, Any], panels: Sequence[Sequence[Panel]] = ()) -> str:
    """Return the page of what `report.build_report` returned; pictures are embedded."""
    names = " and ".join(model["name"] for model in report["models"])
    title = f"{report['benchmark']['title']}: {names}"
    body = [f"<h1>{escape(title)}</h1>", _results(report)]
    if report["comparison"]:
        body.append(_comparison(report))
    for number, model in enumerate(report["models"]):
        body.append(_model(report, model, panels[number] if number < len(panels) else ()))
    body.append(_protocol(report))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n<footer>depth-anything-v2 {escape(report['version'])}, benchmark {report['benchmark']['name']} "
        f"{report['benchmark']['digest']}</footer>\n</main>\n</body>\n</html>\n"
    )


def _results(report: dict[str, Any]) -> str:
    metrics = report["metrics"]
    heads = ["", *(f"{m['name']} {arrow(m)}" for m in metrics.values()), report["unit"]]
    rows = []
    for model in report["models"]:
        cells = [f"<b>{figure(e['mean'])}</b><small>{interval(e)}</small>" for e in model["estimates"].values()]
        rows.append([escape(model["name"]), *cells, said_counts(model)])
    said = report["protocol"].get("Alignment", "")
    parts = ["<section><h2>Results</h2>", _table(heads, rows, "results")]
    parts.append(f"<p class=note>{escape(f'Alignment: {said}. ' if said else '')}Small: 95 % interval over scenes.</p>")
    for note in dict.fromkeys(model["published_note"] for model in report["models"]):
        parts.append(f"<p class=note>{escape(note)}</p>")
    for group in {g["source"]: g for model in report["models"] for g in model["published"]}.values():
        published = [[escape(row["model"]), *(figure(row.get(key)) for key in metrics)] for row in group["rows"]]
        parts += [f"<h3>{escape(group['source'])}</h3>", _table(heads[:-1], published)]
    return "\n".join([*parts, "</section>"])


def _comparison(report: dict[str, Any]) -> str:
    first, second = (escape(model["name"]) for model in report["models"])
    widest = max((abs(v) for c in report["comparison"] for v in (c["low"], c["high"], c["difference"]) if v), default=1)
    rows = [
        [
            report["metrics"][c["metric"]]["name"],
            figure(c["first"]),
            figure(c["second"]),
            f"<b>{signed(c['difference'])}</b><small>{interval(c, signed)}</small>",
            _whisker(c["low"], c["difference"], c["high"], -widest, widest, zero=True),
            f'<span class="{c["verdict"]}">{c["verdict"]}</span>',
            f"{c['better']} / {c['worse']} of {c['images']}",
        ]
        for c in report["comparison"]
    ]
    heads = ["", first, second, "difference", "", f"{second} is", "better / worse on"]
    said = "Paired by image: the interval is that of the difference. Undecided means that it holds 0."
    return f"<section><h2>Comparison</h2>\n{_table(heads, rows)}\n<p class=note>{said}</p></section>"


def _model(report: dict[str, Any], model: dict[str, Any], panels: Sequence[Panel]) -> str:
    about = {**model["about"], "": "; ".join(remarks(model))}
    said = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in about.items() if str(v))
    parts = [f"<section><h2>{escape(model['name'])}</h2>", f"<dl>{said}</dl>" if said else ""]
    for title, group in (("By kind of scene", model["groups"]), ("By scene", model["scenes"])):
        if group:
            parts += [f"<h3>{title}</h3>", _parts(report, group)]
    parts += ["<h3>Worst</h3>", _worst(report, model, panels)]
    if model["not_scored"]:
        items = (
            f"<li><b>{r['status']}</b> {escape(_shown(r.get('message', r['name'])))}</li>" for r in model["not_scored"]
        )
        parts.append(f"<h3>Not scored</h3><ul>{''.join(items)}</ul>")
    return "\n".join([*parts, "</section>"])


def _parts(report: dict[str, Any], group: Sequence[dict[str, Any]]) -> str:
    """Return a table by kind or by scene, with the first metric's interval drawn on one scale."""
    metrics = report["metrics"]
    first = next(iter(metrics))
    bounds = [
        v for part in group for v in (part["estimates"][first][k] for k in ("low", "mean", "high")) if v is not None
    ]
    low, high = min(bounds, default=0.0), max(bounds, default=1.0)
    rows = []
    for part in group:
        one = part["estimates"][first]
        drawn = _whisker(one["low"], one["mean"], one["high"], low, high)
        cells = (figure(e["mean"]) for e in part["estimates"].values())
        rows.append([escape(_shown(part["name"])), *cells, str(images(part)), drawn])
    heads = [
        "",
        *(m["name"] for m in metrics.values()),
        report["unit"],
        f"{metrics[first]['name']} {low:.2f} to {high:.2f}",
    ]
    return _table(heads, rows)


def _worst(report: dict[str, Any], model: dict[str, Any], panels: Sequence[Panel]) -> str:
    if not panels:
        rows = [
            [escape(_shown(r["name"])), *(figure(r["metrics"].get(key)) for key in report["metrics"])]
            for r in model["worst"]
        ]
        return _table(["", *(m["name"] for m in report["metrics"].values())], rows)
    cards = []
    for panel in panels:
        figures = ", ".join(
            f"{m['name']} {figure(panel.record.metrics.get(key))}" for key, m in report["metrics"].items()
        )
        shown = "".join(
            f'<figure><img alt="{escape(caption)}" src="{_data_uri(picture)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for caption, picture in panel.pictures
        )
        cards.append(
            f"<article><p><b>{escape(_shown(panel.record.name))}</b> <small>{figures}</small></p>"
            f"<div class=row>{shown}</div></article>"
        )
    return "\n".join([*cards, "" if report["benchmark"]["task"] == "pairs" else _legend()])


def _legend() -> str:
    """Return what the colours mean, as drawn with the same colour maps."""
    import numpy as np

    from depth_anything_v2.evaluation.pictures import WORST_ERROR
    from depth_anything_v2.io.colormaps import table

    bars = []
    steps = np.linspace(0, 255, _SCALE_STEPS).astype(int)
    for name, low, high in (("spectral_r", "far", "near"), ("magma", "error 0", f"{WORST_ERROR:.0%} or more")):
        colours = ", ".join(f"rgb({r} {g} {b})" for r, g, b in table(name)[steps])
        bars.append(f'<span>{low} <i style="background: linear-gradient(to right, {colours})"></i> {high}</span>')
    return f"<p class=legend>{''.join(bars)}<span>grey: does not count</span></p>"


def _protocol(report: dict[str, Any]) -> str:
    said = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in report["protocol"].items())
    if report["data"]:
        said += f"<dt>Data</dt><dd>{escape(_shown(report['data']))}</dd>"
    meanings = "".join(
        f"<dt>{m['name']}</dt><dd>{escape(m['meaning'])}; {m['better']} is better</dd>"
        for m in report["metrics"].values()
    )
    return (
        f"<section><h2>Protocol</h2><dl>{said}</dl></section>\n"
        f"<section><h2>What the figures are</h2><dl>{meanings}</dl></section>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table that scrolls by itself where the window is narrow; cells are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide {kind}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _whisker(
    low: float | None, middle: float | None, high: float | None, start: float, end: float, zero: bool = False
) -> str:
    """Return a dot with its interval on the scale start..end, as SVG."""
    if middle is None:
        return ""
    span = end - start or 1.0
    at = [6 + 128 * (value - start) / span for value in (middle if low is None else low, middle, high or middle)]
    axis = f'<line x1="{6 + 128 * -start / span:.1f}" x2="{6 + 128 * -start / span:.1f}" y1="1" y2="17" class=zero />'
    return (
        f'<svg viewBox="0 0 140 18" width="140" height="18" aria-hidden="true">{axis if zero else ""}'
        f'<line x1="{at[0]:.1f}" x2="{at[2]:.1f}" y1="9" y2="9" /><circle cx="{at[1]:.1f}" cy="9" r="4" /></svg>'
    )


def _data_uri(picture: Picture) -> str:
    import cv2

    encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
