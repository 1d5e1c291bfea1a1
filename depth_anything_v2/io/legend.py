"""The bar beside a coloured depth map: which colour is how far, with metres where the numbers are metres."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import OptionError
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.prediction import SATURATION, DepthPrediction

ValueRange = tuple[float, float] | Literal["robust"] | None
ROBUST_PERCENTILES = (2.0, 98.0)
MIN_HEIGHT = 64  # two lines of text above each other, and a bar that is one
_INK, _PAPER = (32, 32, 32), (255, 255, 255)


def shown_range(prediction: DepthPrediction, value_range: ValueRange) -> tuple[float, float] | None:
    """Return the two values at the ends of the colours, None where there is no valid pixel.

    value_range: as it is; 'robust': percentiles 2 and 98 of the valid pixels, so that a few outliers or
    the sky don't take the colours from the rest; None: the smallest and largest value that is shown. The
    two are equal in a flat map.
    """
    if isinstance(value_range, tuple):
        return value_range
    chosen = prediction.depth[np.isfinite(prediction.depth) & ~masked(prediction)]
    if value_range == "robust" and prediction.valid.any():
        chosen = prediction.depth[prediction.valid & np.isfinite(prediction.depth)]
    if not chosen.size:
        return None
    low, high = np.percentile(chosen, ROBUST_PERCENTILES) if value_range == "robust" else (chosen.min(), chosen.max())
    return float(low), float(high)


def check_range(value_range: ValueRange, kind: Kind) -> None:
    """Raise OptionError for a range in metres over relative depth, or one whose numbers make no sense."""
    if not isinstance(value_range, tuple):
        return
    near, far = value_range
    if not (math.isfinite(near) and math.isfinite(far) and 0 <= near < far):
        raise OptionError(f"a range is NEAR,FAR in metres, 0 or more and the nearer first, not {near:g},{far:g}")
    if kind == "relative":
        raise OptionError(
            f"the range {near:g},{far:g} is in metres, and relative depth has none: use a metric checkpoint, align it "
            "to metres first, or take the range 'robust'"
        )


def parse_range(text: str) -> tuple[float, float] | Literal["robust"]:
    """Return the range that 'NEAR,FAR' (metres) or 'robust' stands for. Raises OptionError."""
    if text.strip().lower() == "robust":
        return "robust"
    try:
        near, far = (float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"a range is NEAR,FAR in metres (0.5,20), or 'robust', not '{text}'") from error
    check_range((near, far), "metric")
    return near, far


def masked(prediction: DepthPrediction) -> npt.NDArray[np.bool_]:
    """Return (H, W) bool: pixels that are invalid although their value is not, as a mask makes them."""
    if prediction.valid.all():
        return np.zeros(prediction.depth.shape, dtype=bool)
    return prediction.replace(valid=None).valid & ~prediction.valid


def coloured(
    prediction: DepthPrediction, colormap: str = "spectral", value_range: ValueRange = None, *, legend: bool = False
) -> npt.NDArray[np.uint8]:
    """Return an (H, W, 3) RGB picture as `colorize` makes it, masked pixels black; legend: the bar beside it.

    A picture with a legend is wider, and at least 64 pixels high (white below it).
    """
    hidden = masked(prediction)
    partly, ends = bool(hidden.any()), None
    if legend or value_range is not None or partly:
        ends = shown_range(prediction, value_range)
    # A map as a whole is left to `colorize`, which scales it in the original's arithmetic.
    scaled = ends is not None and ends[0] < ends[1] and (value_range is not None or partly)
    picture = colorize(prediction, colormap, ends if scaled else None)
    if partly:
        picture[hidden] = 0
    if not legend:
        return picture
    height = max(prediction.height, MIN_HEIGHT)
    bar = draw_legend(prediction, colormap, ends, height)
    below = np.full((height - prediction.height, prediction.width, 3), 255, np.uint8)
    return np.concatenate([np.concatenate([picture, below]), bar], axis=1)


def draw_legend(
    prediction: DepthPrediction, colormap: str, ends: tuple[float, float] | None, height: int
) -> npt.NDArray[np.uint8]:
    """Return (height, W, 3): a bar from near (below) to far (above), in the colours of `colorize`.

    ends: the two values, None where there is no valid pixel. Metric: ticks at round metres, '>' and '<' at the ends
    where values lie beyond them. Relative: no numbers, they have no unit.
    """
    from PIL import Image, ImageDraw, ImageFont

    size = int(np.clip(height / 24, 11, 40))
    font = ImageFont.load_default(size)
    top, bottom = round(2.8 * size), height - round(1.7 * size)
    bar_left, bar_width = size // 2, max(round(0.9 * size), 8)
    labels = [] if ends is None else _labels(prediction, ends, max(2, (bottom - top) // (3 * size)))
    title = "no unit" if prediction.kind == "relative" else "metres" + ", ray" * (prediction.geometry == "ray")
    words = ["near", "far", title, *(text for text, _ in labels)]
    text_left = bar_left + bar_width + size // 2
    titles = max(font.getlength(word) for word in ("near", "far", title)) + bar_left
    width = math.ceil(max(titles, text_left + max((font.getlength(text) for text in words[3:]), default=0)) + size // 2)
    panel = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(panel)
    rows = bottom - top
    near_first = prediction.kind == "metric"
    ends = ends or (0.0, 0.0)
    ramp = np.linspace(*(ends[::-1] if near_first else ends), rows, dtype=np.float32)[:, None]
    bar = colorize(
        DepthPrediction(np.repeat(ramp, bar_width, axis=1), prediction.kind),
        colormap,
        ends if ends[0] < ends[1] else None,
    )
    panel.paste(Image.fromarray(bar), (bar_left, top))
    draw.rectangle((bar_left, top, bar_left + bar_width - 1, bottom - 1), outline=_INK)
    draw.text((bar_left, size * 0.2), title, _INK, font)
    draw.text((bar_left, size * 1.4), "far", _INK, font)
    draw.text((bar_left, bottom + size * 0.2), "near", _INK, font)
    for text, share in labels:
        y = bottom - 1 - share * (rows - 1)
        draw.line((bar_left + bar_width, y, bar_left + bar_width + size // 4, y), _INK)
        draw.text((text_left, y), text, _INK, font, anchor="lm")
    return np.asarray(panel, dtype=np.uint8)


def _labels(prediction: DepthPrediction, ends: tuple[float, float], most: int) -> list[tuple[str, float]]:
    """Return texts and their places on the bar, 0 at its near end; none for relative depth."""
    low, high = ends
    if prediction.kind != "metric":
        return []
    if not low < high:
        return [(f"{low:.3g} m", 0.5)]
    seen = ~masked(prediction)
    depth, saturated = prediction.depth[seen], prediction.depth[seen & ~prediction.valid]
    below = bool((depth < low).any())
    above = bool((depth > high).any() or (saturated >= SATURATION * high).any())
    step = _round_step((high - low) / most)
    inner = [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
    inner = [value for value in inner if min(value - low, high - value) > 0.6 * step]
    return [
        (f"{'< ' * below}{_metres(low, step)}", 0.0),
        *((_metres(value, 10 * step), (value - low) / (high - low)) for value in inner),
        (f"{'> ' * above}{_metres(high, step)}", 1.0),
    ]


def _metres(value: float, step: float) -> str:
    """Return metres with as many places as tell a tenth of a step."""
    places = max(0, -math.floor(math.log10(step / 10) + 1e-9))
    return f"{value:.{places}f}".rstrip("0").rstrip(".") + " m" if places else f"{value:.0f} m"


def _round_step(span: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `span`."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= span * (1 - 1e-9))
