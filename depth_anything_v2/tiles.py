"""High resolution by tiles: fine detail from crops of a picture, everything else from one pass over all of it.

A network sees a large picture much reduced, so its answer (the global pass) has blurred edges. A crop, seen at
the same network size, has sharp ones, but its own scale and shift, and poorer values far from its details: it
lacks the surroundings. So each tile is fitted to the global pass in inverse depth, in which they differ by an
affine map: once for all of it, robustly, which also tells whether it has anything in common with the global
pass; then in windows, as a guided filter does (He, Sun, Tang, Guided Image Filtering, 2013) with the tile as the
guide, so that slow changes stay those of the global pass and edges become those of the tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import AlignmentError, InputError, OptionError
from depth_anything_v2.robust_fit import fit_affine_robust
from depth_anything_v2.util.transform import resize_depth

Picture = npt.NDArray[Any]
FloatMap = npt.NDArray[np.float32]
Predict = Callable[[Sequence[Picture]], Sequence[FloatMap]]

FINEST = 4  # times finer than the global pass at most, unless a side is given: a crop needs some surroundings
LEAST = 1.5  # times: where tiles would not be so much finer, they are not worth their passes
OVERLAP = 0.5  # of the side, at least
SMALLEST_SIDE = 32

_WINDOW = 0.2  # of the side of a tile: half the side of the windows of the local fit
_BLUR = 2.0  # pixels of the global pass's network input: about how far its edges are spread (standard deviation)
_NOISE = 3e-4  # of the variance of the global pass in a tile: structure much below that is not to be stretched
_EXPLAINED = 0.5  # of the variance, in a window and in a tile: where a fit explains less, it fades out in proportion
_FLAT = 1e-5  # of the largest value: differences below are rounding, not structure
_FIT_SIDE = 32  # samples of the shorter side, at most, for the robust fit


@dataclass(frozen=True)
class TileGrid:
    """Square tiles that cover a picture of height x width pixels; tops, lefts: their first rows and columns."""

    height: int
    width: int
    side: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the (top, left) pixel of each tile, row by row."""
        return itertools.product(self.tops, self.lefts)

    def __str__(self) -> str:
        return f"{len(self)} tiles of {self.side} x {self.side} pixels"

    def row_weights(self) -> dict[int, FloatMap]:
        """Return for each top the (side,) weights of the rows: 0 at the borders inside the picture, sum 1."""
        return _axis_weights(self.tops, self.side, self.height)

    def column_weights(self) -> dict[int, FloatMap]:
        """Return the same for each left; the weight of a pixel of a tile is the product."""
        return _axis_weights(self.lefts, self.side, self.width)


@dataclass(frozen=True, eq=False)
class TiledDepth:
    """depth: (H, W) float32, in the numbers of the global pass. used: how many tiles had a share in it."""

    depth: FloatMap
    used: int


