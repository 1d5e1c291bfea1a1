"""The doctor's pictures: how far things are, and what the pairs look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.datasets.inspection import EDGES, TILE, PairFacts, percentile
from depth_anything_v2.datasets.sample import Image
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.prediction import DepthPrediction

if TYPE_CHECKING:
    from PIL import ImageDraw

_WIDTH, _HEIGHT = 960, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 76, 64
_COLOURS = ("#1f77b4", "#d95f02", "#2ca02c", "#7b3fa0", "#8c564b", "#555555")
_INK, _PALE, _TROUBLE = "#222222", "#dddddd", "#b00020"
_COLUMNS = 4
_CAPTION = 34
_GAP = 10


def histogram(facts: Sequence[PairFacts], title: str) -> Image:
    """Return a picture of the shares of valid pixels over distance (logarithmic), one line for each split."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    shares = _shares(facts)
    used = np.flatnonzero(sum(shares.values(), np.zeros(EDGES.size - 1)))
    first, last = max(0, int(used[0]) - 3), min(EDGES.size - 2, int(used[-1]) + 3)
    highest = max(float(share.max()) for share in shares.values())
    picture = Pictures.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    low, high = float(np.log10(EDGES[first])), float(np.log10(EDGES[last + 1]))

    def across(value: float) -> float:
        return float(_LEFT + (np.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT))

    def down(share: float) -> float:
        return _HEIGHT - _BOTTOM - share / (1.08 * highest) * (_HEIGHT - _TOP - _BOTTOM)

    kinds = {fact.kind for fact in facts if fact.counts is not None}
    unit = "metres" if kinds == {"metric"} else "no unit" if kinds == {"relative"} else "metres, or no unit"
    _axes(
        draw,
        across,
        down,
        (10**low, 10**high),
        highest,
        f"{'depth' if 'metric' in kinds else 'inverse depth'} ({unit})",
    )
    draw.text((_LEFT, 12), f"{title}: share of the valid pixels", fill=_INK, font=_font(18))
    place = float(_LEFT)
    for number, (split, share) in enumerate(shares.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [
            (across(EDGES[index + side]), down(share[index])) for index in range(first, last + 1) for side in (0, 1)
        ]
        draw.line(points, fill=colour, width=2 if number else 4)  # the same line of another split hides none
        median = percentile(share, 50)
        draw.line([(across(median), down(0)), (across(median), down(0) + 7)], fill=colour, width=3)
        label = f"{split or 'all'}: median {median:.3g}"
        draw.line([(place, 56), (place + 22, 56)], fill=colour, width=3)
        draw.text((place + 28, 47), label, fill=_INK, font=_font(14))
        place += 60 + draw.textlength(label, font=_font(14))
    return np.asarray(picture, dtype=np.uint8)


def _shares(facts: Sequence[PairFacts]) -> dict[str, npt.NDArray[np.float64]]:
    totals: dict[str, npt.NDArray[np.float64]] = {}
    for fact in facts:
        if fact.counts is not None:
            totals[fact.frame.split] = totals.get(fact.frame.split, np.zeros(EDGES.size - 1)) + fact.counts
    return {split: total / total.sum() for split, total in totals.items()}


def _axes(
    draw: ImageDraw.ImageDraw, across: Any, down: Any, limits: tuple[float, float], highest: float, label: str
) -> None:
    font = _font(13)
    for power in range(-3, 6):
        for step in (1, 2, 5):
            value = step * 10.0**power
            if limits[0] <= value <= limits[1]:
                x = across(value)
                draw.line([(x, _TOP), (x, down(0))], fill=_PALE)
                draw.text((x, down(0) + 10), f"{value:g}", fill=_INK, font=font, anchor="ma")
    every = next(s for s in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if highest / s <= 6)
    for number in range(int(1.08 * highest / every) + 1):
        y = down(number * every)
        draw.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], fill=_PALE if number else _INK)
        draw.text((_LEFT - 8, y), f"{100 * number * every:g} %", fill=_INK, font=font, anchor="rm")
    draw.text(((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14), label, fill=_INK, font=_font(14), anchor="ms")


def contact_sheet(facts: Sequence[PairFacts], title: str) -> Image:
    """Return a picture of the pairs whose pictures were kept: photograph, coloured depth, name, range and share valid.

    Near is red; what is not valid is black. Each map has its own range, of the 2nd to the 98th percentile.
    """
    from PIL import Image as Pictures
    from PIL import ImageDraw

    shown = [(fact, fact.picture) for fact in facts if fact.picture is not None]
    tallest = max(small.shape[0] for _, small in shown)
    cell_width, cell_height = 2 * TILE + _GAP, tallest + _CAPTION + _GAP
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    sheet = Pictures.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP + 30), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text(
        (_GAP, 8),
        f"{title}: {len(shown)} of {len(facts)} pairs, near is red, black is not valid",
        fill=_INK,
        font=_font(15),
    )
    for number, (fact, small) in enumerate(shown):
        x, y = _GAP + number % columns * cell_width, 30 + _GAP + number // columns * cell_height
        sheet.paste(Pictures.fromarray(small), (x, y))
        if fact.depth is not None:
            sheet.paste(Pictures.fromarray(_coloured(fact)), (x + TILE, y))
        else:
            draw.text((x + TILE + 8, y + 8), fact.trouble or "no valid pixel", fill=_TROUBLE, font=_font(13))
        draw.text((x, y + tallest + 3), _shortened(draw, _name(fact), cell_width - _GAP), fill=_INK, font=_font(12))
        draw.text((x, y + tallest + 17), _described(fact), fill=_INK, font=_font(12))
    return np.asarray(sheet, dtype=np.uint8)


def _coloured(fact: PairFacts) -> Image:
    depth = np.asarray(fact.depth, dtype=np.float32)
    limits = (fact.spread.p2, fact.spread.p98) if fact.spread and fact.spread.p98 > fact.spread.p2 else None
    return colorize(DepthPrediction(depth, fact.kind), "spectral", limits)


def _name(fact: PairFacts) -> str:
    return f"{fact.frame.split}: {fact.name}" if fact.frame.split else fact.name


def _described(fact: PairFacts) -> str:
    if fact.spread is None:
        return fact.trouble or "no valid pixel"
    unit = " m" if fact.kind == "metric" else ""
    low, high = (f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" for value in (fact.spread.p2, fact.spread.p98))
    return f"{low} to {high}{unit}, {_percent(fact.valid)} valid"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _shortened(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """Return the end of a text that fits: the end of a path tells more than its beginning."""
    if draw.textlength(text, font=_font(12)) <= width:
        return text
    while len(text) > 1 and draw.textlength("..." + text, font=_font(12)) > width:
        text = text[1:]
    return "..." + text


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
