"""Lines through values of which some are wrong: random pairs first, then least squares on those that agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import AlignmentError, OptionError

Values = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]

_PAIRS = 500  # lines tried: with half the values outliers, one of them is all but certainly through two good ones
_SCORED = 2000  # values on which they are compared
_POLISHED = 10  # of the best, fitted to their own best values before the winner is chosen
_ROUNDS = 20  # of least squares and choosing the inliers again; it is stable after three or four
_SIGMAS = 2.5  # inliers lie within so many standard deviations
_EXACT = 1e-6  # of the typical value: what rounding to float32 adds


def fit_scale_shift(prediction: Values, target: Values) -> tuple[float, float]:
    """Return (a, b) that minimise the sum of squares of a * prediction + b - target.

    Both 1-D (valid pixels only), usually inverse depth. A constant prediction gives a = 0 and b = the
    mean of the target.
    """
    p, t = prediction.astype(np.float64), target.astype(np.float64)
    centred = p - p.mean()
    variance = float(centred @ centred)
    scale = float(centred @ (t - t.mean())) / variance if variance > 0 else 0.0
    return scale, float(t.mean() - scale * p.mean())


@dataclass(frozen=True, eq=False)
class AffineFit:
    """y ~ scale * x + shift. inliers: bool, shape of the values fitted; residual: rms of theirs, in units of y."""

    scale: float
    shift: float
    inliers: npt.NDArray[np.bool_]
    residual: float

    @property
    def inlier_share(self) -> float:
        """Share of the values that are inliers, in [0, 1]; those that are not finite count as outliers."""
        return float(self.inliers.mean())


def fit_affine_robust(
    x: Values,
    y: Values,
    *,
    scale_only: bool = False,
    rising: bool = False,
    weights: Values | None = None,
    threshold: float | None = None,
    exact: float = _EXACT,
    seed: int = 0,
) -> AffineFit:
    """Fit y ~ scale * x + shift (shift 0 with `scale_only`) to the majority of the values.

    x, y: of one shape; pairs that are not finite are left out. Lines through random pairs of values are compared by
    the residual that half of the values keep under (least quantile of squares, Rousseeuw 1984), or with `threshold` by
    the truncated sum of squares (MSAC); the best are polished, and least squares on the inliers ends it. The same
    arguments give the same fit.

    rising: only lines that do not fall are considered (scale >= 0). weights: positive, of the same shape, multiply
    the residuals (1 / standard deviation of y). threshold: the largest (weighted) residual of an inlier; None: 2.5
    standard deviations, estimated from the better half, but at least `exact` times the typical (weighted) value: what
    a measurement cannot tell is never an outlier.

    Raises AlignmentError: fewer than two values (one with `scale_only`), x the same everywhere (0 with `scale_only`),
    no two values that agree within `threshold` or that rise; OptionError: other shapes, a threshold or weights that
    are not positive.
    """
    x64, y64 = np.asarray(x, np.float64), np.asarray(y, np.float64)
    w64 = np.ones_like(x64) if weights is None else np.asarray(weights, np.float64)
    if not x64.shape == y64.shape == w64.shape:
        raise OptionError(f"x, y and weights of a fit have one shape, not {x64.shape}, {y64.shape}, {w64.shape}")
    if threshold is not None and not threshold > 0:
        raise OptionError(f"the threshold of a fit is a positive number, not {threshold:g}")
    finite = np.isfinite(x64) & np.isfinite(y64)
    data = _Data(x64[finite], y64[finite], w64[finite], scale_only, rising)
    if not (np.isfinite(data.weights) & (data.weights > 0)).all():
        raise OptionError("the weights of a fit are finite and positive")
    _check_values(data)
    rng = np.random.default_rng(seed)
    line, threshold = _best_line(_candidate_lines(data, rng), data.sample(rng), threshold, exact)
    chosen = data.residuals(line) <= threshold
    if data.only(chosen).degenerate:
        raise AlignmentError(f"too few of {data.x.size} values agree within {threshold:g} to fit anything to")
    for _ in range(_ROUNDS):
        better = data.only(chosen).least_squares()
        if not data.allows(better):
            break
        line = better
        again = data.residuals(line) <= threshold
        if data.only(again).degenerate or np.array_equal(again, chosen):
            break
        chosen = again
    residual = float(np.sqrt(np.mean((line[0] * data.x[chosen] + line[1] - data.y[chosen]) ** 2)))
    inliers = np.zeros(x64.shape, bool)
    inliers[finite] = chosen
    return AffineFit(float(line[0]), float(line[1]), inliers, residual)


@dataclass(frozen=True, eq=False)
class _Data:
    """The finite values of a fit, all 1-D."""

    x: Floats
    y: Floats
    weights: Floats
    scale_only: bool
    rising: bool

    @property
    def degenerate(self) -> bool:
        """Whether no single line goes through points at these places."""
        if self.x.size == 0:
            return True
        return not bool(self.x.any()) if self.scale_only else bool(self.x.max() == self.x.min())

    def only(self, which: npt.NDArray[Any]) -> _Data:
        return _Data(self.x[which], self.y[which], self.weights[which], self.scale_only, self.rising)

    def allows(self, line: Floats) -> bool:
        return bool(line[0] >= 0) or not self.rising

    def sample(self, rng: np.random.Generator) -> _Data:
        """Return at most `_SCORED` of the values."""
        return self if self.x.size <= _SCORED else self.only(rng.choice(self.x.size, _SCORED, replace=False))

    def residuals(self, lines: Floats) -> Floats:
        """Return the weighted absolute residuals: (N,) of one line (2,), (K, N) of lines (K, 2)."""
        return np.asarray(np.abs(lines[..., :1] * self.x + lines[..., 1:] - self.y) * self.weights)

    def least_squares(self) -> Floats:
        """Return scale and shift; the places must not be degenerate."""
        squares = self.weights**2
        mean_x, mean_y = (0.0, 0.0) if self.scale_only else (squares @ v / squares.sum() for v in (self.x, self.y))
        centred = self.x - mean_x
        scale = (squares * centred) @ (self.y - mean_y) / ((squares * centred) @ centred)
        return np.array([scale, mean_y - scale * mean_x])


def _check_values(data: _Data) -> None:
    least = 1 if data.scale_only else 2
    if data.x.size < least:
        raise AlignmentError(f"{data.x.size} values are too few to fit {'a scale' if least == 1 else 'a line'} to")
    if data.degenerate:
        raise AlignmentError(f"x is {data.x[0]:g} for all {data.x.size} values: no scale follows from that")


def _candidate_lines(data: _Data, rng: np.random.Generator) -> Floats:
    """Return (K, 2) scales and shifts through single values, or pairs of them: all where they are few."""
    lines = _all_lines(data, rng)
    if data.rising:
        lines = lines[lines[:, 0] >= 0]
    if not lines.size:
        raise AlignmentError("no two values are in the order of a line that rises")
    return lines


def _all_lines(data: _Data, rng: np.random.Generator) -> Floats:
    x, y, count = data.x, data.y, data.x.size
    if data.scale_only:
        usable = np.flatnonzero(x)
        one = rng.choice(usable, min(usable.size, _PAIRS), replace=False)
        return np.stack([y[one] / x[one], np.zeros(one.size)], axis=1)
    if count * (count - 1) // 2 <= _PAIRS:
        i, j = np.triu_indices(count, 1)
    else:
        i, j = rng.integers(0, count, (2, 4 * _PAIRS))
    differ = x[i] != x[j]
    if not differ.any():  # nearly all values are the same: the extremes are not
        i, j, differ = np.array([x.argmin()]), np.array([x.argmax()]), np.array([True])
    i, j = i[differ][:_PAIRS], j[differ][:_PAIRS]
    scale = (y[j] - y[i]) / (x[j] - x[i])
    return np.stack([scale, y[i] - scale * x[i]], axis=1)


def _best_line(lines: Floats, data: _Data, threshold: float | None, exact: float) -> tuple[Floats, float]:
    """Return the winner of the candidates, polished, and the threshold of its inliers."""
    degrees = 1 if data.scale_only else 2
    half = min(data.x.size, (data.x.size + degrees + 1) // 2)

    def cost(some_lines: Floats) -> Floats:
        residuals = data.residuals(some_lines)
        if threshold is not None:
            return np.asarray((np.minimum(residuals, threshold) ** 2).sum(axis=1))
        return np.asarray(np.partition(residuals, half - 1, axis=1)[:, half - 1])

    best = lines[np.argsort(cost(lines), kind="stable")[:_POLISHED]]
    polished = np.stack([line for start in best for line in (start, _polish(start, data, half))])
    costs = cost(polished)
    winner = polished[int(costs.argmin())]
    if threshold is not None:
        return winner, threshold
    # Of a normal distribution, half lies within 0.6745 sigma; the second factor is for few values
    # (Rousseeuw & Leroy, Robust Regression and Outlier Detection, 1987).
    sigma = 1.4826 * (1 + 5 / max(1, data.x.size - degrees)) * float(costs.min())
    sizes = np.abs(data.y) * data.weights
    typical = float(np.median(sizes)) or float(sizes.max())
    return winner, max(_SIGMAS * sigma, exact * typical)


def _polish(line: Floats, data: _Data, half: int) -> Floats:
    """Return the line after two rounds of least squares on the half of the values nearest to it."""
    for _ in range(2):
        nearest = data.only(np.argpartition(data.residuals(line), half - 1)[:half])
        if nearest.degenerate:
            return line
        better = nearest.least_squares()
        if not data.allows(better):
            return line
        line = better
    return line
