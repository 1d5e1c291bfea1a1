"""One training, complete: what presets and people's TOML files are checked against.

Every table of the file is a frozen dataclass here; `schema` builds them. Lengths are in optimiser steps, sizes in
pixels of the network's input, depths in metres.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from depth_anything_v2.config import Geometry, Kind, ModelConfig, model_config
from depth_anything_v2.errors import OptionError

TaskName = Literal["relative", "metric"]
PICTURES = "pictures"  # a folder of pictures without depth, for the teacher
RENDERED = "rendered"  # shards of `datasets.rendered`


def limited(default: Any, low: float | None = None, high: float | None = None, *, above: bool = False) -> Any:
    """Return a field whose numbers (each one of a tuple) are within low and high; above: larger than low."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "above": above})


@dataclass(frozen=True)
class Source:
    """One dataset. dataset: a name of `datasets.readers.DATASETS`, 'rendered' (shards) or 'pictures' (no depth).

    name: what `--data NAME=FOLDER` calls it, the dataset's own without it. labels: 'own', or the 'teacher's (always
    for pictures). repeat: so many times in one epoch. limit: only the first so many. scale, kind, geometry: of a
    manifest.
    """

    dataset: str
    root: str = ""
    name: str = ""
    split: str = ""
    file_list: str = ""
    labels: Literal["own", "teacher"] = "own"
    repeat: int = limited(1, 1)
    limit: int = limited(0, 0)
    resize_image: bool = False
    scale: float | None = limited(None, 0, above=True)
    kind: Kind | None = None
    geometry: Geometry | None = None

    @property
    def called(self) -> str:
        return self.name or self.dataset


@dataclass(frozen=True)
class DataConfig:
    """sizes: (height, width) of the crops, one of them for each step. batch_size: pictures of one step, over all
    processes; batch_pixels: instead, as many as have about so many pixels. workers: processes that read, for each
    that trains; 0: none.
    """

    train: tuple[Source, ...] = ()
    val: tuple[Source, ...] = ()
    sizes: tuple[tuple[int, int], ...] = limited(((518, 518),), 14)
    batch_size: int = limited(8, 1)
    batch_pixels: int = limited(0, 0)
    min_depth: float = limited(0.001, 0, above=True)
    workers: int = limited(2, 0)


@dataclass(frozen=True)
class ModelSection:
    """encoder: of the published sizes or lite0; the numbers below it make one of another size.

    checkpoint: what training starts from: a registry name, a file (DINOv2's own encoder, too), or 'imagenet' for lite0;
    '' starts from nothing. part: 'encoder' leaves the head new, as the original does for metric depth. max_depth:
    metres, for metric depth only.
    """

    encoder: str = "vits"
    checkpoint: str = ""
    part: Literal["encoder", "all"] = "all"
    max_depth: float | None = limited(None, 0, above=True)
    embed_dim: int | None = limited(None, 16)
    depth: int | None = limited(None, 4)
    num_heads: int | None = limited(None, 1)
    taps: tuple[int, int, int, int] | None = limited(None, 0)
    features: int | None = limited(None, 2)
    out_channels: tuple[int, int, int, int] | None = limited(None, 1)
    head_hidden: int | None = limited(None, 1)
    input_size: int | None = limited(None, 14)

    def build(self) -> ModelConfig:
        """Return the architecture. Raises OptionError for an unknown encoder or sizes that do not fit together."""
        config = model_config(self.encoder, self.max_depth)
        names = ("embed_dim", "depth", "num_heads", "taps", "features", "out_channels", "head_hidden")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.input_size is not None:
            given["preprocessing"] = dataclasses.replace(config.preprocessing, input_size=self.input_size)
        sized = [name for name in names[:4] if name in given]
        if not sized:
            return dataclasses.replace(config, **given)
        if config.family != "dinov2":
            raise OptionError(f"model.{sized[0]} is of a transformer; '{self.encoder}' is none")
        custom = dataclasses.replace(config, **given)
        if custom.embed_dim % custom.num_heads:
            raise OptionError(
                f"model.embed_dim ({custom.embed_dim}) must be a multiple of num_heads: {custom.num_heads}"
            )
        if custom.depth != config.depth and "taps" not in given:
            custom = dataclasses.replace(custom, taps=_spread(custom.depth))
        if max(custom.taps) >= custom.depth:
            raise OptionError(f"model.taps are blocks 0 to {custom.depth - 1}, not {max(custom.taps)}")
        return dataclasses.replace(custom, encoder=f"vit-{custom.embed_dim}x{custom.depth}")