def plan_tiles(height: int, width: int, input_size: int, side: int | None = None) -> TileGrid | None:
    """Return the tiles for a picture of height x width pixels, None where it is too small to gain by them.

    input_size: the shorter side of what the network sees, in pixels, of the picture and of a tile alike. side: of
    a tile, in pixels of the picture; without it input_size (every pixel is seen), or a quarter of the picture's
    shorter side where that is more. None: the shorter side is under 1.5 times that of a tile.

    Raises OptionError when a length is not positive or `side` is under 32.
    """
    if min(height, width, input_size) < 1:
        raise OptionError(f"sizes must be positive: height {height}, width {width}, input size {input_size}")
    if side is not None and side < SMALLEST_SIDE:
        raise OptionError(f"the side of a tile must be at least {SMALLEST_SIDE} pixels, not {side}")
    shorter = min(height, width)
    side = side or max(input_size, -(-shorter // FINEST))
    if shorter < LEAST * side:
        return None
    return TileGrid(height, width, side, _starts(height, side), _starts(width, side))


def tiles_note(grid: TileGrid, depth: TiledDepth) -> str:
    """Return what was done, for the provenance of the prediction."""
    kept = len(grid) - depth.used
    rest = (
        f"; {kept} had no structure in common with the pass over the whole picture, which stays there" if kept else ""
    )
    return f"high resolution by {grid}{rest}"


def too_small_note(height: int, width: int, side: int) -> str:
    """Return what to tell of a picture for which `plan_tiles` has no tiles; side: of a tile, or the input size."""
    return f"no tiles: {width} x {height} pixels are under {LEAST:g} times a tile of {side} x {side}"


def refine(
    picture: Picture, coarse: FloatMap, predict: Predict, grid: TileGrid, *, kind: Kind, batch_size: int = 1
) -> TiledDepth:
    """Return the global pass over a picture with the detail of its tiles.

    picture: (H, W, 3), whatever `predict` takes. coarse: (H, W) float32, the global pass: inverse depth for kind
    'relative', metres (positive) for 'metric', which is fitted as 1 / depth. predict: is given up to `batch_size`
    crops (side, side, 3) and returns as many answers (h, w) of that kind, of any size.

    Neither `picture` nor `coarse` is changed. Beside them there are one map of the picture's size and what a
    batch of tiles takes. Where a tile has no structure in common with the global pass (all sky, one wall), a
    value that is not finite, or falls where that rises, the global pass stays. Relative results are at least 0
    or the global pass's least value, metric ones at most its largest.

    Raises InputError when the picture or `coarse` is not of the grid's size.
    """
    size = (grid.height, grid.width)
    if picture.shape[:2] != size or coarse.shape != size:
        raise InputError(f"the tiles are for {size}, the picture is {picture.shape[:2]}, its depth {coarse.shape}")
    inverse = _same if kind == "relative" else _reciprocal
    canvas = coarse.astype(np.float32) if kind == "relative" else _reciprocal(coarse)
    rows, columns = grid.row_weights(), grid.column_weights()
    zoom = min(size) / grid.side
    used = 0
    corners = iter(grid)
    while batch := list(itertools.islice(corners, batch_size)):
        places = [(slice(top, top + grid.side), slice(left, left + grid.side)) for top, left in batch]
        answers = predict([picture[place] for place in places])
        for (top, left), place, answer in zip(batch, places, answers, strict=True):
            base = inverse(coarse[place])
            change = _change(inverse(answer), base, zoom)
            if change is not None:
                used += 1
                change *= rows[top][:, None]
                change *= columns[left]
                canvas[place] += change
    if kind == "relative":
        np.maximum(canvas, min(0.0, float(coarse.min())), out=canvas)
    else:
        np.maximum(canvas, 1 / np.float32(coarse.max()), out=canvas)
        np.reciprocal(canvas, out=canvas)
    return TiledDepth(canvas, used)


def _change(answer: FloatMap, base: FloatMap, zoom: float) -> FloatMap | None:
    """Return what a tile adds to the global pass `base` there (at its size), None for nothing.

    zoom: how many times finer than the global pass the tile was seen. All fits are made at the size of the answer,
    which holds all that the tile knows, and with both blurred: the global pass lacks detail, and an answer that has
    it would be scaled down for it.
    """
    if not (np.isfinite(answer).all() and np.isfinite(base).all()):
        return None
    height, width = answer.shape
    coarse = resize_depth(base, height, width)
    reduced, target = _blurred(answer, _BLUR * zoom), _blurred(coarse, _BLUR * zoom)
    if np.ptp(reduced) <= _FLAT * np.abs(reduced).max() or np.ptp(target) <= _FLAT * np.abs(target).max():
        return None
    step = -(-min(height, width) // _FIT_SIDE)
    some = slice(step // 2, None, step)
    try:
        fit = fit_affine_robust(reduced[some, some], target[some, some])
    except AlignmentError:
        return None
    if fit.scale <= 0:
        return None
    # Around 0, so that float32 holds the squares of small differences.
    middle = target.mean()
    target -= middle
    factor, offset = np.float32(fit.scale), np.float32(fit.shift - middle)
    guide = factor * reduced + offset
    noise = _NOISE * float(np.var(target))
    scale, shift = _local_fit(guide, target, noise)
    detailed = scale * (factor * answer + offset) + shift + middle
    # Where the tile does not see what the global pass sees, that stays: a flat guide would wipe it out.
    detailed -= coarse
    detailed *= _local_say(scale * guide + shift, target, noise)
    detailed += coarse
    # Of the sharp answer: what is no more than noise is found out here.
    explained = 1 - float(np.mean((detailed - coarse) ** 2)) / float(np.var(coarse))
    if explained <= 0:
        return None
    change = resize_depth(detailed, base.shape[0], base.shape[1])
    change -= base
    change *= np.float32(min(1.0, explained / _EXPLAINED))
    return change


def _blurred(values: FloatMap, sigma: float) -> FloatMap:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _local_fit(guide: FloatMap, target: FloatMap, noise: float) -> tuple[FloatMap, FloatMap]:
    """Return scale (at least 0) and shift, each (h, w), of target ~ scale * guide + shift in windows, smoothed."""
    guide_mean, target_mean = _window_mean(guide), _window_mean(target)
    spread = np.maximum(_window_mean(guide * guide) - guide_mean * guide_mean, 0)
    together = np.maximum(_window_mean(guide * target) - guide_mean * target_mean, 0)
    scale = together / (spread + np.float32(noise))
    return _window_mean(scale), _window_mean(target_mean - scale * guide_mean)


def _local_say(fitted: FloatMap, target: FloatMap, noise: float) -> FloatMap:
    """Return (h, w) in [0, 1]: 1 where the fit explains half of the variance of `target` around a pixel, or more."""
    mean = _window_mean(target, 0.5)
    variance = np.maximum(_window_mean(target * target, 0.5) - mean * mean, 0) + np.float32(noise)
    explained = 1 - _window_mean((fitted - target) ** 2, 0.5) / variance
    return _window_mean(np.clip(explained / np.float32(_EXPLAINED), 0, 1), 0.5)


def _window_mean(values: FloatMap, part: float = 1) -> FloatMap:
    """Return the mean in a window around each pixel; part: of the side of the usual window."""
    side = 2 * max(1, round(_WINDOW * part * min(values.shape))) + 1
    return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _starts(length: int, side: int) -> tuple[int, ...]:
    """Return evenly spread first pixels of the fewest tiles that cover `length` and overlap by OVERLAP or more."""
    count = int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1
    return tuple(int(start) for start in np.linspace(0, length - side, count).round())


def _axis_weights(starts: Sequence[int], side: int, length: int) -> dict[int, FloatMap]:
    total = np.zeros(length)
    weights = {}
    position = (np.arange(side) + 0.5) / side
    for start in starts:
        rise = np.ones(side) if start == 0 else _smooth(position / OVERLAP)
        fall = np.ones(side) if start + side == length else _smooth((1 - position) / OVERLAP)
        weights[start] = rise * fall
        total[start : start + side] += weights[start]
    return {start: (w / total[start : start + side]).astype(np.float32) for start, w in weights.items()}


def _smooth(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a rise from 0 to 1 over the same range, flat at both ends."""
    return np.asarray(np.sin(np.pi / 2 * np.clip(share, 0, 1)) ** 2)


def _same(values: FloatMap) -> FloatMap:
    return values


def _reciprocal(values: FloatMap) -> FloatMap:
    with np.errstate(divide="ignore"):
        return np.asarray(np.reciprocal(values, dtype=np.float32))
