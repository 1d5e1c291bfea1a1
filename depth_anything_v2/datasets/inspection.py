"""What the doctor sees in one pair of picture and depth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.datasets.duplicates import Fingerprint, fingerprint
from depth_anything_v2.datasets.planarity import geometry_votes
from depth_anything_v2.datasets.reader import DepthDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, Image, Mask, resized, same_shape, size_mismatch
from depth_anything_v2.errors import DepthAnythingError, MissingExtraError

PER_DECADE = 30
EDGES = np.logspace(-3, 5, 8 * PER_DECADE + 1)  # of the histogram, in metres or without a unit
TILE = 160  # longer side in pixels of the pictures kept for the contact sheet

Trouble = Literal["unreadable-picture", "unreadable-depth", "eight-bit-depth", "size-mismatch"]


@dataclass(frozen=True)
class Spread:
    """The valid numbers of one depth map: extremes and percentiles."""

    lowest: float
    p2: float
    median: float
    p98: float
    highest: float


@dataclass(frozen=True, eq=False)
class PairFacts:
    """One pair. trouble, message: why it cannot be used. valid, sky: shares of the pixels, in [0, 1].

    counts: of valid pixels in the bins of EDGES. lower_over_upper: median of the lower third of the picture over
    that of the upper third. votes: for planar and for ray (see `planarity`), None without intrinsics or metres.
    picture, depth (NaN where not valid): small, for the contact sheet.
    """

    frame: Frame
    trouble: Trouble | None = None
    message: str = ""
    kind: Kind = "metric"
    geometry: Geometry = "planar"
    size: tuple[int, int] | None = None
    valid: float = 0.0
    sky: float = 0.0
    spread: Spread | None = None
    counts: npt.NDArray[np.int32] | None = None
    lower_over_upper: float | None = None
    votes: tuple[int, int] | None = None
    fingerprint: Fingerprint | None = None
    picture: Image | None = None
    depth: npt.NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        return self.frame.name or str(self.frame.image)


def inspect_pair(dataset: DepthDataset, frame: Frame, *, keep_pictures: bool = False) -> PairFacts:
    """Read one pair and return what there is to say. keep_pictures: for the contact sheet.

    Raises MissingExtraError: that is no fault of the data.
    """
    image: Image | None = None
    trouble: Trouble | None = None
    message = ""
    try:
        image = dataset.read_image(frame)
    except MissingExtraError:
        raise
    except DepthAnythingError as error:
        trouble, message = "unreadable-picture", str(error)
    prints = None if image is None else fingerprint(image)
    small = resized(image, _tile_size(image.shape)) if image is not None and keep_pictures else None
    try:
        stored = dataset.read_depth(frame)
    except MissingExtraError:
        raise
    except DepthAnythingError as error:
        trouble = "eight-bit-depth" if _is_eight_bit(frame.depth) else "unreadable-depth"
        return PairFacts(frame, trouble, str(error), fingerprint=prints, picture=small)
    size = stored.depth.shape
    fits = image is None or image.shape[:2] == size or (dataset.resize_image and same_shape(image.shape, size))
    if image is not None and not fits:
        trouble, message = "size-mismatch", size_mismatch(frame.name, "picture", image.shape, size)
    depth = _small_depth(stored) if keep_pictures and not trouble else None
    facts = _depth_facts(frame, stored)
    return dataclasses.replace(facts, trouble=trouble, message=message, fingerprint=prints, picture=small, depth=depth)


def _depth_facts(frame: Frame, stored: DepthMap) -> PairFacts:
    valid = usable(stored)
    values = stored.depth[valid].astype(np.float64)
    height, width = stored.depth.shape
    spread = counts = ratio = votes = None
    if values.size:
        low, p2, median, p98, high = np.percentile(values, (0, 2, 50, 98, 100))
        spread = Spread(float(low), float(p2), float(median), float(p98), float(high))
        counts = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)[0].astype(np.int32)
        upper = stored.depth[: height // 3][valid[: height // 3]]
        lower = stored.depth[-(height // 3) :][valid[-(height // 3) :]]
        if min(upper.size, lower.size) >= 20 and float(np.median(upper)) > 0:
            ratio = float(np.median(lower)) / float(np.median(upper))
        if stored.camera is not None and stored.kind == "metric":
            votes = geometry_votes(stored.depth, valid, stored.camera)
    sky = 0.0 if stored.sky is None else float(stored.sky.mean())
    return PairFacts(
        frame,
        kind=stored.kind,
        geometry=stored.geometry,
        size=(height, width),
        valid=float(valid.mean()),
        sky=sky,
        spread=spread,
        counts=counts,
        lower_over_upper=ratio,
        votes=votes,
    )


def usable(stored: DepthMap) -> Mask:
    """Return which pixels become valid in a sample: finite, and in metres positive."""
    valid = stored.valid & np.isfinite(stored.depth)
    return valid & (stored.depth > 0) if stored.kind == "metric" else valid


def percentile(counts: npt.NDArray[Any], percent: float) -> float:
    """Return a percentile of all pixels from counts in the bins of EDGES, to the width of a bin (8 %)."""
    index = int(np.searchsorted(np.cumsum(counts), percent / 100 * counts.sum()))
    return float(f"{np.sqrt(EDGES[index] * EDGES[index + 1]):.3g}")


def _is_eight_bit(path: Path) -> bool:
    """Say whether a depth file is an ordinary picture: a PNG of 8 bits or fewer, JPEG, WebP, BMP or GIF."""
    from depth_anything_v2.io.decode import HEADER_BYTES, sniff

    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return False
    kind = sniff(header)
    return kind in ("jpeg", "webp", "bmp", "gif") or (kind == "png" and len(header) > 24 and header[24] <= 8)


def _tile_size(shape: tuple[int, ...]) -> tuple[int, int]:
    scale = TILE / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _small_depth(stored: DepthMap) -> npt.NDArray[np.float32]:
    """Return a small depth map, NaN where not valid. The mean of the valid pixels: sparse LiDAR stays visible."""
    import cv2

    height, width = _tile_size(stored.depth.shape)
    valid = usable(stored)
    weight = cv2.resize(valid.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    total = cv2.resize(np.where(valid, stored.depth, 0), (width, height), interpolation=cv2.INTER_AREA)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 1e-4, total / weight, np.nan).astype(np.float32)
