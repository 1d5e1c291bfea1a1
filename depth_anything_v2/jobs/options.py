"""What a job is asked to do. Command line, web service and clusters build these; importing them loads no model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import OptionError
from depth_anything_v2.io.camera_files import CameraOptions
from depth_anything_v2.io.legend import ValueRange, check_range
from depth_anything_v2.pipeline import default_workers

if TYPE_CHECKING:
    from depth_anything_v2.estimator import DepthEstimator

Existing = Literal["refuse", "resume", "overwrite"]


@dataclass(frozen=True)
class EstimatorOptions:
    """Which weights, where and how they run; the fields are those of `DepthEstimator.from_pretrained`."""

    checkpoint: str = "auto"
    encoder: str | None = None
    max_depth_m: float | None = None
    relative: bool = False
    v1: bool = False
    offline: bool = False
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    exact: bool = False
    input_size: int | None = None
    batch_size: int | None = None
    max_tokens: int | None = None
    max_pixels: int | None = None
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.relative and self.max_depth_m is not None:
            raise OptionError("a model is relative or has a maximum depth, not both: give --relative or --max-depth")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise OptionError(f"the limit on pixels must be at least 1, not {self.max_pixels}")

    def load(self, *, progress: bool = False, on_wait: Callable[[str], None] | None = None) -> DepthEstimator:
        """Return the estimator; on_wait is told of what takes long and is done once.

        Raises what `DepthEstimator.from_pretrained` raises.
        """
        from depth_anything_v2.estimator import DepthEstimator

        given = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        return DepthEstimator.from_pretrained(given.pop("checkpoint"), progress=progress, on_wait=on_wait, **given)


@dataclass(frozen=True)
class PredictOptions:
    """What is written for each input.

    formats: names from `depth_anything_v2.io.depth_files.FORMATS`; 'png' is a picture for looking at, the
    others hold the numbers. colormap, grayscale, side_by_side ([picture | 50 white columns | depth]), legend
    and value_range ((near, far) in metres, or 'robust') are about that picture only.

    mask: a picture whose white pixels are invalid, or a folder of them named as the outputs. camera: which one
    took the pictures. focal_correction: scale metric depth by its focal length.
    """

    formats: tuple[str, ...] = ("png",)
    colormap: str = "spectral"
    grayscale: bool = False
    side_by_side: bool = False
    legend: bool = False
    value_range: ValueRange = None
    mask: str | None = None
    camera: CameraOptions = field(default_factory=CameraOptions)
    focal_correction: bool = False

    def __post_init__(self) -> None:
        from depth_anything_v2.io.colormaps import COLORMAPS
        from depth_anything_v2.io.depth_files import FORMATS

        object.__setattr__(self, "formats", parse_formats(self.formats, FORMATS))
        if self.colormap not in COLORMAPS:
            raise OptionError(f"unknown colour map '{self.colormap}': choose one of {', '.join(COLORMAPS)}")
        about_picture = {
            "--grayscale": self.grayscale,
            "--side-by-side": self.side_by_side,
            "--legend": self.legend,
            "--range": self.value_range is not None,
        }
        if any(about_picture.values()) and "png" not in self.formats:
            given = ", ".join(name for name, value in about_picture.items() if value)
            raise OptionError(f"{given}: that is about the picture, so add 'png' to the formats")
        check_range(self.value_range, "metric")

    def check_kind(self, kind: Kind) -> None:
        """Raise OptionError for what this kind of depth does not allow: metres of a relative checkpoint."""
        check_range(self.value_range, kind)
        if self.focal_correction and kind == "relative":
            raise OptionError("focal correction is about metres, and this checkpoint is relative: use a metric one")


@dataclass(frozen=True)
class JobOptions:
    """How many inputs are run.

    existing: what to do with outputs that are there already: 'refuse' before anything runs, 'resume' (skip
    what the journal knows as done with the same source, checkpoint and options) or 'overwrite'.
    strict: stop at the first input that fails. journal: keep `.depth-anything/journal.jsonl` in the output
    folder, which resuming needs. workers: threads that read, and as many that write.
    """

    existing: Existing = "refuse"
    strict: bool = False
    journal: bool = True
    workers: int = field(default_factory=default_workers)


def parse_formats(
    values: Iterable[str], known: Sequence[str], *, what: str = "output format", of: str = ""
) -> tuple[str, ...]:
    """Return the formats named in `values`, each a name or a comma list, without repeats.

    known: all there are; what, of: how to call one, before and behind its name. Raises OptionError for an unknown
    name or none at all.
    """
    names = [name.strip().lower().lstrip(".") for value in values for name in value.split(",")]
    wanted = tuple(dict.fromkeys(name for name in names if name))
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        problem = f"unknown {what} '{unknown[0]}'{of}" if unknown else f"no {what}{of} given"
        raise OptionError(f"{problem}: choose from {', '.join(known)}")
    return wanted
