"""Benchmarks as data: which pictures, which pixels, up to which depth, aligned how, and what was published."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError, OptionError, suggestion

DATA = Path(__file__).parent / "data"

Task = Literal["depth", "pairs", "video"]
Alignment = Literal["none", "scale", "scale-shift-inverse", "scale-shift-depth", "median"]
Limits = Literal["cap", "scene"]
Mean = Literal["images", "scenes"]

ALIGNMENTS: dict[str, str] = {
    "none": "none: the prediction's own metres",
    "scale": "one factor per image, least squares (relative: in inverse depth; metric: in depth)",
    "scale-shift-inverse": "scale and shift per image, least squares in inverse depth",
    "scale-shift-depth": "scale and shift per image, least squares in depth",
    "median": "one factor per image, the ratio of the medians (relative: of inverse depth; metric: of depth)",
}
LIMITS: dict[str, str] = {
    "cap": "predicted depth clipped to the benchmark's smallest and largest depth",
    "scene": "predicted depth kept between half the smallest and twice the largest true depth of the image",
}
DEPTH_METRICS = (
    "order",
    "abs_rel",
    "delta1",
    "delta2",
    "delta3",
    "sq_rel",
    "rmse",
    "rmse_log",
    "log10",
    "silog",
    "boundary_f1",
)


@dataclass(frozen=True)
class Crop:
    """Rows and columns that count: first and last + 1, in pixels, or as shares of the sides when all are at most 1."""

    rows: tuple[float, float]
    columns: tuple[float, float]

    def mask(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """Return (height, width) bool, True inside. Shares are multiplied out and truncated, as Garg et al. do."""
        share = max(*self.rows, *self.columns) <= 1
        inside = np.zeros((height, width), dtype=bool)
        top, bottom = (int(value * (height if share else 1)) for value in self.rows)
        left, right = (int(value * (width if share else 1)) for value in self.columns)
        inside[top:bottom, left:right] = True
        return inside


@dataclass(frozen=True)
class Published:
    """Figures of others: `rows` are {'model': name, metric: value, ...}; they hold for one alignment."""

    source: str
    alignment: str | None
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Benchmark:
    """A protocol, complete: two evaluations under equal benchmarks of equal data can be compared.

    task: 'depth', 'pairs' (which of two points is nearer) or 'video' (clips with camera motion). dataset: the
    reader, with its options. frames: how many samples the set has (None: any number), within `frames_tolerance`.
    crop: what counts of each image. Truth outside min_depth_m..max_depth_m (None: no cap) does not count.
    alignment: of relative predictions; metric ones are taken as they are unless another is asked for.
    limits: see LIMITS. mean: 'images', or 'scenes' (images of one scene count once). metrics: what is reported,
    the first is what images are ranked by.
    """

    name: str
    title: str
    task: Task = "depth"
    dataset: str = ""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    frames: int | None = None
    frames_tolerance: float = 0.0
    crop: Crop | None = None
    min_depth_m: float = 0.001
    max_depth_m: float | None = None
    alignment: Alignment = "scale-shift-inverse"
    limits: Limits = "cap"
    mean: Mean = "images"
    min_valid: int = 10
    metrics: tuple[str, ...] = ("abs_rel", "delta1")
    notes: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("task", Task), ("alignment", Alignment), ("limits", Limits), ("mean", Mean)):
            _one_of(f"benchmark '{self.name}': {name}", getattr(self, name), get_args(kind))
        if self.task == "depth":
            for metric in self.metrics:
                _one_of(f"benchmark '{self.name}': metric", metric, DEPTH_METRICS)
        if not self.metrics:
            raise OptionError(f"benchmark '{self.name}' names no metric")
        if self.limits == "cap" and self.max_depth_m is None and self.task != "pairs":
            raise OptionError(f"benchmark '{self.name}' limits depth to its cap and has none: give max_depth_m")
        if not 0 < self.min_depth_m < (math.inf if self.max_depth_m is None else self.max_depth_m):
            raise OptionError(f"benchmark '{self.name}': min_depth_m must be positive and below max_depth_m")

    @property
    def digest(self) -> str:
        """A short digest of all that shapes the numbers: not of titles, notes and published figures."""
        shaping = dataclasses.replace(self, title="", notes=(), published=(), metrics=tuple(sorted(self.metrics)))
        return hashlib.sha256(json.dumps(dataclasses.asdict(shaping), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def unit(self) -> str:
        """What one sample is, in the plural."""
        return "clips" if self.task == "video" else "images"

    def describe(self) -> dict[str, str]:
        """Return the protocol in words, heading -> sentence."""
        said = {"Benchmark": self.title}
        if self.task == "depth":
            cap = ", no cap" if self.max_depth_m is None else f" to {self.max_depth_m:g} m"
            said["Pixels"] = f"true depth from {self.min_depth_m:g} m{cap}" + (
                f"; rows {_span(self.crop.rows)}, columns {_span(self.crop.columns)}" if self.crop else "; no crop"
            )
        if self.task != "pairs":
            said["Limits"] = LIMITS[self.limits].replace("image", self.unit[:-1])
            over = f"over scenes ({self.unit} of one scene count once)"
            said["Mean"] = f"over {self.unit}" if self.mean == "images" else over
        if self.notes:
            said["Notes"] = " ".join(self.notes)
        return said

    def published_for(self, alignment: str | None, samples: int, limited: bool) -> tuple[list[Published], str]:
        """Return the published figures that may stand beside ours, and a sentence that says why, or why none."""
        if not self.published:
            return [], "No published figures are known for this protocol."
        if limited or (self.frames and abs(samples - self.frames) > self.frames_tolerance * self.frames):
            return [], (
                f"Published figures are not shown: they are of {self.frames} images, and {samples} were scored here."
            )
        matching = [group for group in self.published if group.alignment == alignment]
        if not matching:
            return [], "Published figures are not shown: they are under another alignment."
        return matching, "Published figures, under the same protocol as far as it was published."


def list_benchmarks() -> list[str]:
    """Return the names of the benchmarks that come with the package."""
    return sorted(path.stem for path in DATA.glob("*.json"))


def load_benchmark(name: str | Path) -> Benchmark:
    """Return a benchmark by name, or from a JSON file of the same form as those in `evaluation/data`.

    Raises OptionError for an unknown name, a key that is not known, or a value that makes no sense.
    """
    path = Path(name)
    if path.suffix != ".json":
        _one_of("benchmark", str(name), tuple(list_benchmarks()))
        path = DATA / f"{name}.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the benchmark '{path}': {error}") from error
    return from_dict({"name": path.stem, **data}, str(path))


def from_dict(data: dict[str, Any], where: str) -> Benchmark:
    """Return the benchmark that JSON data describe. Raises OptionError, naming `where`."""
    known = [field.name for field in dataclasses.fields(Benchmark)]
    for key in data:
        _one_of(f"'{where}': key", key, tuple(known))
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
    try:
        if values.get("crop") is not None:
            values["crop"] = Crop(**{key: tuple(value) for key, value in values["crop"].items()})
        published = [Published(p["source"], p.get("alignment"), tuple(p["rows"])) for p in values.get("published", ())]
        values["published"] = tuple(published)
        return Benchmark(**values)
    except OptionError:
        raise
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise OptionError(f"'{where}' is not a benchmark: {error}") from error


def _one_of(what: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise OptionError(f"{what} '{value}' is not known: {suggestion(str(value), map(str, choices))}")


def _span(pair: tuple[float, float]) -> str:
    return f"{pair[0]:g} to {pair[1]:g}"
