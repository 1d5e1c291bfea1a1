"""Checkpoints into other files: this project's safetensors, which say what they are, or transformers' format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from depth_anything_v2.checkpoints import keys
from depth_anything_v2.checkpoints.load import LoadedCheckpoint, save_checkpoint, write_safetensors
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import OptionError, OutputError

if TYPE_CHECKING:
    import torch

Target = Literal["native", "transformers"]
TARGETS: tuple[Target, ...] = ("native", "transformers")


def convert_checkpoint(
    loaded: LoadedCheckpoint, out: str | Path, *, half: bool = False, to: Target = "native"
) -> tuple[Path, ...]:
    """Write a loaded checkpoint in another format and return the files written.

    'native': one safetensors file `out`, published names, with configuration, licence and the digest of the source
    inside. 'transformers': a folder `out` with model.safetensors, config.json and preprocessor_config.json, which
    `DepthAnythingForDepthEstimation.from_pretrained` reads. half: float16 instead of float32.

    Raises OptionError (unknown target, architecture that transformers lacks, output equal to the source), OutputError.
    """
    out = Path(out)
    state = _halved(loaded.state) if half else loaded.state
    if to == "native":
        if out.suffix.lower() != ".safetensors":
            raise OptionError(f"the output {out} must end in .safetensors")
        _refuse_source(out, loaded)
        extra = {"source": {"name": loaded.resolved.name, "sha256": loaded.resolved.sha256}}
        return (save_checkpoint(out, state, loaded.config, licence=loaded.licence, extra=extra),)
    if to != "transformers":
        raise OptionError(f"unknown format '{to}': choose one of {', '.join(TARGETS)}")
    if loaded.config.family != "dinov2":
        raise OptionError(f"transformers has no such architecture as {loaded.config.encoder}")
    return _write_transformers(loaded, state, out, half)


def _write_transformers(
    loaded: LoadedCheckpoint, state: dict[str, torch.Tensor], out: Path, half: bool
) -> tuple[Path, ...]:
    from depth_anything_v2.io.atomic import atomic_path

    if loaded.config.max_depth_m is not None and not float(loaded.config.max_depth_m).is_integer():
        raise OptionError(f"transformers takes whole metres as maximum depth, not {loaded.config.max_depth_m:g}")
    weights = out / "model.safetensors"
    _refuse_source(weights, loaded)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {out}: {error.strerror or error}") from error
    data = {
        "config.json": {**transformers_config(loaded.config), "dtype": "float16" if half else "float32"},
        "preprocessor_config.json": _preprocessor_config(loaded.config),
    }
    written = []
    for name, content in data.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        written.append(out / name)
    with atomic_path(weights) as temporary:
        write_safetensors(temporary, keys.to_transformers(state), {"format": "pt"}, weights)
    return (weights, *written)


def _halved(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    import torch

    return {key: value.to(torch.float16) for key, value in state.items()}


def _refuse_source(out: Path, loaded: LoadedCheckpoint) -> None:
    # The tensors may still be mapped from the source: replacing it under them is not safe everywhere.
    if out.exists() and out.samefile(loaded.resolved.path):
        raise OptionError(f"{out} is the checkpoint to convert: give another output")


def transformers_config(config: ModelConfig) -> dict[str, Any]:
    """Return the config.json of transformers for a DINOv2 configuration; there the patch embedding counts as 0."""
    return {
        "architectures": ["DepthAnythingForDepthEstimation"],
        "model_type": "depth_anything",
        "backbone_config": {
            "model_type": "dinov2",
            "architectures": ["Dinov2Model"],
            "hidden_size": config.embed_dim,
            "num_hidden_layers": config.depth,
            "num_attention_heads": config.num_heads,
            "image_size": 518,
            "patch_size": 14,
            "out_indices": [tap + 1 for tap in config.taps],
            "apply_layernorm": True,
            "reshape_hidden_states": False,
            "use_swiglu_ffn": config.ffn == "swiglu",
        },
        "patch_size": 14,
        "reassemble_factors": [4, 2, 1, 0.5],
        "reassemble_hidden_size": config.embed_dim,
        "neck_hidden_sizes": list(config.out_channels),
        "fusion_hidden_size": config.features,
        "head_hidden_size": config.head_hidden,
        "head_in_index": -1,
        "depth_estimation_type": config.kind,
        "max_depth": 1 if config.max_depth_m is None else int(config.max_depth_m),
    }


def _preprocessor_config(config: ModelConfig) -> dict[str, Any]:
    steps = config.preprocessing
    return {
        "image_processor_type": "DPTImageProcessor",
        "do_resize": True,
        "size": {"height": steps.input_size, "width": steps.input_size},
        "keep_aspect_ratio": True,
        "ensure_multiple_of": steps.multiple_of,
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(steps.mean),
        "image_std": list(steps.std),
        "do_pad": False,
    }
