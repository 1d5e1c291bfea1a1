"""From a file on disk to a configuration and tensors under the published names."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_anything_v2.checkpoints import keys, kind
from depth_anything_v2.checkpoints.files import METADATA_KEY, WeightFile, read_weights
from depth_anything_v2.checkpoints.recognise import Shapes, compare_keys, detect_config, other_model
from depth_anything_v2.checkpoints.registry import dinov2_encoder
from depth_anything_v2.checkpoints.resolve import ResolvedCheckpoint
from depth_anything_v2.config import ENCODERS, ModelConfig
from depth_anything_v2.errors import CheckpointFormatError, OptionError, OutputError
from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LoadedCheckpoint:
    """Weights ready for `build_model(config).load_state_dict(state)`.

    state: every tensor of the model under its published name, float32, on the CPU; licence: of the weights, None
    when not known; notes: sentences for the user, those of `resolved` first.
    """

    resolved: ResolvedCheckpoint
    config: ModelConfig
    state: dict[str, torch.Tensor]
    licence: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """What a file turned out to hold: tensors under the published names, as stored, and its architecture."""

    file: WeightFile
    tensors: dict[str, torch.Tensor]
    dialect: str  # 'published' or 'transformers'
    config: ModelConfig
    notes: tuple[str, ...]


def load_checkpoint(
    resolved: ResolvedCheckpoint,
    *,
    encoder: str | None = None,
    max_depth_m: float | None = None,
    relative: bool = False,
    v1: bool = False,
) -> LoadedCheckpoint:
    """Read a checkpoint that `resolve_checkpoint` found.

    encoder: the one asked for; the one in the file is used, and a difference warns. max_depth_m (metres) or
    relative=True: what the model answers, where it isn't known or should be overridden, which warns. v1: the file
    is a Depth Anything V1 checkpoint, whose head reads the last four blocks.

    Raises CheckpointFormatError (damaged, incomplete, another model, kind unknown), CheckpointUnsafeError,
    OptionError.
    """
    if encoder is not None and encoder not in ENCODERS:
        raise OptionError(f"unknown encoder '{encoder}': choose one of {', '.join(ENCODERS)}")
    where = str(resolved.path)
    content = read_content(resolved.path, resolved.sha256)
    evidence, doubts = weigh(resolved, content)
    decision = kind.decide(content.config, evidence, where, max_depth_m=max_depth_m, relative=relative, v1=v1)
    if decision.how is None:
        raise kind.unknown_kind(where, content.config.encoder)
    concerns = list(decision.warnings)
    if encoder is not None and encoder != decision.config.encoder:
        concerns.append(
            f"{where} holds the encoder {decision.config.encoder}, not {encoder}: {decision.config.encoder} is used"
        )
    state, completed = complete(content.tensors, decision.config, where)
    for concern in concerns:
        warnings.warn(concern, UserWarning, stacklevel=2)
    notes = (*resolved.notes, *content.notes, *doubts, *decision.notes, *concerns, *completed)
    return LoadedCheckpoint(resolved, decision.config, state, licence_of(resolved, content), notes)


def read_content(path: Path, sha256: str | None = None) -> Content:
    """Read a file and tell its architecture; tensors are as stored. Raises as `load_checkpoint` does."""
    file = read_weights(path)
    notes = list(file.notes)
    tensors, prefix = keys.strip_prefix(file.tensors)
    if prefix:
        notes.append(f"the prefix '{prefix}' was taken off the names of the tensors")
    dialect = "transformers" if keys.is_transformers(tensors) else "published"
    if dialect == "transformers":
        tensors = keys.from_transformers(tensors)
    plain = dinov2_encoder(sha256)
    if plain is not None:
        raise CheckpointFormatError(
            f"{path} is the DINOv2 encoder that {plain} training starts from: it has no depth head"
        )
    config = kind.metadata_config(file.metadata, str(path)) or detect_config(shapes_of(tensors), str(path))
    return Content(file, tensors, dialect, config, tuple(notes))


def weigh(resolved: ResolvedCheckpoint, content: Content) -> tuple[tuple[kind.Evidence, ...], tuple[str, ...]]:
    """Gather everything that tells relative from metric for a file that was read."""
    config = kind.read_transformers_config(resolved.path) if content.dialect == "transformers" else None
    return kind.gather(resolved.path, resolved.sha256, content.file.metadata, config, content.config)


def licence_of(resolved: ResolvedCheckpoint, content: Content) -> str | None:
    """Return the licence written in the file, else that of the registry's record, else None."""
    licence = content.file.metadata.get("licence")
    return str(licence) if licence else (resolved.spec.licence if resolved.spec else None)


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> Shapes:
    return {key: tuple(value.shape) for key, value in tensors.items()}


def complete(
    tensors: Mapping[str, torch.Tensor], config: ModelConfig, where: str
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return the model's tensors in float32, checked against its architecture, and notes on what was left out.

    Raises CheckpointFormatError for missing, misshapen or quantised tensors.
    """
    import torch

    expected = model_shapes(config)
    found = shapes_of(tensors)
    try:
        unused, extra = compare_keys(expected, found, where)
    except CheckpointFormatError as error:
        if any(key in found for key in expected):
            raise
        raise CheckpointFormatError(f"{where} looks like {other_model(found)}") from error
    state: dict[str, torch.Tensor] = {}
    for key, shape in expected.items():
        value = tensors.get(key)
        if value is not None and not value.is_floating_point():
            raise CheckpointFormatError(
                f"{where} is quantised ({key} is {value.dtype}): a floating-point file is needed"
            )
        state[key] = torch.zeros(shape) if value is None else value.to(torch.float32)
    notes = []
    if extra:
        shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
        notes.append(f"{len(extra)} tensors of {where} that the model doesn't use were left out: {shown}")
    if unused:
        notes.append(f"{where} lacks {len(unused)} tensors that no computation reads: they are zero")
    return state, tuple(notes)


def model_shapes(config: ModelConfig) -> Shapes:
    """Return the names and shapes of a model's tensors without making its weights."""
    import torch

    from depth_anything_v2.dpt import build_model

    with torch.device("meta"):
        return shapes_of(build_model(config).state_dict())


def save_checkpoint(
    path: str | Path,
    state: Mapping[str, torch.Tensor],
    config: ModelConfig,
    *,
    licence: str | None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write weights with what they are, as safetensors, complete or not at all; return the path.

    state: tensors under the published names, in the type to store; config: how to run them; licence: of the
    weights; extra: JSON data kept beside it (parents, training settings, digest of the source). `load_checkpoint`
    reads everything back, relative or metric included. Raises OutputError when it can't be written.
    """
    from depth_anything_v2.io.atomic import atomic_path

    path = Path(path)
    described = {
        "config": config.to_dict(),
        "kind": config.kind,
        "licence": licence,
        "version": __version__,
        **(extra or {}),
    }
    metadata = {"format": "pt", METADATA_KEY: json.dumps(described)}
    with atomic_path(path) as temporary:
        write_safetensors(temporary, state, metadata, path)
    return path


def write_safetensors(temporary: Path, state: Mapping[str, torch.Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write tensors to a temporary name of `path`; the library's own error for a full disk becomes OutputError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    temporary.touch()
    mode = temporary.stat().st_mode & 0o777  # what the umask makes of a new file; the library's own are 0600
    try:
        save_file(tensors, temporary, metadata=metadata)
        temporary.chmod(mode)
    except SafetensorError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
