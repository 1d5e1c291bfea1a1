"""One transformer block."""

from __future__ import annotations

import torch
from torch import nn

from depth_anything_v2.dinov2_layers.attention import Attention
from depth_anything_v2.dinov2_layers.layer_scale import LayerScale
from depth_anything_v2.dinov2_layers.mlp import Mlp
from depth_anything_v2.dinov2_layers.swiglu_ffn import SwiGLUFFNFused


class Block(nn.Module):
    """Attention and feed-forward, each behind a LayerNorm and scaled before it is added back."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        ffn_layer: type[Mlp] | type[SwiGLUFFNFused] = Mlp,
        init_values: float = 1.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = ffn_layer(dim, int(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, init_values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: torch.Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


# The original's block for lists of tensors, which needs xFormers; depth estimation never passes lists.
NestedTensorBlock = Block
