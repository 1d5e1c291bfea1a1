"""Pictures to tokens."""

from __future__ import annotations

import torch
from torch import nn

from depth_anything_v2.errors import InputError


class PatchEmbed(nn.Module):
    """(N, 3, H, W) to (N, H/patch * W/patch, dim), one token per patch, row by row.

    Raises InputError when H or W is not a multiple of the patch.
    """

    def __init__(self, patch_size: int = 14, in_chans: int = 3, embed_dim: int = 768) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        self.embed_dim = embed_dim
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, stride=patch_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        patch = self.patch_size[0]
        if height % patch or width % patch:
            raise InputError(f"the network input is {height} x {width}; both sides must be multiples of {patch}")
        tokens: torch.Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens
