"""Key names of the published files and of transformers, both ways.

Source: the names in the published files and those that transformers writes and builds (two dialects: saved files
keep the older attention names, `state_dict()` of a model in memory has newer ones).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from depth_anything_v2.errors import CheckpointFormatError

if TYPE_CHECKING:
    import torch

# One of these names the root of every dialect; what stands before it is a wrapper's prefix ('module.', ...).
_ROOTS = ("pretrained.cls_token", "pretrained.norm.weight", "pretrained.stem.weight", "backbone.embeddings.cls_token")

# (published, transformers in saved files); '#' is a number that both share.
_PAIRS = (
    ("pretrained.cls_token", "backbone.embeddings.cls_token"),
    ("pretrained.mask_token", "backbone.embeddings.mask_token"),
    ("pretrained.pos_embed", "backbone.embeddings.position_embeddings"),
    ("pretrained.patch_embed.proj", "backbone.embeddings.patch_embeddings.projection"),
    ("pretrained.blocks.#.attn.proj", "backbone.encoder.layer.#.attention.output.dense"),
    ("pretrained.blocks.#.ls1.gamma", "backbone.encoder.layer.#.layer_scale1.lambda1"),
    ("pretrained.blocks.#.ls2.gamma", "backbone.encoder.layer.#.layer_scale2.lambda1"),
    ("pretrained.blocks.#.mlp.w12", "backbone.encoder.layer.#.mlp.weights_in"),
    ("pretrained.blocks.#.mlp.w3", "backbone.encoder.layer.#.mlp.weights_out"),
    ("pretrained.blocks.#.mlp.fc1", "backbone.encoder.layer.#.mlp.fc1"),
    ("pretrained.blocks.#.mlp.fc2", "backbone.encoder.layer.#.mlp.fc2"),
    ("pretrained.blocks.#.norm1", "backbone.encoder.layer.#.norm1"),
    ("pretrained.blocks.#.norm2", "backbone.encoder.layer.#.norm2"),
    ("pretrained.norm", "backbone.layernorm"),
    ("depth_head.projects.#", "neck.reassemble_stage.layers.#.projection"),
    ("depth_head.resize_layers.#", "neck.reassemble_stage.layers.#.resize"),
    *((f"depth_head.scratch.layer{k}_rn", f"neck.convs.{k - 1}") for k in (1, 2, 3, 4)),
    *(
        (f"depth_head.scratch.refinenet{k}.{ours}", f"neck.fusion_stage.layers.{4 - k}.{theirs}")
        for k in (1, 2, 3, 4)
        for ours, theirs in (
            ("out_conv", "projection"),
            ("resConfUnit1.conv1", "residual_layer1.convolution1"),
            ("resConfUnit1.conv2", "residual_layer1.convolution2"),
            ("resConfUnit2.conv1", "residual_layer2.convolution1"),
            ("resConfUnit2.conv2", "residual_layer2.convolution2"),
        )
    ),
    ("depth_head.scratch.output_conv1", "head.conv1"),
    ("depth_head.scratch.output_conv2.0", "head.conv2"),
    ("depth_head.scratch.output_conv2.2", "head.conv3"),
)
_MEMORY_TO_SAVED = {
    ".attention.q_proj.": ".attention.attention.query.",
    ".attention.k_proj.": ".attention.attention.key.",
    ".attention.v_proj.": ".attention.attention.value.",
    ".attention.o_proj.": ".attention.output.dense.",
    ".mlp.down_proj.": ".mlp.weights_out.",
}
_BLOCK = "backbone.encoder.layer.{}.{}"


def strip_prefix(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Remove what a wrapper put before every name ('module.', '_orig_mod.', 'model.'); return what it was."""
    for root in _ROOTS:
        found = next((key for key in tensors if key == root or key.endswith("." + root)), None)
        if found is not None:
            prefix = found[: -len(root)]
            return {key.removeprefix(prefix): value for key, value in tensors.items()}, prefix
    return dict(tensors), ""


def is_transformers(keys: Mapping[str, object]) -> bool:
    """Whether the names are those of transformers, in either dialect."""
    return "backbone.embeddings.cls_token" in keys


def _renamer(pairs: tuple[tuple[str, str], ...]) -> Callable[[str], str | None]:
    patterns = [
        (re.compile("^" + re.escape(source).replace(r"\#", r"(\d+)") + r"(\.weight|\.bias|$)"), target)
        for source, target in pairs
    ]

    def rename(key: str) -> str | None:
        for pattern, target in patterns:
            match = pattern.match(key)
            if match and match.end() == len(key):
                *numbers, ending = match.groups()
                return target.replace("#", numbers[0] if numbers else "") + ending
        return None

    return rename


def from_transformers(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under the published names; ones that have no counterpart keep theirs.

    Takes files as transformers saves them and `state_dict()` of a model in memory. Raises CheckpointFormatError
    when one of query, key and value, or of gate and up, is missing.
    """
    import torch

    rename = _renamer(tuple((theirs, ours) for ours, theirs in _PAIRS))
    result: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        for newer, older in _MEMORY_TO_SAVED.items():
            key = key.replace(newer, older)
        split = re.match(r"backbone\.encoder\.layer\.(\d+)\.(attention\.attention|mlp)\.(\w+)\.(weight|bias)$", key)
        if split and split[3] in ("query", "key", "value"):
            parts.setdefault(f"pretrained.blocks.{split[1]}.attn.qkv.{split[4]}", {})[split[3]] = value
        elif split and split[3] in ("gate_proj", "up_proj"):
            parts.setdefault(f"pretrained.blocks.{split[1]}.mlp.w12.{split[4]}", {})[split[3]] = value
        else:
            result[rename(key) or key] = value
    for target, pieces in parts.items():
        order = ("query", "key", "value") if ".attn." in target else ("gate_proj", "up_proj")
        if set(order) != set(pieces):
            absent = ", ".join(part for part in order if part not in pieces)
            raise CheckpointFormatError(f"the transformers file is incomplete: {target} has no {absent}")
        result[target] = torch.cat([pieces[part] for part in order])
    return result


def to_transformers(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return published-name tensors under the names that transformers saves; inverse of `from_transformers`.

    Raises CheckpointFormatError for a tensor that transformers has no name for.
    """
    rename = _renamer(_PAIRS)
    result: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        qkv = re.match(r"pretrained\.blocks\.(\d+)\.attn\.qkv\.(weight|bias)$", key)
        if qkv:
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                result[_BLOCK.format(qkv[1], f"attention.attention.{part}.{qkv[2]}")] = piece.contiguous()
            continue
        name = rename(key)
        if name is None:
            raise CheckpointFormatError(f"transformers has no name for the tensor {key}")
        result[name] = value
    return result
