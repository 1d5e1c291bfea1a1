"""What a model is made of and how its input is prepared: one table for all encoders."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from depth_anything_v2.errors import OptionError

Kind = Literal["relative", "metric"]
Geometry = Literal["planar", "ray"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the input of a network.

    input_size: length of the shorter side in pixels, before rounding to `multiple_of`.
    multiple_of: both sides of the input are multiples of this (the patch or the coarsest stride).
    mean, std: per channel (RGB), of values in [0, 1].
    interpolation: 'bicubic' without antialiasing, as the published models expect, or 'area', which averages
    over the pixels that fall together when a picture is made smaller (bicubic when it is made larger).
    """

    input_size: int = 518
    multiple_of: int = 14
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Literal["bicubic", "area"] = "bicubic"


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of one model, complete: a model is built from this and nothing else.

    taps are 0-based indices of the blocks whose output feeds the head (for 'efficientnet' the strides
    4, 8, 16, 32 are fixed and taps is empty). max_depth_m is None for relative models (inverse depth)
    and the range of the sigmoid in metres for metric ones.
    """

    encoder: str
    family: Literal["dinov2", "efficientnet"]
    features: int
    out_channels: tuple[int, int, int, int]
    embed_dim: int = 0
    depth: int = 0
    num_heads: int = 0
    ffn: Literal["mlp", "swiglu"] = "mlp"
    taps: tuple[int, ...] = ()
    head_hidden: int = 32
    max_depth_m: float | None = None
    preprocessing: Preprocessing = Preprocessing()

    @property
    def kind(self) -> Kind:
        return "relative" if self.max_depth_m is None else "metric"

    def with_max_depth(self, max_depth_m: float | None) -> ModelConfig:
        """Return the same model answering in metres up to `max_depth_m`, or in inverse depth (None)."""
        if max_depth_m is not None and not (0 < max_depth_m < float("inf")):
            raise OptionError(f"the maximum depth must be a positive number of metres, not {max_depth_m}")
        return dataclasses.replace(self, max_depth_m=None if max_depth_m is None else float(max_depth_m))

    def with_last_taps(self) -> ModelConfig:
        """Return the Depth Anything V1 variant: the head reads the last four blocks.

        Raises OptionError for an encoder without transformer blocks.
        """
        if self.family != "dinov2":
            raise OptionError(f"'{self.encoder}' is not an encoder of Depth Anything V1: vits, vitb or vitl")
        return dataclasses.replace(self, taps=tuple(range(self.depth - 4, self.depth)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; `from_dict` is its inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelConfig:
        """Rebuild a configuration from `to_dict` (lists and tuples are both accepted)."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        steps: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in dict(plain.pop("preprocessing")).items()
        }
        return cls(preprocessing=Preprocessing(**steps), **plain)


def _dinov2(
    encoder: str,
    embed_dim: int,
    depth: int,
    num_heads: int,
    taps: tuple[int, ...],
    features: int,
    out_channels: tuple[int, int, int, int],
    ffn: Literal["mlp", "swiglu"] = "mlp",
) -> ModelConfig:
    return ModelConfig(encoder, "dinov2", features, out_channels, embed_dim, depth, num_heads, ffn, taps)


# Source: the published configurations of Depth Anything V2; lite0 is this project's own small model.
MODEL_CONFIGS: dict[str, ModelConfig] = {
    "vits": _dinov2("vits", 384, 12, 6, (2, 5, 8, 11), 64, (48, 96, 192, 384)),
    "vitb": _dinov2("vitb", 768, 12, 12, (2, 5, 8, 11), 128, (96, 192, 384, 768)),
    "vitl": _dinov2("vitl", 1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024)),
    "vitg": _dinov2("vitg", 1536, 40, 24, (9, 19, 29, 39), 384, (1536, 1536, 1536, 1536), "swiglu"),
    "lite0": ModelConfig(
        "lite0",
        "efficientnet",
        features=48,
        out_channels=(24, 40, 112, 320),
        head_hidden=16,
        preprocessing=Preprocessing(256, 32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="area"),
    ),
}
ENCODERS: tuple[str, ...] = tuple(MODEL_CONFIGS)


def model_config(encoder: str, max_depth_m: float | None = None) -> ModelConfig:
    """Return the configuration of `encoder` ('vits', 'vitb', 'vitl', 'vitg', 'lite0').

    Raises OptionError for an unknown encoder or a maximum depth that is not positive.
    """
    if encoder not in MODEL_CONFIGS:
        raise OptionError(f"unknown encoder '{encoder}': choose one of {', '.join(ENCODERS)}")
    return MODEL_CONFIGS[encoder].with_max_depth(max_depth_m)
