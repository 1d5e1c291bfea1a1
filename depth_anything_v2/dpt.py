"""Depth Anything V2: a DINOv2 encoder and a DPT head, and the way to build any model from its configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from depth_anything_v2.config import MODEL_CONFIGS, ModelConfig, model_config
from depth_anything_v2.dinov2 import PATCH, DinoVisionTransformer
from depth_anything_v2.efficientnet import EfficientNetDepth
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.util.blocks import FeatureFusionBlock, FusionHead, _make_fusion_block, _make_scratch
from depth_anything_v2.util.transform import network_size, preprocess

__all__ = [
    "DPTHead",
    "DepthAnythingV2",
    "FeatureFusionBlock",
    "_make_fusion_block",
    "_make_scratch",
    "build_model",
]


class DPTHead(FusionHead):
    """Tokens of four blocks to one depth map.

    in_channels: width of the tokens; features, out_channels: as in ModelConfig; max_depth_m: None for
    inverse depth, else metres. The coarsest fusion block carries a first residual unit that is never
    used, because the published files have its weights.
    """

    def __init__(
        self,
        in_channels: int,
        features: int = 256,
        use_bn: bool = False,
        out_channels: Sequence[int] = (256, 512, 1024, 1024),
        use_clstoken: bool = False,
        max_depth_m: float | None = None,
        hidden: int = 32,
    ) -> None:
        super().__init__(out_channels, features, use_bn, hidden, max_depth_m)
        self.use_clstoken = use_clstoken
        self.projects = nn.ModuleList(nn.Conv2d(in_channels, out, 1) for out in out_channels)
        first, second, _, last = out_channels
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, 3, stride=2, padding=1),
            ]
        )
        if use_clstoken:
            self.readout_projects = nn.ModuleList(
                nn.Sequential(nn.Linear(2 * in_channels, in_channels), nn.GELU()) for _ in out_channels
            )

    def forward(
        self, out_features: Sequence[tuple[torch.Tensor, torch.Tensor]], patch_h: int, patch_w: int
    ) -> torch.Tensor:
        """Return (N, 1, 14 * patch_h, 14 * patch_w) from four pairs of patch tokens and class token."""
        maps = []
        for level, (tokens, class_token) in enumerate(out_features):
            if self.use_clstoken:
                readout = class_token.unsqueeze(1).expand_as(tokens)
                tokens = self.readout_projects[level](torch.cat((tokens, readout), -1))
            grid = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[-1], patch_h, patch_w)
            maps.append(self.resize_layers[level](self.projects[level](grid)))
        return self.fuse(maps, (patch_h * PATCH, patch_w * PATCH))


class DepthAnythingV2(nn.Module):
    """The published model; keys and shapes are those of the published files.

    encoder: 'vits', 'vitb', 'vitl' or 'vitg'; features and out_channels default to the encoder's own.
    max_depth: None answers in inverse depth (affine-invariant, larger = nearer, no unit); a number of
    metres (20 indoor, 80 outdoor) answers in metres. The device is that of the parameters: move the
    model with `.to(device)`.
    """

    def __init__(
        self,
        encoder: str = "vitl",
        features: int | None = None,
        out_channels: Sequence[int] | None = None,
        use_bn: bool = False,
        use_clstoken: bool = False,
        max_depth: float | None = None,
        *,
        config: ModelConfig | None = None,
    ) -> None:
        super().__init__()
        config = config or model_config(encoder, max_depth)
        if config.family != "dinov2":
            raise OptionError(f"'{config.encoder}' is not a Depth Anything V2 encoder: vits, vitb, vitl or vitg")
        if features is not None:
            config = dataclasses.replace(config, features=features)
        if out_channels is not None:
            first, second, third, fourth = out_channels
            config = dataclasses.replace(config, out_channels=(first, second, third, fourth))
        self.config = config
        self.encoder, self.max_depth = config.encoder, config.max_depth_m
        self.intermediate_layer_idx = {name: list(other.taps) for name, other in MODEL_CONFIGS.items() if other.taps}
        self.intermediate_layer_idx[config.encoder] = list(config.taps)
        self.pretrained = DinoVisionTransformer(config)
        self.depth_head = DPTHead(
            config.embed_dim,
            config.features,
            use_bn,
            config.out_channels,
            use_clstoken,
            config.max_depth_m,
            config.head_hidden,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, H, W) depth for normalised RGB (N, 3, H, W), H and W multiples of 14."""
        taps = self.pretrained.get_intermediate_layers(
            x, self.intermediate_layer_idx[self.encoder], return_class_token=True
        )
        depth: torch.Tensor = self.depth_head(taps, x.shape[-2] // PATCH, x.shape[-1] // PATCH)
        return depth.squeeze(1)

    @torch.no_grad()
    def infer_image(self, raw_image: npt.NDArray[np.uint8], input_size: int = 518) -> npt.NDArray[np.float32]:
        """Return (H, W) float32 depth of a BGR uint8 picture (H, W, 3), as `cv2.imread` gives it.

        Raises InputError when the picture is None or has another shape or type.
        """
        tensor, size = self.image2tensor(raw_image, input_size)
        depth = self.forward(tensor)
        full = functional.interpolate(depth[:, None].float(), size, mode="bilinear", align_corners=True)
        result: npt.NDArray[np.float32] = full[0, 0].cpu().numpy()
        return result

    def image2tensor(
        self, raw_image: npt.NDArray[np.uint8], input_size: int = 518
    ) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return the (1, 3, h, w) network input on the model's device, and the picture's (height, width)."""
        picture = isinstance(raw_image, np.ndarray) and raw_image.ndim == 3 and raw_image.dtype == np.uint8
        if not picture or raw_image.shape[2] != 3 or raw_image.size == 0:
            raise InputError("the picture must be a BGR uint8 array (H, W, 3); cv2.imread gives None for a bad file")
        height, width = raw_image.shape[:2]
        steps = self.config.preprocessing
        rgb = cv2.cvtColor(raw_image, cv2.COLOR_BGR2RGB).astype(np.float64) / 255.0
        array = preprocess(rgb, steps, network_size(height, width, input_size, steps.multiple_of))
        weight = self.pretrained.cls_token
        return torch.from_numpy(array).unsqueeze(0).to(weight.device, weight.dtype), (height, width)


def build_model(config: ModelConfig) -> nn.Module:
    """Return the untrained model of a configuration, on the CPU, in evaluation mode.

    Every model maps normalised pictures (N, 3, H, W) to depth (N, H, W).
    """
    model: nn.Module = DepthAnythingV2(config=config) if config.family == "dinov2" else EfficientNetDepth(config)
    return model.eval()
