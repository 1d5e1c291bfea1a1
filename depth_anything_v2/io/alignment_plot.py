"""A picture of an alignment: how the measured points lie to the line fitted through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from depth_anything_v2.alignment import Alignment
from depth_anything_v2.io.plots import check_plot, new_figure, save_figure

_MAX_DOTS = 5000
_GOOD, _BAD, _LINE = "#1b6ca8", "#c8401f", "#333333"


def plot_alignment(alignment: Alignment, path: str | Path) -> Path:
    """Write two diagrams side by side, inlier and outlier points marked, and return the path.

    Left, what was fitted: inverse depth measured over predicted, with the line. Right, what comes of it: metres after
    alignment over metres measured, on logarithmic axes. Raises OptionError, MissingExtraError, OutputError.
    """
    path = check_plot(path)
    figure = new_figure(10, 4.8)
    fitted, compared = figure.subplots(1, 2)
    inliers, metres, aligned = alignment.fit.inliers, alignment.measured_m, alignment.aligned_m
    some = np.random.default_rng(0).permutation(inliers.size)[:_MAX_DOTS]
    size = 28 if some.size < 300 else 6
    for chosen, colour, mark, name in ((inliers, _GOOD, "o", "inliers"), (~inliers, _BAD, "x", "outliers")):
        shown = some[chosen[some]]
        style: dict[str, Any] = {"s": size, "c": colour, "marker": mark, "linewidths": 1, "zorder": 2}
        fitted.scatter(alignment.predicted[shown], 1 / metres[shown], label=f"{int(chosen.sum())} {name}", **style)
        finite = shown[np.isfinite(aligned[shown])]
        compared.scatter(metres[finite], aligned[finite], **style)
    ends = np.array([alignment.predicted.min(), alignment.predicted.max()])
    fitted.plot(ends, alignment.fit.scale * ends + alignment.fit.shift, color=_LINE, zorder=3, label="fit")
    what = "predicted relative inverse depth" if alignment.kind == "relative" else "predicted inverse depth (1/m)"
    fitted.set(xlabel=what, ylabel="measured inverse depth (1/m)", title="The fit")
    fitted.legend()
    span = np.array([metres.min() * 0.8, metres.max() * 1.25])
    compared.plot(span, span, color=_LINE, zorder=1)
    error = float(np.median(alignment.errors[inliers]))
    compared.set(
        xscale="log",
        yscale="log",
        xlim=span,
        ylim=span,
        xlabel="measured (m)",
        ylabel="aligned (m)",
        title=f"Metres; typical error of the inliers {error:.1%}",
    )
    ticks = [step * 10.0**power for power in range(-4, 7) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if span[0] <= tick <= span[1]]
    for axis in (compared.xaxis, compared.yaxis):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    for axes in (fitted, compared):
        axes.grid(alpha=0.3)
    return save_figure(figure, path)