def _spread(depth: int) -> tuple[int, int, int, int]:
    """Return the ends of the four quarters of the blocks, as ViT-S and ViT-B are tapped."""
    first, second, third, fourth = ((quarter + 1) * depth // 4 - 1 for quarter in range(4))
    return first, second, third, fourth


@dataclass(frozen=True)
class AugmentationConfig:
    """zoom: side of the crop as a share of the largest crop of its shape, (smallest, largest). The others are shares
    of the pictures: flip (mirrored), light (gamma and brightness), colour (contrast, saturation, tint), grey, blur and
    noise.
    """

    flip: float = limited(0.5, 0, 1)
    zoom: tuple[float, float] = limited((1.0, 1.0), 0.05, 1)
    light: float = limited(0.0, 0, 1)
    colour: float = limited(0.0, 0, 1)
    grey: float = limited(0.0, 0, 1)
    blur: float = limited(0.0, 0, 1)
    noise: float = limited(0.0, 0, 1)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts. Metric: SiLog with `silog_lambda`, taken over `silog_pictures` pictures together.

    alignment: of the student's last features with the frozen encoder it started from, where their cosine is below
    `alignment_margin`. teacher_drop: the share of each picture with the largest loss that is left out where the labels
    are the teacher's.
    """

    ssi: float = limited(1.0, 0)
    gradient: float = limited(2.0, 0)
    ranking: float = limited(0.0, 0)
    anchor: float = limited(0.0, 0)
    silog_lambda: float = limited(0.5, 0, 1)
    silog_pictures: int = limited(1, 1)
    alignment: float = limited(0.0, 0)
    alignment_margin: float = limited(0.85, -1, 1)
    teacher_drop: float = limited(0.1, 0, 0.9)


@dataclass(frozen=True)
class TeacherConfig:
    """checkpoint: what labels the pictures, a name or a file; '' for none."""

    checkpoint: str = ""


@dataclass(frozen=True)
class OptimiserConfig:
    """encoder_rate, head_rate: learning rates. layer_decay: factor on the rate from each block of the encoder to the
    one before it. frozen_blocks: the embedding and the first so many blocks (lite0: the stem and stages) are not
    trained; 0: all are. clip_norm: largest norm of the gradient, 0: any.
    """

    name: Literal["adamw", "adam"] = "adamw"
    encoder_rate: float = limited(5e-6, 0)
    head_rate: float = limited(5e-5, 0)
    layer_decay: float = limited(1.0, 0, 1, above=True)
    frozen_blocks: int = limited(0, 0)
    betas: tuple[float, float] = limited((0.9, 0.999), 0, 0.99999)
    weight_decay: float = limited(0.01, 0)
    clip_norm: float = limited(0.0, 0)


@dataclass(frozen=True)
class ScheduleConfig:
    """steps, or epochs where steps is 0. shape: of the rate after the warm-up: 'polynomial' (1 - t) ** power over the
    run, 'cosine', 'constant', or 'decay': constant, then a cosine to zero over the last decay_steps.
    """

    steps: int = limited(0, 0)
    epochs: int = limited(0, 0)
    warmup_steps: int = limited(0, 0)
    shape: Literal["polynomial", "cosine", "constant", "decay"] = "polynomial"
    power: float = limited(0.9, 0, above=True)
    decay_steps: int = limited(0, 0)


@dataclass(frozen=True)
class ValidationConfig:
    """every: steps, 0: at the end of each epoch. limit: samples of each source, 0: all. metric: in which
    best.safetensors is the best. pictures: samples drawn each time. input_size: 0 is the shorter side of the largest
    crop.
    """

    every: int = limited(0, 0)
    limit: int = limited(0, 0)
    metric: Literal["delta1", "abs_rel", "rmse", "silog", "order"] = "delta1"
    pictures: int = limited(4, 0)
    input_size: int = limited(0, 0)


@dataclass(frozen=True)
class RunConfig:
    """accumulate: backward passes for one step. ema: 0 for none. licence: of what is added to the parents, an SPDX
    identifier. weights: how best.safetensors stores them. save_every, log_every: steps.
    """

    seed: int = limited(1, 0)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulate: int = limited(1, 1)
    gradient_checkpointing: bool = False
    ema: float = limited(0.0, 0, 0.99999)
    save_every: int = limited(500, 1)
    log_every: int = limited(10, 1)
    tensorboard: bool = True
    weights: Literal["float32", "float16"] = "float32"
    licence: str = ""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run. base (a preset or a file) and task are read before the rest. Raises OptionError
    for what does not fit together.
    """

    task: TaskName
    base: str = ""
    model: ModelSection = ModelSection()
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    teacher: TeacherConfig = TeacherConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    validation: ValidationConfig = ValidationConfig()
    run: RunConfig = RunConfig()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise OptionError(problem)

    def _problems(self) -> list[str]:
        multiple = self.model.build().preprocessing.multiple_of
        odd = [size for size in self.data.sizes if size[0] % multiple or size[1] % multiple]
        pictures = [source for source in self.data.train if source.dataset == PICTURES]
        taught = pictures or [source for source in self.data.train if source.labels == "teacher"]
        zoom = self.augmentation.zoom
        checks = (
            (not self.data.train, "data.train is empty: name at least one dataset to train on"),
            (not self.data.sizes, "data.sizes is empty: give at least one [height, width]"),
            (bool(odd), f"data.sizes: {odd and list(odd[0])} is not a multiple of {multiple}, as the encoder needs"),
            (not (self.schedule.steps or self.schedule.epochs), "how long? give schedule.steps or schedule.epochs"),
            (
                self.task == "metric" and self.model.max_depth is None,
                "model.max_depth is missing: metric depth needs it (20 indoor, 80 outdoor)",
            ),
            (
                self.task == "relative" and self.model.max_depth is not None,
                "model.max_depth is of metric depth, and the task is relative: leave it out",
            ),
            (
                bool(self.model.max_depth and self.data.min_depth >= self.model.max_depth),
                f"data.min_depth ({self.data.min_depth:g}) is not below model.max_depth ({self.model.max_depth})",
            ),
            (bool(taught) and not self.teacher.checkpoint, "teacher.checkpoint is missing: a source needs its labels"),
            (zoom[0] > zoom[1], f"augmentation.zoom is [smallest, largest], not {list(zoom)}"),
            (
                self.schedule.shape == "decay" and not self.schedule.decay_steps,
                "schedule.decay_steps is missing: how long the rate falls at the end",
            ),
            (
                any(source.dataset == PICTURES for source in self.data.val),
                "data.val cannot be pictures without depth: there would be nothing to compare with",
            ),
        )
        return [problem for wrong, problem in checks if wrong]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return dataclasses.asdict(self)
