"""Depth to colours.

`colorize` is for people; `original_picture` repeats the picture of the original's `run.py` byte by byte.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.prediction import DepthPrediction

COLORMAPS: tuple[str, ...] = ("spectral", "inferno", "magma", "plasma", "viridis", "turbo", "grey")
_STRIP = 32  # rows
GAP_COLUMNS = 50  # white, between the photograph and its depth

# The 256 RGB colours of matplotlib's Spectral (ColorBrewer's, Apache-2.0), from warm (0) to cool (255).
_SPECTRAL = (
    b"o&iFj145z&L!<~prV2!;3`D9AMXeD<uM|eH7DlreN3|PAw;f2jAV|C-NxmdWz$Z$=DN4jFOU5os$uLaIGfd4jP0u(@(K=4kJ"
    b"Wka<PS!w9*g{R&L`~X8Oxs9I+(}E`OH1EPOW;pR;ZaKBQ%U4iN##~Z=2%GQT1V+zN9tZi>tIIgVMXm@Mek)q@MlEvX+!dBL-"
    b"cJ!^lwD;az*uYM)h|`^?6A4d`k9yOZI_G_k&IMhEDg1Pxy;b_>NNekW=}SRQZ)v`j}SwnppasS^J+_`=VR>rCj`{Ui_+G{H$"
    b"R8u3`PKWBsya{j_HNwrKshYW=!v{k(1czHa@%aQ(t^{ls(q#&!M3cm2wE{mgp(&V2pQef`pZ{nUZ|)`I=mg#Frv{oIHB-iiL"
    b";i~iw_{^F1R<B|U4lm6zF{^yte=$ZcMoBryZ{_LOr?V<keqyF!u{_&^&@~QswtN!$@{`If^_p$!?v;O(D{`$B6`?>!8yZ-*Y"
    b"{{FuG{=EGDyZimQ`u({1{I>Y~wfFq9_WQE+`>^!-uJih>^7^as`Ks{wsPFiv?)atc_@wOjqU-me>h_=M_MYhWoagnM=JlE8^"
    b"_b)InBnu7-}0H<@tNB2n%M7})$W_q?VHi;oX+c<%<7%W>7B>up2g>$!{(pB<)6OgpuFUuy5pd?;-R(Sp|jwku-~Gt-lMGDqp"
    b"94arrV^X+N7b`q@LKMoY$n8)})rzq?FX8k<z4&(WHyeq>0a@hR&pe&7^_Mq<+h!d&;DE$)tA3q;tolaK@x=#iVP*q-evWX2P"
    b"XozolWlreC|KUAU-Qwy9aPs#mhBRj;g5t*ue3u1~11O{TC*q_Ih&vPYk@MV+)mo3%liwLg}&J(RaQlDIjKxi^ivHH*75iM%p"
    b"~yflQnHiEi1fVnw+xI25dJ$bf1ceOxuv_f*SL~yZ1Zm>seuSsdHOJ}W2WvotPt59I7QC_K2T&PuAr&m{|SXHH3Q>0u`qh3#<"
)
# Spectral_r is the same run backwards, but for two blue values that rounding puts one higher there.
_SPECTRAL_R_DIFFERS = (170, 187)


@cache
def table(name: str) -> npt.NDArray[np.uint8]:
    """Return the (256, 3) uint8 RGB colours of a map: a name of COLORMAPS, or 'spectral_r'.

    'spectral' and 'spectral_r' equal matplotlib's Spectral and Spectral_r times 255, truncated. Read-only.
    Raises OptionError for an unknown name.
    """
    colours: npt.NDArray[Any]
    if name in ("spectral", "spectral_r"):
        colours = np.frombuffer(base64.b85decode(_SPECTRAL), np.uint8).reshape(256, 3).copy()
        if name == "spectral_r":
            colours = np.ascontiguousarray(colours[::-1])
            colours[_SPECTRAL_R_DIFFERS, 2] += 1
    elif name in ("grey", "gray"):
        colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    elif name in COLORMAPS:
        import cv2

        ramp = np.arange(256, dtype=np.uint8)[:, None]
        bgr = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
        colours = np.ascontiguousarray(bgr[:, 0, ::-1], dtype=np.uint8)
    else:
        raise OptionError(f"unknown colour map '{name}': choose one of {', '.join(COLORMAPS)}")
    fixed: npt.NDArray[np.uint8] = colours
    fixed.flags.writeable = False
    return fixed


def colorize(
    prediction: DepthPrediction, colormap: str = "spectral", value_range: tuple[float, float] | None = None
) -> npt.NDArray[np.uint8]:
    """Return an (H, W, 3) uint8 RGB picture of a depth map.

    Near is at the warm or bright end for both kinds ('spectral' red, 'turbo' red, the others bright). 'grey'
    alone shows the numbers themselves, as the original does: larger is brighter, so near is bright in
    inverse depth and dark in metres.

    value_range: (low, high) shown at the two ends, in the prediction's own numbers; without it the smallest
    and largest finite value. Values beyond it, infinities included, take the colour of that end. NaN is
    black. A flat map takes the colour of the low end.

    Raises OptionError for an unknown map or a range that is not two finite numbers, the first smaller.
    """
    colours = table(colormap)
    if value_range is not None:
        low, high = (float(value) for value in value_range)
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise OptionError(f"a value range is two finite numbers, the smaller first, not {low:g},{high:g}")
    if colormap == "spectral" and prediction.kind == "relative":
        colours = table("spectral_r")
    elif colormap not in ("spectral", "grey", "gray") and prediction.kind == "metric":
        colours = colours[::-1]
    picture = apply_table(to_levels(prediction.depth, value_range), colours)
    missing = np.isnan(prediction.depth)
    if missing.any():
        picture[missing] = 0
    return picture


def to_levels(depth: npt.NDArray[Any], value_range: tuple[float, float] | None = None) -> npt.NDArray[np.uint8]:
    """Return depth scaled from `value_range` (its finite minimum and maximum) to 0..255, truncated to uint8.

    In the arithmetic of the original, `(d - d.min()) / (d.max() - d.min()) * 255.0` in the type of `depth`.
    Infinities become 0 and 255; NaN and flat maps 0.
    """
    if depth.dtype.kind != "f":
        depth = depth.astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = value_range or (depth.min(), depth.max())
        tidy = value_range is None and bool(np.isfinite(low) and np.isfinite(high))
        if value_range is None and not tidy:
            finite = depth[np.isfinite(depth)]
            low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        low, high = depth.dtype.type(low), depth.dtype.type(high)
        span = high - low
        if not np.isfinite(span):  # wider than the type can say
            return to_levels(depth.astype(np.float64) / 2, (float(low) / 2, float(high) / 2))
        levels = np.empty(depth.shape, np.uint8)
        for top in range(0, depth.shape[0], _STRIP):  # which stays in the processor's cache, three steps long
            part = depth[top : top + _STRIP]
            if span == 0:
                scaled: npt.NDArray[Any] = np.where(part > low, 255, 0)
            else:
                scaled = part - low
                scaled /= span
                scaled *= depth.dtype.type(255)
            if not tidy:
                scaled = np.clip(np.nan_to_num(scaled, nan=0.0), 0, 255)
            levels[top : top + _STRIP] = scaled
        return levels


def apply_table(levels: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3): the row of `colours` (256, 3) for each of the (H, W) levels."""
    import cv2

    lut = np.ascontiguousarray(colours)[:, None, :]
    return np.asarray(cv2.applyColorMap(np.ascontiguousarray(levels), lut), dtype=np.uint8)


