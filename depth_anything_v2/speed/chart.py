"""A measurement as a bar chart, with matplotlib (the extra `plot`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from depth_anything_v2.engines.accuracy import MAX_RELATIVE_ERROR
from depth_anything_v2.io.plots import new_figure, save_figure
from depth_anything_v2.speed.benchmark import (
    FOLDER_S,
    PEAK_BYTES,
    START_S,
    BenchmarkResult,
    Measured,
    model_key,
    size_name,
)
from depth_anything_v2.speed.report import MIB, busy, milliseconds

_COLOURS = {"torch": "#7b8794", "torch-compile": "#4c5866", "openvino": "#1b6ca8", "onnx": "#d08a1d"}
_HATCHES = ("", "//", "..", "xx")


def draw_chart(result: BenchmarkResult, path: Path) -> Path:
    """Write a panel of bars for each figure, a bar per contender, thin lines from the best to the worst round.

    Raises MissingExtraError, OutputError.
    """
    ran, sizes = result.ran, result.sizes
    rows = len(ran) * max(1, 0.55 * len(sizes))
    figure = new_figure(15, 2.6 + 0.42 * rows)
    panels = figure.subplots(1, 5, sharey=True, width_ratios=(1, 1.25, 1, 1, 1))
    photos = result.options.photos
    _bars(panels[0], ran, [START_S], lambda value: value, "{:.2f}".format)
    panels[0].set_title("Start to file\ns, less is better")
    _bars(panels[1], ran, list(map(model_key, sizes)), lambda value: value * 1000, lambda v: milliseconds(v / 1000))
    panels[1].set_title(f"Network alone{f', {size_name(sizes[0])}' if len(sizes) == 1 else ''}\nms, less is better")
    if len(sizes) > 1:
        _name_sizes(panels[1], [size_name(size) for size in sizes])
    _bars(panels[2], ran, [FOLDER_S], lambda value: photos / value, "{:.2f}".format)
    panels[2].set_title(f"{photos} {'photographs' if photos > 1 else 'photograph'}\nimages/s, more is better")
    _bars(panels[3], ran, [PEAK_BYTES], lambda value: value / MIB, "{:.0f}".format)
    panels[3].set_title("Peak memory\nMiB, less is better")
    _drift(panels[4], ran)
    panels[0].set_yticks(range(len(ran)), [found.contender.label for found in ran])
    panels[0].invert_yaxis()
    cores = result.machine.get("cores")
    figure.suptitle(f"{result.model['name']} on {result.machine['processor']}{f', {cores} cores' if cores else ''}")
    figure.supxlabel(
        f"medians of {result.options.rounds}, lines from the best to the worst; dashed: the limit of the precision "
        f"'auto'; {busy(result)}",
        fontsize="small",
    )
    return save_figure(figure, path)


def _bars(
    axes: Any,
    ran: Sequence[Measured],
    names: Sequence[str],
    scale: Callable[[float], float],
    written: Callable[[float], str],
) -> None:
    """Draw one bar for each contender and figure, with its median as a number."""
    height, top = 0.76 / len(names), 0.0
    for row, found in enumerate(ran):
        for number, name in enumerate(names):
            middle = scale(found.median(name))
            if not math.isfinite(middle):
                axes.annotate("not known", (0, row), (4, 0), textcoords="offset points", va="center")
                continue
            ends = sorted(map(scale, found.figures[name]))
            at = row + (number - (len(names) - 1) / 2) * height
            axes.barh(at, middle, height * 0.94, hatch=_HATCHES[number % len(_HATCHES)], **_look(found))
            axes.plot([ends[0], ends[-1]], [at, at], color="black", linewidth=1.2)
            label_at = max(middle, ends[-1])
            axes.annotate(written(middle), (label_at, at), (4, 0), textcoords="offset points", va="center")
            top = max(top, label_at)
    axes.set_xlim(0, top * 1.28 or 1)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _look(found: Measured) -> dict[str, Any]:
    """Return colour (the engine) and strength (the precision) of a bar."""
    full = found.contender.precision == "float32"
    return {
        "color": _COLOURS.get(found.contender.engine, "#666666"),
        "alpha": 1.0 if full else 0.65,
        "edgecolor": "white",
    }


def _name_sizes(axes: Any, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    looks = [
        Patch(facecolor="#999999", edgecolor="white", hatch=_HATCHES[number % len(_HATCHES)], label=name)
        for number, name in enumerate(names)
    ]
    axes.legend(handles=looks, fontsize="small")


def _drift(axes: Any, ran: Sequence[Measured]) -> None:
    """Draw the drift on a logarithmic axis, with the limit of the accuracy gate."""
    known = [found.drift.relative_error for found in ran if found.drift]
    shown = [value for value in known if math.isfinite(value) and value > 0]
    low = 10 ** math.floor(math.log10(min([*shown, MAX_RELATIVE_ERROR]) * 0.5))
    high = max([*shown, MAX_RELATIVE_ERROR]) * 300
    axes.set(xscale="log", xlim=(low, high), title="Drift from float32\nrelative error, less is better")
    axes.axvline(MAX_RELATIVE_ERROR, color="#c8401f", linewidth=1, linestyle="--")
    for row, found in enumerate(ran):
        if found.drift is None:
            axes.annotate("reference", (low, row), (4, 0), textcoords="offset points", va="center")
            continue
        error = found.drift.relative_error
        end = min(max(error, low), high / 100)
        axes.barh(row, end, 0.72, **_look(found))
        axes.annotate(f"{error:.1e}", (end, row), (4, 0), textcoords="offset points", va="center")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
