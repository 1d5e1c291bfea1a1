"""The DINOv2 vision transformer, as far as depth estimation uses it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from depth_anything_v2.config import MODEL_CONFIGS, ModelConfig, model_config
from depth_anything_v2.dinov2_layers import Block, Mlp, PatchEmbed, SwiGLUFFNFused
from depth_anything_v2.errors import OptionError
from depth_anything_v2.util.positions import GRID, OFFSET, cubic_pieces

PATCH = 14
CACHED_SIZES = 8
_PAD = 3  # how far beyond its edge the grid is sampled, and repeated


class DinoVisionTransformer(nn.Module):
    """Patch embedding, class token, position embedding, blocks and a final norm.

    The mask token belongs to the published weights and is not used here.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.embed_dim = self.num_features = dim
        self.n_blocks, self.num_heads, self.patch_size = config.depth, config.num_heads, PATCH
        self.patch_embed = PatchEmbed(PATCH, 3, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))
        layer = Mlp if config.ffn == "mlp" else SwiGLUFFNFused
        self.blocks = nn.ModuleList(Block(dim, config.num_heads, ffn_layer=layer) for _ in range(config.depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.exportable = False  # what a converter needs: positions from operations on tensors, whatever the size
        self._positions: dict[tuple[object, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)

    def interpolate_pos_encoding(self, rows: int, columns: int) -> torch.Tensor:
        """Return the (1, 1 + rows * columns, dim) float32 position embedding of a grid of patches.

        The trained grid as it is for 37 x 37; otherwise bicubic by scale factor (n + 0.1) / 37, which
        samples at slightly different places than a resize to the target size would.
        """
        if self.exportable:
            return self._sample_pos_encoding(rows, columns)
        if rows == columns == GRID:
            return self.pos_embed.float()
        grid = self.pos_embed[:, 1:].float().reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
        scale = ((rows + OFFSET) / GRID, (columns + OFFSET) / GRID)
        resized = functional.interpolate(grid, scale_factor=scale, mode="bicubic", antialias=False)
        patches = resized.permute(0, 2, 3, 1).reshape(1, rows * columns, -1)
        return torch.cat((self.pos_embed[:, :1].float(), patches), dim=1)

    def _sample_pos_encoding(self, rows: int, columns: int) -> torch.Tensor:
        """Return the same embedding as two matrix products, rows and columns apart.

        Converters keep this exact at every size, which they don't for a bicubic resize by scale factor. A
        scale of one, for the trained grid itself, samples it where it is.
        """
        counts = [
            torch.ones(count, dtype=torch.float64, device=self.pos_embed.device).sum() for count in (rows, columns)
        ]
        trained = (counts[0] == GRID) & (counts[1] == GRID)
        grid = self.pos_embed[0, 1:].float().reshape(GRID, GRID, -1)
        padded = torch.arange(-_PAD, GRID + _PAD, device=grid.device).clamp(0, GRID - 1)
        grid = grid[padded][:, padded]
        down, across = (
            _cubic_weights(length, torch.where(trained, 1.0, GRID / (count + OFFSET)).float())
            for length, count in zip((rows, columns), counts, strict=True)
        )
        patches = torch.matmul(across, (down @ grid.flatten(1)).reshape(rows, grid.shape[1], -1))
        return torch.cat((self.pos_embed[:, :1].float(), patches.reshape(1, rows * columns, -1)), dim=1)

    def _position_embedding(self, rows: int, columns: int) -> torch.Tensor:
        """Return the position embedding, remembered per size while no gradient is wanted.

        The weight is kept beside each result, so that its address can't be given to other values: loaded,
        replaced or moved weights are noticed. A write through `pos_embed.data` is not.
        """
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self.interpolate_pos_encoding(rows, columns)
        weight = self.pos_embed
        key = (rows, columns, weight.data_ptr(), weight.device, weight.dtype, _version(weight))
        found = self._positions.get(key)
        if found is None:
            if len(self._positions) >= CACHED_SIZES:
                self._positions = {}
            found = self._positions[key] = (weight.detach(), self.interpolate_pos_encoding(rows, columns))
        return found[1]

    def prepare_tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, 1 + patches, dim) tokens of pictures (N, 3, H, W)."""
        rows, columns = x.shape[-2] // PATCH, x.shape[-1] // PATCH
        tokens = self.patch_embed(x)
        tokens = torch.cat((self.cls_token.expand(x.shape[0], -1, -1).to(tokens.dtype), tokens), dim=1)
        return tokens + self._position_embedding(rows, columns).to(tokens.dtype)

    def get_intermediate_layers(
        self,
        x: torch.Tensor,
        n: int | Sequence[int] = 1,
        reshape: bool = False,
        return_class_token: bool = False,
        norm: bool = True,
    ) -> tuple[torch.Tensor | tuple[torch.Tensor, torch.Tensor], ...]:
        """Return the patch tokens after some blocks, finest first.

        n: the 0-based blocks, or how many of the last ones. Each result is (N, patches, dim), with
        `reshape` (N, dim, rows, columns), with `return_class_token` a pair with the class token (N, dim).
        The final norm is applied to each unless `norm` is False.
        """
        wanted = set(range(self.n_blocks - n, self.n_blocks)) if isinstance(n, int) else set(n)
        rows, columns = x.shape[-2] // PATCH, x.shape[-1] // PATCH
        x = self.prepare_tokens(x)
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in wanted:
                taps.append(self.norm(x) if norm else x)
            if len(taps) == len(wanted):
                break
        if len(taps) != len(wanted):
            raise OptionError(f"the encoder has blocks 0 to {self.n_blocks - 1}; asked for {sorted(wanted)}")
        patches = [tap[:, 1:] for tap in taps]
        if reshape:
            patches = [p.transpose(1, 2).reshape(p.shape[0], -1, rows, columns) for p in patches]
        if return_class_token:
            return tuple((patch, tap[:, 0]) for patch, tap in zip(patches, taps, strict=True))
        return tuple(patches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised class token (N, dim)."""
        ((_, token),) = self.get_intermediate_layers(x, 1, return_class_token=True)
        return token


def _cubic_weights(count: int, step: torch.Tensor) -> torch.Tensor:
    """Return the (count, GRID + 2 * _PAD) weights of bicubic sampling at every `step` of a padded grid."""
    place = step * (torch.arange(count, dtype=torch.float32, device=step.device) + 0.5) - 0.5
    column = torch.arange(-_PAD, GRID + _PAD, dtype=torch.float32, device=step.device)
    distance = (place[:, None] - column).abs()
    near, far = cubic_pieces(distance)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))


def _version(weight: torch.Tensor) -> int:
    """Return the in-place version of a weight, so that loading other values ends the cache."""
    return 0 if weight.is_inference() else int(weight._version)


def DINOv2(model_name: str) -> DinoVisionTransformer:  # noqa: N802 - the original's name
    """Return an untrained encoder: 'vits', 'vitb', 'vitl' or 'vitg'."""
    names = [name for name, config in MODEL_CONFIGS.items() if config.family == "dinov2"]
    if model_name not in names:
        raise OptionError(f"unknown encoder '{model_name}': choose one of {', '.join(names)}")
    return DinoVisionTransformer(model_config(model_name))
