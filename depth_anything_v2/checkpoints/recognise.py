"""Telling from names and shapes of tensors which model a file holds, this project's or another."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping

from depth_anything_v2.config import MODEL_CONFIGS, ModelConfig
from depth_anything_v2.errors import CheckpointFormatError

Shapes = Mapping[str, tuple[int, ...]]

# (a pattern that some key matches, what such a file is); the first that fits is named.
_OTHERS = (
    (r"motion_modules", "a Video Depth Anything checkpoint"),
    (r"(^|\.)(cam_dec|cam_enc|gs_head)\.", "a Depth Anything 3 checkpoint"),
    (r"prompt_depth|\.prompt_", "a Prompt Depth Anything checkpoint"),
    (r"^core\.core\.|seed_bin_regressor|conditional_log_binomial|metric_head", "a ZoeDepth checkpoint"),
    (r"patch_encoder|fov\.encoder", "a Depth Pro checkpoint"),
    (r"^pixel_encoder\.|^pixel_decoder\.", "a UniDepth checkpoint"),
    (r"^depth_model\.", "a Metric3D checkpoint"),
    (r"^dpt\.|^pretrained\.model\.|^scratch\.refinenet", "a MiDaS or DPT checkpoint"),
    (r"^(unet\.)?down_blocks\.|^model\.diffusion_model\.", "a diffusion model"),
    (r"^(embeddings|encoder\.layer)\..*(patch_embeddings|layer_scale1)", "a plain DINOv2 encoder without a depth head"),
    (
        r"^(student\.|teacher\.)?(backbone\.)?blocks\.(\d+\.)?\d+\.attn\.qkv",
        "a plain DINOv2 encoder without a depth head",
    ),
    (r"^visual\.|^text_model\.|logit_scale", "a CLIP checkpoint"),
    (r"^(module\.)?layer1\.0\.conv1\.weight", "a ResNet"),
    (r"_conv_stem\.weight|^conv_stem\.", "an EfficientNet without a depth head"),
)
# Tensors that change what the model computes: such a file can't be run as if they were not there.
_MEANINGFUL = re.compile(r"readout_projects|register_tokens|\.bn[12]\.|lora_|\.adapter")


def other_model(keys: Collection[str]) -> str:
    """Return what a file with these keys is, as far as it can be told, in words that follow 'it looks like'."""
    for pattern, name in _OTHERS:
        if any(re.search(pattern, key) for key in keys):
            return name
    return f"a model this project doesn't know (its tensors: {', '.join(sorted(keys)[:3])}, ...)"


def detect_config(shapes: Shapes, where: str) -> ModelConfig:
    """Return the configuration (relative, taps as in V2) of published-name tensors, from their shapes.

    Raises CheckpointFormatError where they are no such model, or one of another size.
    """
    if "pretrained.stem.weight" in shapes:
        return _with_head(MODEL_CONFIGS["lite0"], shapes, where)
    token = shapes.get("pretrained.cls_token") or shapes.get("pretrained.norm.weight")
    blocks = {int(m[1]) for key in shapes if (m := re.match(r"pretrained\.blocks\.(\d+)\.", key))}
    if token is None or not blocks:
        raise CheckpointFormatError(f"{where} is not a Depth Anything checkpoint: it looks like {other_model(shapes)}")
    if not any(key.startswith("depth_head.") for key in shapes):
        kind = other_model(shapes)
        detail = (
            kind if kind.startswith(("a Video", "a Depth", "a Prompt")) else "its encoder alone, without the depth head"
        )
        raise CheckpointFormatError(f"{where} can't be used: it looks like {detail}")
    width, depth = token[-1], max(blocks) + 1
    ffn = "swiglu" if any(".mlp.w12." in key for key in shapes) else "mlp"
    for config in MODEL_CONFIGS.values():
        if (config.embed_dim, config.depth, config.ffn) == (width, depth, ffn):
            return _with_head(config, shapes, where)
    known = ", ".join(f"{c.encoder}: {c.embed_dim} x {c.depth}" for c in MODEL_CONFIGS.values() if c.embed_dim)
    raise CheckpointFormatError(
        f"{where} has an encoder {width} wide with {depth} blocks, which is none of the published sizes ({known})"
    )


def _with_head(config: ModelConfig, shapes: Shapes, where: str) -> ModelConfig:
    """Take the width of the head from the tensors: fine-tunes with a smaller head are loaded as they are."""
    try:
        first, second, third, fourth = (shapes[f"depth_head.scratch.layer{i}_rn.weight"][1] for i in (1, 2, 3, 4))
        features = shapes["depth_head.scratch.layer1_rn.weight"][0]
        hidden = shapes["depth_head.scratch.output_conv2.0.weight"][0]
    except (KeyError, IndexError) as error:
        raise CheckpointFormatError(
            f"{where} holds the encoder {config.encoder} but not the whole depth head (no {error}): "
            "it was cut off when saved, or belongs to another model"
        ) from error
    return dataclasses.replace(
        config, features=features, out_channels=(first, second, third, fourth), head_hidden=hidden
    )


def compare_keys(expected: Shapes, found: Shapes, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check tensors against the model; return the unused ones that are missing and the extra ones, both harmless.

    Raises CheckpointFormatError when a tensor that the model needs is missing, has another shape, or when an extra
    one would change what the model computes.
    """
    missing = [key for key in expected if key not in found]
    unused = tuple(key for key in missing if _is_unused(key))
    needed = [key for key in missing if key not in unused]
    if needed:
        raise CheckpointFormatError(
            f"{where} lacks {len(needed)} of {len(expected)} tensors ({_some(needed)}): "
            "it is incomplete or of another model; save the whole model.state_dict()"
        )
    wrong = [
        f"{key} is {found[key]}, not {expected[key]}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    if wrong:
        raise CheckpointFormatError(f"{where} doesn't fit the model: {_some(wrong)}")
    extra = tuple(key for key in found if key not in expected)
    meaningful = [key for key in extra if _MEANINGFUL.search(key)]
    if meaningful:
        raise CheckpointFormatError(
            f"{where} is a changed architecture: it has {_some(meaningful)}, which this model has no place for"
        )
    return unused, extra


def _is_unused(key: str) -> bool:
    """Tensors of the published files that no forward pass reads."""
    return key == "pretrained.mask_token" or key.startswith("depth_head.scratch.refinenet4.resConfUnit1.")


def _some(items: Collection[str]) -> str:
    shown = list(items)[:3]
    return ", ".join(shown) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
