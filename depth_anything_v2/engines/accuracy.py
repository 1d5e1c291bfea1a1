"""How far a faster precision is from float32, on photographs; the gate that `precision='auto'` must pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.io.images import read_image, to_float
from depth_anything_v2.metrics import pair_order
from depth_anything_v2.util.transform import network_size, preprocess

PHOTOGRAPHS = Path(__file__).parent / "data"
MAX_RELATIVE_ERROR = 1e-2
MIN_ORDER = 0.999
WORTH = 0.9  # a precision must need less than this share of float32's time, or it brings nothing
_PAIRS = 200_000


@dataclass(frozen=True)
class Accuracy:
    """What a precision does to the example photographs, the worst of them.

    relative_error: norm of the difference from float32 over the norm of float32; order: share of pixel pairs, more
    than 10 % apart in float32, whose order stays; time_ratio: time of a pass over that of float32.
    """

    relative_error: float
    order: float
    time_ratio: float

    @property
    def passes(self) -> bool:
        return self.relative_error <= MAX_RELATIVE_ERROR and self.order >= MIN_ORDER

    @property
    def pays(self) -> bool:
        return self.passes and self.time_ratio <= WORTH

    def to_dict(self) -> dict[str, float]:
        """Return JSON data; `Accuracy(**data)` is its inverse."""
        return asdict(self)

    def __str__(self) -> str:
        return f"relative error {self.relative_error:.1e}, order of pixel pairs {self.order:.2%}"


def inputs(config: ModelConfig, size: tuple[int, int] | None = None) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the example photographs as (1, 3, H, W) network inputs, at the model's own input size or in one `size`."""
    steps = config.preprocessing
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        rgb = to_float(read_image(path))
        shape = size or network_size(rgb.shape[0], rgb.shape[1], steps.input_size, steps.multiple_of)
        yield preprocess(rgb, steps, shape)[None]


def compare(exact: npt.NDArray[np.float32], near: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return relative error and order of pixel pairs of two results, as in `Accuracy`."""
    first, second = exact.astype(np.float64).ravel(), near.astype(np.float64).ravel()
    norm = float(np.linalg.norm(first))
    error = float(np.linalg.norm(second - first)) / norm if norm else float(np.abs(second).max())
    order = pair_order(second, first, pairs=_PAIRS)
    return (error if np.isfinite(error) else np.inf), (1.0 if np.isnan(order) else order)


def measure(reference: Engine, candidate: Engine, config: ModelConfig, size: tuple[int, int] | None = None) -> Accuracy:
    """Compare an engine with the float32 one on every example photograph; size: the only one that they take."""
    worst_error, worst_order = 0.0, 1.0
    spent: dict[str, list[float]] = {"reference": [], "candidate": []}
    for batch in inputs(config, size):
        results = []
        for who, engine in (("reference", reference), ("candidate", candidate)):
            engine(batch)  # the first pass at a size prepares it
            began = time.perf_counter()
            results.append(engine(batch))
            spent[who].append(time.perf_counter() - began)
        error, order = compare(*results)
        worst_error, worst_order = max(worst_error, error), min(worst_order, order)
    ratio = float(np.median(np.divide(spent["candidate"], spent["reference"])))
    return Accuracy(worst_error, worst_order, ratio)


def from_record(data: Any) -> Accuracy | None:
    """Return what `to_dict` wrote, None for anything else."""
    try:
        return Accuracy(**{name: float(value) for name, value in data.items()})
    except (AttributeError, TypeError, ValueError):
        return None
