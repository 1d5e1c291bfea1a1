"""Diagrams of depth maps with matplotlib (the extra `plot`): side by side, along a line, how often which depth."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.alignment import fit_scale_shift
from depth_anything_v2.errors import DepthKindError, InputError, MissingExtraError, OptionError
from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.prediction import DepthPrediction

PLOT_SUFFIXES: tuple[str, ...] = (".png", ".pdf", ".svg")

Point = tuple[float, float]
_BINS = 120
_MAX_SIDE = 1000  # of a map in the diagram: more pixels than the diagram has
_RAMP = 256


@dataclass(frozen=True)
class PlotOptions:
    """What a diagram shows below the maps.

    profile: (x1, y1, x2, y2) in pixels, the line of the cross-section. histogram: how often which depth.
    value_range: (low, high) at the ends of colours and axes, in metres; None: all valid values. colormap: of the
    maps. Raises OptionError for a line of no length, or a range whose numbers make no sense.
    """

    profile: tuple[float, float, float, float] | None = None
    histogram: bool = False
    value_range: tuple[float, float] | None = None
    colormap: str = "spectral"

    def __post_init__(self) -> None:
        if self.profile is not None and math.dist(self.profile[:2], self.profile[2:]) < 1:
            raise OptionError("a cross-section goes from X1,Y1 to X2,Y2, at least one pixel apart")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise OptionError("a range is two numbers, the smaller one first")


def check_plot(path: str | Path) -> Path:
    """Return the path. Raises OptionError for a suffix that is none of PLOT_SUFFIXES, MissingExtraError (`plot`)."""
    path = Path(path)
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise OptionError(f"a plot is written as {', '.join(PLOT_SUFFIXES)}: '{path.name}' has none of these suffixes")
    new_figure(1, 1)
    return path


def new_figure(width_in: float, height_in: float) -> Any:
    """Return a matplotlib Figure with its own renderer, which needs no display and keeps no global state.

    Raises MissingExtraError (`plot`).
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "drawing a plot") from error
    return Figure(figsize=(width_in, height_in), dpi=110, layout="constrained")


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure in the format of the suffix, whole or not at all. Raises OutputError."""
    drawn = io.BytesIO()  # a file that cannot be written is then said by `atomic_path`, and not by matplotlib
    figure.savefig(drawn, format=path.suffix[1:].lower())
    with atomic_path(path) as file:
        file.write_bytes(drawn.getvalue())
    return path


def plot_maps(
    predictions: Sequence[DepthPrediction],
    names: Sequence[str],
    path: str | Path,
    options: PlotOptions | None = None,
) -> Path:
    """Write a diagram of one or several depth maps, all on one scale, and return the path.

    Relative maps have no common scale: the second and later ones are brought to the first by least squares (scale
    and shift) over the pixels valid in both, which their titles say. Invalid pixels are gaps.

    Raises DepthKindError for relative and metric maps together, InputError for maps of different sizes where they
    are compared pixel by pixel, or without a valid pixel, OptionError (suffix, a line outside the map, a range in
    metres for relative maps), MissingExtraError, OutputError.
    """
    options = options or PlotOptions()
    path = check_plot(path)
    predictions, titles = _on_one_scale(predictions, names)
    if options.value_range is not None and predictions[0].kind == "relative":
        raise OptionError("a range in metres says nothing of relative depth, which has no unit: leave it out")
    if options.profile is not None:
        _check_line(options.profile, predictions, names)
    below = [panel for panel, wanted in ((_profile, options.profile), (_histogram, options.histogram)) if wanted]
    columns = len(predictions)
    aspect = max(prediction.height / prediction.width for prediction in predictions)
    map_width = min(6.4, max(3.2, 12 / columns))
    width, map_height = map_width * columns + 1.2, map_width * aspect + 0.5
    figure = new_figure(max(6.4, width), map_height + 2.8 * len(below))
    grid = figure.add_gridspec(1 + len(below), columns, height_ratios=[map_height] + [2.8] * len(below))
    ends = options.value_range or _ends(predictions)
    axes = [figure.add_subplot(grid[0, column]) for column in range(columns)]
    for number, (prediction, title) in enumerate(zip(predictions, titles, strict=True)):
        _map(axes[number], prediction, title, ends, options, f"C{number}")
    _colour_bar(figure, axes, predictions[0], ends, options.colormap)
    for row, panel in enumerate(below, start=1):
        panel(figure.add_subplot(grid[row, :]), predictions, titles, ends, options)
    return save_figure(figure, path)


def profile(prediction: DepthPrediction, start: Point, end: Point) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Return distances from `start` in pixels and the values there, both (N,): one per pixel, the nearest one's.

    start, end: x, y in pixels, the centre of the top-left pixel is (0, 0). NaN where a pixel is invalid; nothing is
    interpolated, so that edges stay as sharp as they are.
    """
    length = math.dist(start, end)
    count = math.ceil(length) + 1
    share = np.linspace(0, 1, count)
    x = np.rint(start[0] + share * (end[0] - start[0])).astype(np.int64)
    y = np.rint(start[1] + share * (end[1] - start[1])).astype(np.int64)
    return share * length, np.where(prediction.valid[y, x], prediction.depth[y, x], np.float32(np.nan))


