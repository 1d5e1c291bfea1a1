"""Textures of rendered scenes: tileable patterns, photographs, and an atlas with smaller levels of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.errors import InputError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Packed = NDArray[np.int32]

SIZE = 256
LEVELS = 7
PRINTS = 2
KINDS = 20
_PRINTED = (15, 16, 17, 18)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
LEVEL_START = tuple(sum(((SIZE >> i) + 2) ** 2 for i in range(level)) for level in range(LEVELS))
TEXELS = sum(((SIZE >> i) + 2) ** 2 for i in range(LEVELS))


def load_textures(folder: str | Path | Sequence[str | Path], *, longest_px: int = 512) -> list[Bytes]:
    """Read photographs to be used as textures.

    `folder` is a folder (its image files, sorted by name) or a sequence of files. Returns (H, W, 3) uint8 RGB arrays
    whose longer side is at most `longest_px`. Raises InputError where a file is not a readable image or where the
    folder has none.
    """
    import cv2

    if isinstance(folder, (str, Path)):
        root = Path(folder)
        if not root.is_dir():
            raise InputError(f"{root} is not a folder: give a folder with photographs.")
        paths = sorted(p for p in root.iterdir() if p.suffix.lower() in _SUFFIXES)
        if not paths:
            raise InputError(f"{root} holds no image files: put photographs there or leave textures out.")
    else:
        paths = [Path(p) for p in folder]
    found = []
    for path in paths:
        stored = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if stored is None:
            raise InputError(f"{path} can't be read as an image: remove it or replace it.")
        image: Bytes = np.asarray(stored, np.uint8)
        scale = longest_px / max(image.shape[:2])
        if scale < 1:
            image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        found.append(np.ascontiguousarray(image[:, :, ::-1]))
    return found


def fractal_noise(
    rng: np.random.Generator, exponent: float, *, stretch: tuple[float, float] = (1.0, 1.0), size: int = SIZE
) -> Floats:
    """Return tileable noise (size, size) float32 in 0..1 whose amplitude falls with frequency ** -exponent."""
    fy = np.fft.fftfreq(size)[:, None] * size * stretch[1]
    fx = np.fft.rfftfreq(size)[None, :] * size * stretch[0]
    radius = np.sqrt(fx * fx + fy * fy)
    radius[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * radius**-exponent
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(np.clip(field / (4.5 * field.std() + 1e-12) + 0.5, 0, 1), np.float32)


def _cells(rng: np.random.Generator, columns: int, rows: int, shifted: float, grout: int) -> Floats:
    """Bricks or tiles: each cell has its own tone, the joints are dark or light."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    row = y * rows // SIZE
    moved = (x + (row % 2) * shifted * SIZE / columns) % SIZE
    column = (moved * columns / SIZE).astype(int)
    tone = 0.35 + 0.5 * rng.random((rows, columns)) ** rng.uniform(0.5, 2)
    field = tone[row, column % columns]
    joint = ((y * rows % SIZE) // rows < grout) | (moved % (SIZE / columns) < grout)
    field[joint] = rng.choice([0.0, 1.0, 0.15])
    return np.asarray(np.clip(field + 0.15 * (fractal_noise(rng, 0.8) - 0.5), 0, 1), np.float32)


def _spots(rng: np.random.Generator, count: int) -> Floats:
    """Distance to the nearest of `count` points on the torus: pebbles, cells, leaves."""
    import cv2

    points = np.ones((SIZE, SIZE), np.uint8)
    points[rng.integers(0, SIZE, count), rng.integers(0, SIZE, count)] = 0
    distance = cv2.distanceTransform(np.tile(points, (3, 3)), cv2.DIST_L2, 3)[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    return np.asarray(np.clip(distance / np.percentile(distance, 98), 0, 1), np.float32)


def _rectangles(rng: np.random.Generator, count: int, thin: bool) -> Floats:
    """Overlapping rectangles or strokes that wrap around, for prints, clutter and labels."""
    field = np.full((SIZE, SIZE), rng.random(), np.float32)
    for _ in range(count):
        w, h = rng.integers(8, 110, 2)
        if thin:
            w, h = (w, max(2, h // 20)) if rng.random() < 0.7 else (max(2, w // 20), h)
        ys = (np.arange(h) + rng.integers(SIZE)) % SIZE
        xs = (np.arange(w) + rng.integers(SIZE)) % SIZE
        field[np.ix_(ys, xs)] = rng.random()
    return field


def _text(rng: np.random.Generator) -> Floats:
    field = np.ones((SIZE, SIZE), np.float32)
    pitch = int(rng.integers(8, 20))
    for top in range(4, SIZE - pitch, pitch):
        left = int(rng.integers(4, 30))
        while left < SIZE - 12 and rng.random() > 0.03:
            word = int(rng.integers(4, 40))
            height = max(2, pitch // 2)
            block = rng.random((height, word)) < 0.55
            field[top : top + height, left : left + word][:, : SIZE - left] = block[:, : SIZE - left]
            left += word + pitch // 3
    return field


def _poster(rng: np.random.Generator) -> Floats:
    """A printed page: lines of letters of several sizes around a picture."""
    import cv2

    page = np.full((SIZE, SIZE), rng.uniform(190, 255), np.uint8)
    letters = np.array(list("ABCDEFGHKLMNOPRSTUVWXYZabcdeghiklmnoprstuvz0123456789 "))
    y = 0
    while y < SIZE - 20:
        height = int(rng.choice([9, 12, 18, 34, 60]))
        if rng.random() < 0.25 and y < SIZE - 90:
            page[y + 6 : y + 84, 10 : SIZE - 10] = (_picture(rng) * 255)[y + 6 : y + 84, 10 : SIZE - 10]
            y += 90
            continue
        line = "".join(rng.choice(letters, int(SIZE / height * 1.4)))
        tone, thick = int(rng.uniform(0, 100)), max(1, height // 12)
        cv2.putText(page, line, (8, y + height), int(rng.integers(4)), height / 22, tone, thick)
        y += int(height * 1.5)
    return np.asarray(page / 255, np.float32)


def _picture(rng: np.random.Generator) -> Floats:
    """Painted balls, blocks and a horizon with light and shade: what looks deep and is flat."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    horizon = rng.uniform(0.3, 0.7)
    field = np.where(y < horizon, 0.9 - 0.3 * y, 0.2 + 0.5 * (y - horizon)).astype(np.float32)
    for _ in range(int(rng.integers(3, 10))):
        cx, cy, r = rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.05, 0.28)
        dx, dy = (x - cx) / r, (y - cy) / r
        tone = rng.uniform(0.3, 0.9)
        field = np.where(np.hypot(dx, (dy - 0.9) * 4) < 1, field * 0.5, field)
        if rng.random() < 0.6:
            inside, light = np.hypot(dx, dy) < 1, np.clip(0.75 - 0.35 * dx - 0.4 * dy, 0, 1)
        else:
            inside, light = np.maximum(abs(dx), abs(dy)) < 0.8, np.where(dx > 0.2 + 0.3 * dy, 0.45, 0.95)
        field = np.where(inside, tone * light, field)
    return np.asarray(np.clip(field + 0.05 * (fractal_noise(rng, 0.8) - 0.5), 0, 1), np.float32)


def _facade(rng: np.random.Generator) -> Floats:
    columns, rows = int(rng.choice([2, 4, 8])), int(rng.choice([2, 4, 8]))
    field = np.full((SIZE, SIZE), rng.uniform(0.5, 0.9), np.float32)
    width, height = SIZE // columns, SIZE // rows
    ww, wh = int(width * rng.uniform(0.3, 0.8)), int(height * rng.uniform(0.35, 0.8))
    for i in range(rows):
        for j in range(columns):
            top, left = i * height + (height - wh) // 2, j * width + (width - ww) // 2
            field[top - 2 : top + wh + 2, left - 2 : left + ww + 2] = 1.0
            field[top : top + wh, left : left + ww] = rng.uniform(0, 0.35)
            field[top : top + wh, left + ww // 2 : left + ww // 2 + 2] = 0.95
    return np.asarray(np.clip(field + 0.12 * (fractal_noise(rng, 1.0) - 0.5), 0, 1), np.float32)


def _pattern(rng: np.random.Generator, number: int) -> Floats:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    choice = number % KINDS
    waves = int(rng.integers(2, 24))
    if choice in (0, 1):
        return fractal_noise(rng, rng.uniform(0.6, 1.8))
    if choice in (2, 3):
        stretch = (float(rng.uniform(8, 20)), 1.0)
        grain = fractal_noise(rng, 1.0, stretch=stretch)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (waves * y + 1.5 * fractal_noise(rng, 2.0, stretch=(6, 1))))
        return np.asarray(0.6 * grain + 0.4 * rings, np.float32)
    if choice == 4:
        return np.asarray(((x * waves).astype(int) + (y * waves).astype(int)) % 2, np.float32)
    if choice == 5:
        return np.asarray((x * waves) % 1 < rng.uniform(0.15, 0.85), np.float32)
    if choice == 6:
        rows = 2 * int(rng.integers(3, 10))
        return _cells(rng, int(rng.choice([4, 8])), rows, 0.5, int(rng.integers(2, 4)))
    if choice == 7:
        count = int(rng.choice([2, 4, 8]))
        return _cells(rng, count, count, 0.0, int(rng.integers(1, 5)))
    if choice == 8:
        return _spots(rng, int(rng.integers(60, 900)))
    if choice == 9:
        return _rectangles(rng, int(rng.integers(12, 60)), False)
    if choice == 10:
        return _rectangles(rng, 90, True)
    if choice == 11:
        return _text(rng)
    if choice == 12:
        return _facade(rng)
    if choice == 13:
        return np.asarray(np.floor(fractal_noise(rng, 1.7) * 6) / 5, np.float32)
    if choice == 14:
        turbulence = fractal_noise(rng, 1.5)
        return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * (waves // 4 * (x + y) + 3 * turbulence)), np.float32)
    if choice in _PRINTED[:2]:
        return _poster(rng)
    if choice in _PRINTED[2:]:
        return _picture(rng)
    return fractal_noise(rng, rng.uniform(0.0, 0.6))


@lru_cache(maxsize=1)
def pattern_bank(count: int = 160) -> list[Bytes]:
    """Return `count` tileable grey patterns with their levels, (TEXELS,) uint8, always the same ones."""
    rng = np.random.default_rng(20240613)
    return [_levels((np.clip(_pattern(rng, k), 0, 1) * 255).astype(np.uint8), wrap=True) for k in range(count)]


@lru_cache(maxsize=1)
def _detail_strips(count: int = 8) -> list[Packed]:
    rng = np.random.default_rng(20240614)
    made = []
    for k in range(count):
        channels = [fractal_noise(rng, 0.7 + 0.15 * k) for _ in range(3)]
        made.append(_packed(_levels((np.stack(channels, axis=2) * 255).astype(np.uint8), wrap=True)))
    return made


def _levels(tile: Bytes, *, wrap: bool) -> Bytes:
    """Return the levels of a texture (SIZE, SIZE[, 3]) one after the other, (TEXELS[, 3]).

    Each has a border of one pixel for bilinear reading and half the side of the one before.
    """
    import cv2

    border = cv2.BORDER_WRAP if wrap else cv2.BORDER_REPLICATE
    parts = []
    for level in range(LEVELS):
        framed = np.asarray(cv2.copyMakeBorder(tile, 1, 1, 1, 1, border), np.uint8)
        parts.append(framed.reshape(-1, *tile.shape[2:]))
        side = SIZE >> (level + 1)
        tile = np.asarray(cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.concatenate(parts)


def _packed(texels: Bytes) -> Packed:
    """Return RGB (n, 3) as one number per texel, red in the lowest byte."""
    wide = texels.astype(np.int32)
    packed: Packed = wide[:, 0] | wide[:, 1] << 8 | wide[:, 2] << 16
    return packed


def natural_colour(rng: np.random.Generator) -> Floats:
    """Return a linear RGB reflectance (3,) float32: mostly muted, now and then vivid, black or white."""
    kind, a, b, c = rng.random(4).tolist()
    if kind < 0.3:
        grey = 0.03 + 0.87 * a
        colour = [grey * (1 + 0.06 * float(noise)) for noise in rng.standard_normal(3)]
    elif kind < 0.65:
        level = 0.06 + 0.79 * a
        colour = [level, level * (0.6 + 0.3 * b), level * (0.3 + 0.45 * c)]
    else:
        saturation, value = (0.2 + 0.8 * b) ** 1.5, 0.08 + 0.82 * c
        ramp = [min(max(abs((a * 6 + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in (0, 4, 2)]
        colour = [value * (1 - saturation * (1 - share)) for share in ramp]
    return np.array([min(max(channel, 0.01), 0.95) for channel in colour], np.float32)


def build_atlas(
    rng: np.random.Generator, photographs: Sequence[Bytes], patterns: int, photos: int
) -> tuple[Packed, int]:
    """Return the textures of a scene (n, TEXELS) int32 and the number of photographs among them.

    Number 0 holds three channels of noise for detail; `patterns` coloured patterns follow, the last `PRINTS` of them
    printed pages and pictures, and then the photographs.
    """
    import cv2

    strips = [_detail_strips()[int(rng.integers(8))]]
    bank = pattern_bank()
    for number in range(patterns):
        ends = np.stack([natural_colour(rng), natural_colour(rng), natural_colour(rng)])
        if rng.random() < 0.55:
            ends[2] = ends[0] * rng.uniform(0.25, 0.8)
            ends[1] = (ends[0] + ends[2]) / 2
        ramp = np.stack([np.interp(np.arange(256), [0, 128, 255], np.sqrt(ends[:, k])) for k in range(3)], axis=1)
        palette = _packed(np.clip(ramp * 255, 0, 255).astype(np.uint8))
        chosen = int(rng.integers(len(bank)))
        if number >= patterns - PRINTS:
            chosen = chosen // KINDS * KINDS + int(rng.choice(_PRINTED))
        strips.append(palette[bank[chosen]])
    used = photos if photographs else 0
    for _ in range(used):
        photograph = photographs[int(rng.integers(len(photographs)))]
        h, w = photograph.shape[:2]
        side = int(min(h, w) * rng.uniform(0.4, 1.0))
        top, left = int(rng.integers(0, h - side + 1)), int(rng.integers(0, w - side + 1))
        crop = np.ascontiguousarray(photograph[top : top + side, left : left + side])
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
        shrink = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
        square = np.asarray(cv2.resize(crop, (SIZE, SIZE), interpolation=shrink), np.uint8)
        strips.append(_packed(_levels(square, wrap=False)))
    return np.stack(strips), used
