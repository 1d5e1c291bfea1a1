"""The textures of a batch on a device, read bilinearly at the level that fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_anything_v2.datasets.scenes.textures import LEVEL_START, LEVELS, SIZE, TEXELS


class Atlas:
    """Textures of several shots, each (n, TEXELS) int32 as `textures.build_atlas` packs them."""

    def __init__(self, packed: Sequence[NDArray[np.int32]], device: torch.device) -> None:
        self._texels = torch.from_numpy(np.concatenate([part.ravel() for part in packed])).to(device)
        first = np.cumsum([0, *(part.size for part in packed[:-1])])
        self._first = torch.from_numpy(first).to(device)
        self._level_start = torch.tensor(LEVEL_START, device=device)

    def read(
        self, shot: Tensor, texture: Tensor | None, u: Tensor, v: Tensor, texels: Tensor, mirror: Tensor | None = None
    ) -> Tensor:
        """Return colours (3, N) in 0..1.

        `u`, `v` (N,) are in whole textures (they repeat, mirrored where `mirror` is 1), `texels` is the number of
        texels under one pixel, `texture` the number in the shot's atlas, None for the noise of number 0.
        """
        level = (texels.clamp(min=1e-6).log2() + 0.4).floor_().clamp_(0, LEVELS - 1)
        side = torch.exp2(-level) * SIZE
        level, row = level.long(), side.int() + 2
        start = self._first.index_select(0, shot) + self._level_start.index_select(0, level)
        if texture is not None:
            start += texture.long() * TEXELS
        x, y = (_wrapped(c, mirror) * side + 0.5 for c in (u, v))
        left, top = x.int(), y.int()
        across, down = x - left, y - top
        at = start + (top * row + left)
        corners = [self._texels.index_select(0, place) for place in (at, at + 1, at + row, at + (row + 1))]
        colours = []
        for shift in (0, 8, 16):
            a, b, c, d = (((corner >> shift) & 255).float() for corner in corners)
            colours.append(torch.lerp(torch.lerp(a, b, across), torch.lerp(c, d, across), down))
        return torch.stack(colours).mul_(1 / 255)


def _wrapped(c: Tensor, mirror: Tensor | None) -> Tensor:
    """Return texture coordinates in 0..1: what is over starts again, or comes back where `mirror` is 1."""
    plain = c - c.floor()
    if mirror is None:
        return plain
    half = c * 0.5
    back = 1 - (2 * (half - half.floor()) - 1).abs()
    return torch.lerp(plain, back, mirror.expand_as(plain)).clamp_(0, 1)