def original_picture(
    image_bgr: npt.NDArray[np.uint8],
    depth: npt.NDArray[np.float32],
    *,
    pred_only: bool,
    grayscale: bool,
    colormap: Literal["spectral_r", "spectral"] = "spectral_r",
) -> npt.NDArray[np.uint8]:
    """Return the BGR picture that the original writes: [image | 50 white columns | depth], or the depth alone.

    image_bgr: (H, W, 3) uint8. depth: (H, W) float32, scaled from its minimum and maximum to 0..255 and
    truncated, then repeated as grey or coloured ('spectral_r' in `run.py`, 'spectral' in
    `metric_depth/run.py`). Where the original fails: a flat map has level 0 everywhere, as NaN has;
    infinities take the ends of the finite range.

    Raises InputError when image and depth differ in size, OptionError for another colour map.
    """
    if colormap not in ("spectral_r", "spectral"):
        raise OptionError(f"the original has the colour maps spectral_r and spectral, not '{colormap}'")
    levels = to_levels(depth)
    colours = table("grey") if grayscale else table(colormap)[:, ::-1]
    picture = apply_table(levels, colours)
    if pred_only:
        return picture
    if image_bgr.shape != picture.shape or image_bgr.dtype != np.uint8:
        raise InputError(
            f"the picture is {image_bgr.dtype} {image_bgr.shape}, the depth map {depth.shape}: they must match"
        )
    gap = np.full((picture.shape[0], GAP_COLUMNS, 3), 255, np.uint8)
    return np.concatenate([image_bgr, gap, picture], axis=1)
