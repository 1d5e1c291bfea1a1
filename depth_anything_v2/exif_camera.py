"""The camera that a photograph's EXIF tells, and what of it was not believed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from depth_anything_v2.camera import MIN_FOV_DEG, SAME_ASPECT, Camera
from depth_anything_v2.errors import OptionError

# CIPA DCG-001: the 35 mm equivalent keeps the angle of view of the diagonal, that of 36 mm x 24 mm.
DIAGONAL_35MM = math.hypot(36, 24)
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit: inch, cm, mm, micrometre
_AGREE = 1.25  # two ways to one focal length: rounding and crops for video or stabilising stay below
_WIDEST_EXIF_DEG = 150.0


def exif_camera(exif: Mapping[str, Any], width: int, height: int) -> tuple[Camera | None, tuple[str, ...]]:
    """Return the camera (source 'EXIF', None without a usable focal length) and notes on what was ignored.

    exif: tag names to values, turned as the picture is; width, height: of the picture as it is now. First
    choice is FocalLengthIn35mmFilm f: f / 43.27 mm of the picture's diagonal, its digital zoom included.
    Else FocalLength with FocalPlaneXResolution, which is about the picture as taken (ExifImageWidth wide),
    times DigitalZoomRatio. A picture of another shape than it was taken in has been cropped, and its EXIF
    says no longer what it sees. The principal point is the middle.
    """
    notes: list[str] = []
    taken = _taken_size(exif, width, height, notes)
    if taken is None:
        return None, tuple(notes)
    equivalent = _number(exif, "FocalLengthIn35mmFilm", notes)
    by_diagonal = None if equivalent is None else equivalent / DIAGONAL_35MM * math.hypot(width, height)
    by_sensor = _focal_by_sensor(exif, taken, width, notes)
    focal = next((f for f in (by_diagonal, by_sensor) if f is not None), None)
    if focal is None:
        return None, tuple(notes)
    if by_diagonal is not None and by_sensor is not None and not 1 / _AGREE < by_diagonal / by_sensor < _AGREE:
        notes.append(
            f"EXIF is at odds with itself: {by_diagonal:.0f} px by the 35 mm equivalent, which is used, "
            f"{by_sensor:.0f} px by the focal plane"
        )
    try:
        camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2, "EXIF")
    except OptionError:
        camera = None
    if camera is None or not MIN_FOV_DEG < max(camera.fov_deg) < _WIDEST_EXIF_DEG:
        return None, (*notes, f"the focal length in EXIF, {focal:.4g} px, is not that of a camera: ignored")
    return dataclasses.replace(camera, notes=tuple(notes)), tuple(notes)


def _taken_size(exif: Mapping[str, Any], width: int, height: int, notes: list[str]) -> tuple[float, float] | None:
    """Return the size in which the picture was taken, its own where EXIF does not say, None if it was cropped."""
    across = _number(exif, "ExifImageWidth", notes)
    down = _number(exif, "ExifImageHeight", notes)
    if across is None or down is None:
        return width, height
    for taken in ((across, down), (down, across)):  # programs turn the pixels and leave these tags
        if abs(math.log(taken[0] * height / (taken[1] * width))) <= SAME_ASPECT:
            return taken
    notes.append(
        f"EXIF is about a picture of {across:.0f} x {down:.0f} pixels, this one of {width} x {height} was cropped from "
        "it: its focal length is ignored"
    )
    return None


def _focal_by_sensor(exif: Mapping[str, Any], taken: tuple[float, float], width: int, notes: list[str]) -> float | None:
    focal_mm = _number(exif, "FocalLength", notes)
    resolution = _number(exif, "FocalPlaneXResolution", notes)
    if focal_mm is None or resolution is None:
        return None
    unit = exif.get("FocalPlaneResolutionUnit", 2)
    if unit not in _MM_PER_UNIT:
        notes.append(f"EXIF FocalPlaneResolutionUnit {unit} is not known: FocalLength is ignored")
        return None
    zoom = _number(exif, "DigitalZoomRatio", notes)
    zoom = 1.0 if zoom is None or zoom < 1 else zoom
    return focal_mm * resolution / _MM_PER_UNIT[unit] * zoom * width / taken[0]


def _number(exif: Mapping[str, Any], name: str, notes: list[str]) -> float | None:
    """Return a positive number; None where the tag is missing, says 'unknown' (0), or is nonsense, which is noted."""
    value = exif.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = math.nan
    if number == 0:
        return None
    if not (math.isfinite(number) and number > 0):
        notes.append(f"EXIF {name} is no positive number: ignored")
        return None
    return number
