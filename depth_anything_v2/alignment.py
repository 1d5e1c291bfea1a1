"""Fits of scale and shift between a prediction and measured depth, and predictions brought to metres by them.

metric = align(prediction, [(412, 300, 1.35), (80, 95, 4.2), (600, 240, 2.1)])   # x, y in pixels, metres
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import SAME_ASPECT, Camera
from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.errors import AlignmentError, DepthKindError, InputError, OptionError
from depth_anything_v2.prediction import ALIGNED, DepthPrediction
from depth_anything_v2.robust_fit import AffineFit, Floats, Values, fit_affine_robust, fit_scale_shift

__all__ = ["AffineFit", "Alignment", "align", "fit_affine_robust", "fit_alignment", "fit_scale_shift"]

Fit = Literal["auto", "affine", "scale"]
Samples = npt.ArrayLike | DepthPrediction

REACH = 10.0  # times the farthest distance that was used: beyond it nothing measured backs the fit
_SPREAD = 1.01  # farthest / nearest distance from which on a shift can be told from a scale
_EXACT = 0.002  # of a distance: a tape, millimetres in 16 bits and the pixel that was meant are no better
_ALL_PAIRS = 500  # points up to which each one is compared with every other
_MAX_SAMPLES = 200_000  # of a measured map: more do not make the fit better
_WEAK_ERROR, _WEAK_SHARE = 0.25, 0.6  # a typical error above, or a share of inliers below, is worth a word


@dataclass(frozen=True, eq=False)
class Alignment:
    """How a prediction becomes metres: 1 / metres = scale * p + shift, with p the inverse depth predicted.

    p is the value of a relative prediction, 1 / depth of a metric one. fit: scale and shift, with `residual` in 1/m;
    kind and geometry: of the prediction; x, y: positions of the samples in pixels, (N,) each; predicted: p there;
    measured_m: metres there, in the prediction's geometry; limit_m: pixels that come out farther are invalid;
    max_depth_m: that limit where the caller set it; skipped: samples left out because the prediction is invalid there.
    """

    fit: AffineFit
    kind: Kind
    geometry: Geometry
    x: Floats
    y: Floats
    predicted: Floats
    measured_m: Floats
    limit_m: float
    max_depth_m: float | None
    skipped: int
    notes: tuple[str, ...] = ()

    @property
    def aligned_m(self) -> Floats:
        """What the fit gives at the samples, metres; infinite where the inverse depth is not positive."""
        inverse = self.fit.scale * self.predicted + self.fit.shift
        return np.divide(1.0, inverse, out=np.full_like(inverse, np.inf), where=inverse > 0)

    @property
    def errors(self) -> Floats:
        """|aligned - measured| / measured of every sample, outliers included."""
        return np.asarray(np.abs(self.aligned_m / self.measured_m - 1))

    @property
    def weak(self) -> str | None:
        """Why the result deserves mistrust, None where nothing speaks against it."""
        error, share = float(np.median(self.errors)), self.fit.inlier_share
        if error > _WEAK_ERROR:
            return f"measured and predicted depth agree poorly (typical error {error:.0%}): check positions and unit"
        if share < _WEAK_SHARE:
            return f"only {share:.0%} of the points agree with each other: check positions and unit"
        return None

    def apply(self, prediction: DepthPrediction) -> DepthPrediction:
        """Return `prediction` in metres, the way it was done among the notes of its provenance.

        Invalid with depth NaN: what was invalid, what has no positive inverse depth, and what is farther than limit_m.
        Raises DepthKindError for a prediction of another kind or geometry than the one fitted.
        """
        if (prediction.kind, prediction.geometry) != (self.kind, self.geometry):
            raise DepthKindError(
                f"the alignment is that of {self.kind} {self.geometry} depth, this is {prediction.kind} "
                f"{prediction.geometry}"
            )
        inverse = _inverse_depth(prediction) * self.fit.scale + self.fit.shift
        farthest = min(self.limit_m, float(np.finfo(np.float32).max))
        usable = prediction.valid & (inverse >= 1 / farthest) & np.isfinite(inverse)
        depth = np.divide(1.0, inverse, out=np.full_like(inverse, np.nan), where=usable)
        provenance = prediction.provenance
        notes = (*provenance.notes, self.describe(), *self.notes)
        return prediction.replace(
            depth=depth.astype(np.float32),
            kind="metric",
            max_depth_m=self.max_depth_m,
            valid=None,
            provenance=dataclasses.replace(provenance, notes=notes),
        )

    def describe(self) -> str:
        """Return one line: how many points agreed, the formula, the residual and the typical error of the inliers."""
        used = self.fit.inliers
        shift = f" {'-' if self.fit.shift < 0 else '+'} {abs(self.fit.shift):.6g}" if self.fit.shift else ""
        p = "p" if self.kind == "relative" else "1/predicted depth"
        return (
            f"{ALIGNED} {int(used.sum())} of {used.size} points: 1/depth = {self.fit.scale:.6g} * {p}{shift}, "
            f"residual {self.fit.residual:.3g} 1/m, typical error {float(np.median(self.errors[used])):.2%}, "
            f"measured {self.measured_m[used].min():.4g} to {self.measured_m[used].max():.4g} m, valid up to "
            f"{self.limit_m:.4g} m"
        )


def align(
    prediction: DepthPrediction,
    samples: Samples,
    *,
    fit: Fit = "auto",
    geometry: Geometry | None = None,
    max_depth_m: float | None = None,
    seed: int = 0,
) -> DepthPrediction:
    """Return `prediction` in metres, fitted to measured distances; see `fit_alignment`, which also tells how well."""
    alignment = fit_alignment(prediction, samples, fit=fit, geometry=geometry, max_depth_m=max_depth_m, seed=seed)
    return alignment.apply(prediction)


def fit_alignment(
    prediction: DepthPrediction,
    samples: Samples,
    *,
    fit: Fit = "auto",
    geometry: Geometry | None = None,
    max_depth_m: float | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Alignment:
    """Find the scale and shift in inverse depth that bring a prediction to measured metres.

    samples: (N, 3) rows of x, y and metres, with (0, 0) the centre of the top-left pixel; or a depth map (H, W) in
    metres, of the same picture at any size, 0, NaN and infinity meaning no measurement; or a metric DepthPrediction.
    fit: 'affine', 'scale' (shift 0), 'auto': affine, but scale for a metric prediction or a single point. geometry: of
    the samples, when it is not the prediction's; converting takes the prediction's camera. max_depth_m: pixels farther
    than it become invalid (infinity: none do), by default those beyond 10 times the farthest distance used.

    The fit is robust (`fit_affine_robust`); it minimises relative errors of depth, that is, errors of inverse depth
    times the measured distance, since both a measurement and a prediction err in proportion to the distance.

    Raises AlignmentError: no usable sample, positions outside the picture, distances that are not positive, one point
    for an affine fit, one distance for all, one prediction for all, a scale that is not positive; OptionError: other
    shapes, unknown options, another geometry without a camera; InputError: a map of another picture; DepthKindError:
    samples that are relative.
    """
    if fit not in get_args(Fit):
        raise OptionError(f"unknown fit '{fit}': choose one of {', '.join(get_args(Fit))}")
    if max_depth_m is not None and not max_depth_m > 0:
        raise OptionError(f"the maximum depth is a positive number of metres, not {max_depth_m:g}")
    if isinstance(samples, DepthPrediction):
        geometry = geometry or samples.geometry
        samples = _measured_map(samples)
    x, y, metres = _sample_points(prediction, samples, seed)
    rows, columns = np.floor(y + 0.5).astype(np.intp), np.floor(x + 0.5).astype(np.intp)
    metres = _in_geometry(metres, geometry or prediction.geometry, prediction, x, y)
    predicted = _inverse_depth(prediction)[rows, columns]
    known = prediction.valid[rows, columns] & np.isfinite(predicted)
    if not known.any():
        raise AlignmentError(f"the prediction is invalid at all {x.size} points: measure where it has a value")
    x, y, metres, predicted = x[known], y[known], metres[known], predicted[known]
    scale_only = fit == "scale" or (fit == "auto" and (x.size == 1 or prediction.kind == "metric"))
    found = _checked_fit(predicted, metres, scale_only, seed)
    limit = max_depth_m if max_depth_m is not None else REACH * float(metres[found.inliers].max())
    own_limit = max_depth_m if max_depth_m is not None and math.isfinite(max_depth_m) else None
    skipped = int(known.size - known.sum())
    return Alignment(
        found,
        prediction.kind,
        prediction.geometry,
        x,
        y,
        predicted,
        metres,
        limit,
        own_limit,
        skipped,
        tuple(notes),
    )


def _checked_fit(predicted: Floats, metres: Floats, scale_only: bool, seed: int) -> AffineFit:
    count = metres.size
    if count == 1 and not scale_only:
        raise AlignmentError("one point gives a scale but no shift: measure a second one at another distance")
    if not scale_only and predicted.max() == predicted.min():
        raise AlignmentError(
            f"the prediction is the same at all {count} points: no scale follows from that; measure things at other "
            "distances"
        )
    if scale_only and not (predicted > 0).any():
        raise AlignmentError("the predicted inverse depth is 0 at every point: no scale follows from that")
    if not scale_only:
        _refuse_one_distance(metres)
    if not scale_only and _agreement(predicted, metres, seed) <= 0:
        raise AlignmentError(
            "the scale would be negative: most points that the prediction shows as nearer are farther by the distances "
            "given; are they inverse depth instead of metres, or are x and y swapped?"
        )
    fit = fit_affine_robust(
        predicted, 1 / metres, scale_only=scale_only, rising=True, weights=metres, exact=_EXACT, seed=seed
    )
    if not scale_only:
        _refuse_one_distance(metres[fit.inliers], " that agree")
    if fit.scale == 0:
        raise AlignmentError("the fitted scale is 0: prediction and distances have nothing to do with each other")
    return fit


def _refuse_one_distance(metres: Floats, which: str = "") -> None:
    nearest, farthest = float(metres.min()), float(metres.max())
    if farthest < _SPREAD * nearest:
        raise AlignmentError(
            f"all {metres.size} points{which} are {nearest:.4g} m away: scale and shift need points at different "
            "distances; with one distance only the scale can be fitted"
        )


def _agreement(predicted: Floats, metres: Floats, seed: int) -> float:
    """Return the share of pairs in the right order minus that of pairs in the wrong one: Kendall's tau, or an estimate.

    The sign of the scale follows from all points, which outliers turn less easily than the fit to half of them.
    """
    if metres.size <= _ALL_PAIRS:
        i, j = np.triu_indices(metres.size, 1)
    else:
        i, j = np.random.default_rng(seed).integers(0, metres.size, (2, _ALL_PAIRS**2 // 2))
    return float(np.mean(np.sign(predicted[i] - predicted[j]) * np.sign(metres[j] - metres[i])))


def _inverse_depth(prediction: DepthPrediction) -> Floats:
    values = prediction.depth.astype(np.float64)
    if prediction.kind == "relative":
        return values
    return np.divide(1.0, values, out=np.full_like(values, np.nan), where=values > 0)


def _measured_map(measured: DepthPrediction) -> Values:
    if measured.kind != "metric":
        raise DepthKindError("the measured depth must be in metres, this is relative inverse depth")
    return np.where(measured.valid, measured.depth, np.float32(np.nan))


def _sample_points(prediction: DepthPrediction, samples: npt.ArrayLike, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return x, y (pixels of the prediction) and metres of every measurement, checked."""
    try:
        values = np.asarray(samples, np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"samples are numbers: (N, 3) of x, y and metres, or a depth map ({error})") from error
    if values.ndim != 2:
        raise OptionError(f"samples are (N, 3) of x, y and metres, or a depth map (H, W), not {values.shape}")
    if values.size == 0:
        raise AlignmentError("no point was given: measure at least one distance")
    if values.shape[1] == 3 and values.shape != prediction.depth.shape:
        _check_points(values, prediction)
        return values[:, 0], values[:, 1], values[:, 2]
    height, width = values.shape
    if abs(math.log(width * prediction.height / (height * prediction.width))) > SAME_ASPECT:
        raise InputError(
            f"the measured depth map is {width} x {height}, the prediction {prediction.width} x {prediction.height}, "
            "another shape: it belongs to another picture, or one of them was cropped or turned"
        )
    rows, columns = np.nonzero(np.isfinite(values) & (values > 0))
    if rows.size == 0:
        raise AlignmentError("the measured depth map has no measurement: 0 and NaN mean none")
    if rows.size > _MAX_SAMPLES:
        some = np.sort(np.random.default_rng(seed).choice(rows.size, _MAX_SAMPLES, replace=False))
        rows, columns = rows[some], columns[some]
    x = (columns + 0.5) * (prediction.width / width) - 0.5
    y = (rows + 0.5) * (prediction.height / height) - 0.5
    return x, y, values[rows, columns]


