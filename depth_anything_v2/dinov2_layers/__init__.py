"""Layers of the DINOv2 vision transformer."""

from depth_anything_v2.dinov2_layers.attention import Attention, MemEffAttention
from depth_anything_v2.dinov2_layers.block import Block, NestedTensorBlock
from depth_anything_v2.dinov2_layers.layer_scale import LayerScale
from depth_anything_v2.dinov2_layers.mlp import Mlp
from depth_anything_v2.dinov2_layers.patch_embed import PatchEmbed
from depth_anything_v2.dinov2_layers.swiglu_ffn import SwiGLUFFN, SwiGLUFFNFused

__all__ = [
    "Attention",
    "Block",
    "LayerScale",
    "MemEffAttention",
    "Mlp",
    "NestedTensorBlock",
    "PatchEmbed",
    "SwiGLUFFN",
    "SwiGLUFFNFused",
]
