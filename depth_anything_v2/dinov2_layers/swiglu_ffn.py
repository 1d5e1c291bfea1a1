"""The gated feed-forward network of the Giant."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class SwiGLUFFN(nn.Module):
    """w3(silu(a) * b), where a and b are the two halves of w12(x), over the last axis."""

    def __init__(self, in_features: int, hidden_features: int, bias: bool = True) -> None:
        super().__init__()
        self.w12 = nn.Linear(in_features, 2 * hidden_features, bias=bias)
        self.w3 = nn.Linear(hidden_features, in_features, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        out: torch.Tensor = self.w3(functional.silu(gate) * value)
        return out


class SwiGLUFFNFused(SwiGLUFFN):
    """SwiGLU whose hidden width is two thirds of `hidden_features`, rounded up to a multiple of 8."""

    def __init__(self, in_features: int, hidden_features: int, bias: bool = True) -> None:
        super().__init__(in_features, (int(hidden_features * 2 / 3) + 7) // 8 * 8, bias)