def _check_points(points: Floats, prediction: DepthPrediction) -> None:
    x, y, metres = points.T
    bad = ~np.isfinite(points).all(axis=1) | ~(metres > 0)
    if bad.any():
        number = int(bad.argmax())
        raise AlignmentError(
            f"point {number + 1} (x {x[number]:g}, y {y[number]:g}) is {metres[number]:g} m away: positions are "
            "finite, and distances positive"
        )
    outside = (x < -0.5) | (x >= prediction.width - 0.5) | (y < -0.5) | (y >= prediction.height - 0.5)
    if outside.any():
        number = int(outside.argmax())
        raise AlignmentError(
            f"point {number + 1} (x {x[number]:g}, y {y[number]:g}) is outside the picture of {prediction.width} x "
            f"{prediction.height}: were the positions taken from another size of it, or are x and y swapped?"
        )


def _in_geometry(metres: Floats, given: Geometry, prediction: DepthPrediction, x: Floats, y: Floats) -> Floats:
    if given not in get_args(Geometry):
        raise OptionError(f"unknown geometry '{given}': choose one of {', '.join(get_args(Geometry))}")
    if given == prediction.geometry:
        return metres
    camera: Camera | None = prediction.camera
    if camera is None:
        raise OptionError(
            f"the distances are {given}, the prediction is {prediction.geometry}: converting takes a camera "
            "(prediction.replace(camera=...))"
        )
    factor = np.sqrt(1 + ((x - camera.cx) / camera.fx) ** 2 + ((y - camera.cy) / camera.fy) ** 2)
    return np.asarray(metres / factor if given == "ray" else metres * factor)
