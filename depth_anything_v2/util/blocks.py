"""The convolutional half of DPT: residual units, fusion blocks and the 3x3 layers that feed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class ResidualConvUnit(nn.Module):
    """Two 3x3 convolutions before an addition: x + conv2(relu(conv1(relu(x))))."""

    def __init__(self, features: int, activation: nn.Module, bn: bool) -> None:
        super().__init__()
        self.bn = bn
        self.groups = 1
        self.conv1 = nn.Conv2d(features, features, 3, padding=1, bias=not bn)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=not bn)
        if bn:
            self.bn1 = nn.BatchNorm2d(features)
            self.bn2 = nn.BatchNorm2d(features)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv1(self.activation(x))
        if self.bn:
            out = self.bn1(out)
        out = self.conv2(self.activation(out))
        if self.bn:
            out = self.bn2(out)
        return out + x


class FeatureFusionBlock(nn.Module):
    """Merge a coarse map with a finer one and bring the result to the next level's size.

    Called with the coarse map and, except at the coarsest level, the finer one; `size` is the (height,
    width) of the result, without it `scale_factor` 2. The 1x1 convolution comes after the bilinear
    resize in the original; both are linear and the resize's weights add up to one, so doing it before
    gives the same map with a quarter of the work.
    """

    def __init__(
        self,
        features: int,
        activation: nn.Module,
        deconv: bool = False,
        bn: bool = False,
        expand: bool = False,
        align_corners: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.deconv = deconv
        self.align_corners = align_corners
        self.groups = 1
        self.expand = expand
        self.out_conv = nn.Conv2d(features, features // 2 if expand else features, 1)
        self.resConfUnit1 = ResidualConvUnit(features, activation, bn)
        self.resConfUnit2 = ResidualConvUnit(features, activation, bn)
        self.size = size

    def forward(self, *maps: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        merged = maps[0]
        if len(maps) == 2:
            merged = merged + self.resConfUnit1(maps[1])
        merged = self.out_conv(self.resConfUnit2(merged))
        target = size or self.size
        if target is None:
            return functional.interpolate(merged, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
        return functional.interpolate(merged, size=target, mode="bilinear", align_corners=self.align_corners)


def _make_fusion_block(features: int, use_bn: bool, size: tuple[int, int] | None = None) -> FeatureFusionBlock:
    return FeatureFusionBlock(features, nn.ReLU(False), bn=use_bn, size=size)


def _make_scratch(in_shape: Sequence[int], out_shape: int, groups: int = 1, expand: bool = False) -> nn.Module:
    """Return a module with layer1_rn .. layer4_rn: 3x3 convolutions without bias to `out_shape` channels.

    With `expand` the channels double from level to level.
    """
    scratch = nn.Module()
    for level, channels in enumerate(in_shape):
        out = out_shape * 2**level if expand else out_shape
        layer = nn.Conv2d(channels, out, 3, padding=1, bias=False, groups=groups)
        scratch.add_module(f"layer{level + 1}_rn", layer)
    return scratch


class FusionHead(nn.Module):
    """Four maps from fine to coarse in, one channel out: what the transformer and the small encoder share.

    features: width of the fusion blocks; hidden: width of the last layers at full size; max_depth_m: None
    for inverse depth (ReLU), else the range in metres (sigmoid times max_depth_m).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        features: int,
        use_bn: bool = False,
        hidden: int = 32,
        max_depth_m: float | None = None,
    ) -> None:
        super().__init__()
        self.max_depth_m = max_depth_m
        self.scratch = _make_scratch(in_channels, features)
        for level in range(1, 5):
            self.scratch.add_module(f"refinenet{level}", _make_fusion_block(features, use_bn))
        self.scratch.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        final: nn.Module = nn.ReLU(inplace=True) if max_depth_m is None else nn.Sigmoid()
        self.scratch.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1),
            final,
            nn.Identity(),
        )

    def fuse(self, maps: Sequence[torch.Tensor], output_size: tuple[int, int]) -> torch.Tensor:
        """Return (N, 1, *output_size): inverse depth >= 0, or metres in [0, max_depth_m]."""
        scratch: Any = self.scratch  # its layers are added by name
        levels = [getattr(scratch, f"layer{i + 1}_rn")(m) for i, m in enumerate(maps)]
        path = scratch.refinenet4(levels[3], size=levels[2].shape[2:])
        path = scratch.refinenet3(path, levels[2], size=levels[1].shape[2:])
        path = scratch.refinenet2(path, levels[1], size=levels[0].shape[2:])
        path = scratch.refinenet1(path, levels[0])
        out = functional.interpolate(scratch.output_conv1(path), output_size, mode="bilinear", align_corners=True)
        depth: torch.Tensor = scratch.output_conv2(out)
        return depth if self.max_depth_m is None else depth * self.max_depth_m