def _on_one_scale(
    predictions: Sequence[DepthPrediction], names: Sequence[str]
) -> tuple[list[DepthPrediction], list[str]]:
    if len({(prediction.kind, prediction.geometry) for prediction in predictions}) > 1:
        raise DepthKindError(
            "relative depth, metres and metres along the ray have no scale in common: plot them apart, or align the "
            "relative maps to metres first"
        )
    for prediction, name in zip(predictions, names, strict=True):
        if not prediction.valid.any():
            raise InputError(f"'{name}' has no valid pixel to plot")
    first = predictions[0]
    if first.kind == "metric" or len(predictions) == 1:
        return list(predictions), list(names)
    scaled, titles = [first], [names[0]]
    for prediction, name in zip(predictions[1:], names[1:], strict=True):
        both = first.valid & prediction.valid if first.valid.shape == prediction.valid.shape else None
        if both is None or not both.any():
            raise InputError(
                f"'{name}' and '{names[0]}' are relative, each on a scale of its own, and can only be compared where "
                f"they show the same picture at the same size"
            )
        scale, shift = fit_scale_shift(prediction.depth[both], first.depth[both])
        scaled.append(prediction.replace(depth=(scale * prediction.depth + shift).astype(np.float32)))
        titles.append(f"{name}\n(x {scale:.3g} {shift:+.3g}, fitted to the first)")
    return scaled, titles


def _check_line(
    line: tuple[float, float, float, float], predictions: Sequence[DepthPrediction], names: Sequence[str]
) -> None:
    height, width = predictions[0].depth.shape
    if any(prediction.depth.shape != (height, width) for prediction in predictions):
        raise InputError(f"a cross-section needs maps of one size, and '{names[0]}' is {width} x {height}")
    for x, y in (line[:2], line[2:]):
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise OptionError(
                f"the cross-section ends at {x:g},{y:g}, outside the map: x goes from 0 to {width - 1}, y from 0 to "
                f"{height - 1}"
            )


def _ends(predictions: Sequence[DepthPrediction]) -> tuple[float, float]:
    seen = [prediction.depth[prediction.valid & np.isfinite(prediction.depth)] for prediction in predictions]
    low, high = min(float(values.min()) for values in seen), max(float(values.max()) for values in seen)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _map(
    axes: Any, prediction: DepthPrediction, title: str, ends: tuple[float, float], options: PlotOptions, colour: str
) -> None:
    step = max(1, math.ceil(max(prediction.depth.shape) / _MAX_SIDE))
    shown = colorize(prediction, options.colormap, ends)
    shown[~prediction.valid] = 255
    extent = (-0.5, prediction.width - 0.5, prediction.height - 0.5, -0.5)
    axes.imshow(shown[::step, ::step], extent=extent, interpolation="nearest")
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("pixels")
    if options.profile is not None:
        x1, y1, x2, y2 = options.profile
        axes.plot([x1, x2], [y1, y2], color="white", linewidth=3)
        axes.plot([x1, x2], [y1, y2], color=colour, linewidth=1.5, marker="o", markersize=3)


def _colour_bar(
    figure: Any, axes: Sequence[Any], like: DepthPrediction, ends: tuple[float, float], colormap: str
) -> None:
    """Draw the scale of the colours, made by the function that made the maps."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    ramp = np.linspace(*ends, _RAMP, dtype=np.float32)[None, :]
    colours = colorize(DepthPrediction(ramp, like.kind), colormap, ends)[0] / 255
    mappable = ScalarMappable(Normalize(*ends), ListedColormap(colours))
    figure.colorbar(mappable, ax=list(axes), shrink=0.85, label=_label(like))


def _profile(
    axes: Any,
    predictions: Sequence[DepthPrediction],
    titles: Sequence[str],
    ends: tuple[float, float],
    options: PlotOptions,
) -> None:
    x1, y1, x2, y2 = options.profile or (0, 0, 1, 1)
    for prediction, title in zip(predictions, titles, strict=True):
        axes.plot(*profile(prediction, (x1, y1), (x2, y2)), label=title.splitlines()[0])
    axes.set(
        xlabel=f"pixels along the line from {x1:g},{y1:g} to {x2:g},{y2:g}",
        ylabel=_label(predictions[0]),
        title="Cross-section",
    )
    if options.value_range is not None:
        axes.set_ylim(*ends)
    axes.grid(alpha=0.3)
    if len(predictions) > 1:
        axes.legend()


def _histogram(
    axes: Any,
    predictions: Sequence[DepthPrediction],
    titles: Sequence[str],
    ends: tuple[float, float],
    options: PlotOptions,
) -> None:
    edges = np.linspace(*ends, _BINS + 1)
    for prediction, title in zip(predictions, titles, strict=True):
        values = prediction.depth[prediction.valid]
        share = np.histogram(values, edges)[0] / prediction.depth.size * 100
        left_out = 1 - prediction.valid.mean()
        label = title.splitlines()[0] + (f" ({left_out:.1%} invalid)" if left_out else "")
        axes.stairs(share, edges, label=label, fill=len(predictions) == 1, alpha=0.9)
    axes.set(xlabel=_label(predictions[0]), ylabel="% of the pixels", title="Histogram", xlim=ends)
    axes.grid(alpha=0.3)
    axes.legend()


def _label(prediction: DepthPrediction) -> str:
    return prediction.quantity if prediction.kind == "metric" else "inverse depth, no unit (larger is nearer)"
