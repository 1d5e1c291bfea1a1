"""What a checkpoint's numbers mean: relative or metric cannot be seen in the tensors, so the evidence is weighed here.

The order is: what the caller says, metadata inside the file, transformers' config.json, the digest, the file name.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.checkpoints.registry import CheckpointSpec, spec_by_digest, spec_by_file_name
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import CheckpointFormatError, OptionError


@dataclass(frozen=True)
class Evidence:
    """One source's word: metres or None for relative; taps, None where it says nothing of them."""

    source: str
    max_depth_m: float | None
    taps: tuple[int, ...] | None = None
    last_taps: bool | None = None
    encoder: str | None = None
    licence: str | None = None

    def meaning(self) -> str:
        return "relative" if self.max_depth_m is None else f"metric up to {self.max_depth_m:g} m"


@dataclass(frozen=True)
class Decision:
    """The configuration to run; how it is known, None where nothing tells; notes and the ones worth a warning."""

    config: ModelConfig
    how: str | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def metadata_config(metadata: Mapping[str, Any], where: str) -> ModelConfig | None:
    """Return the configuration embedded in a file, None if there is none; raises CheckpointFormatError if broken."""
    data = metadata.get("config")
    if data is None:
        return None
    try:
        return ModelConfig.from_dict(dict(data))
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointFormatError(f"the metadata of {where} can't be read by this version ({error})") from error


def read_transformers_config(path: Path) -> dict[str, Any] | None:
    """Return the config.json beside a file of weights, None if it isn't there or isn't of this architecture."""
    try:
        data = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and data.get("model_type") == "depth_anything" else None


def _from_transformers_config(data: Mapping[str, Any], depth: int) -> Evidence | None:
    """transformers' own defaults: 'relative' where the type is absent, out_indices count the patch embedding as 0."""
    kind = data.get("depth_estimation_type", "relative")
    backbone = data.get("backbone_config") or {}
    indices = backbone.get("out_indices")
    if indices is None and backbone.get("out_features"):
        indices = [name.removeprefix("stage") for name in backbone["out_features"]]
    try:
        taps = tuple((i - 1 if i > 0 else i + depth) for i in map(int, indices)) if indices else None
        max_depth_m = float(data["max_depth"]) if kind == "metric" else None
    except (KeyError, TypeError, ValueError):
        return None
    return Evidence("config.json", max_depth_m, taps) if kind in ("relative", "metric") else None


def _from_spec(spec: CheckpointSpec, source: str) -> Evidence:
    return Evidence(source, spec.max_depth_m, None, spec.taps == "last", encoder=spec.encoder, licence=spec.licence)


def gather(
    path: Path,
    sha256: str | None,
    metadata: Mapping[str, Any],
    transformers_config: Mapping[str, Any] | None,
    config: ModelConfig,
) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """Return what the file's surroundings say, the most trustworthy first, and notes on what was not believed."""
    found: list[Evidence] = []
    notes: list[str] = []
    if metadata.get("config") is not None:
        found.append(Evidence("metadata in the file", config.max_depth_m, config.taps or None))
    if transformers_config is not None:
        told = _from_transformers_config(transformers_config, config.depth)
        if told is None:
            notes.append(f"{path.parent / 'config.json'} doesn't say whether the model is relative or metric")
        else:
            found.append(told)
    if (spec := spec_by_digest(sha256)) is not None:
        found.append(_from_spec(spec, "digest"))
    if (spec := spec_by_file_name(path)) is not None:
        if spec.encoder == config.encoder:
            found.append(_from_spec(spec, "file name"))
        else:
            notes.append(f"{path} is named like {spec.name} but holds {config.encoder}: its name is not believed")
    return tuple(found), tuple(notes)


def decide(
    config: ModelConfig,
    evidence: tuple[Evidence, ...],
    where: str,
    *,
    max_depth_m: float | None = None,
    relative: bool = False,
    v1: bool = False,
) -> Decision:
    """Weigh the caller's word against the evidence; the caller wins, and a conflict is a warning.

    Raises OptionError for relative together with a maximum depth, or for v1 on another architecture.
    """
    if relative and max_depth_m is not None:
        raise OptionError("relative and a maximum depth exclude each other: give one of them")
    if v1 and config.family != "dinov2":
        raise OptionError(f"v1 is for Depth Anything V1 checkpoints; {where} holds {config.encoder}")
    notes: list[str] = []
    conflicts: list[str] = []
    best = evidence[0] if evidence else None
    if relative or max_depth_m is not None:
        said, how = max_depth_m, "option"
        if best is not None and said != best.max_depth_m:
            conflicts.append(_override(said, best, where))
    elif best is not None:
        said, how = best.max_depth_m, best.source
        for other in evidence[1:]:
            if other.max_depth_m != said:
                notes.append(
                    f"{where} is taken as {best.meaning()} ({best.source}), although its {other.source} says "
                    f"{other.meaning()}"
                )
    else:
        said, how = None, ""
    decided = config.with_max_depth(said)
    told = next((e for e in evidence if e.taps is not None or e.last_taps is not None), None)
    if decided.family == "dinov2":
        if told is not None and told.taps is not None:
            decided = dataclasses.replace(decided, taps=told.taps)
        elif told is not None and told.last_taps:
            decided = decided.with_last_taps()
        if v1 and decided.taps != decided.with_last_taps().taps:
            if told is not None:
                conflicts.append(
                    f"v1 makes the head read the last four blocks, although the {told.source} of {where} says V2"
                )
            decided = decided.with_last_taps()
        if len(decided.taps) != 4 or not all(0 <= tap < decided.depth for tap in decided.taps):
            raise CheckpointFormatError(f"{where}: the head can't read the blocks {decided.taps} of {decided.depth}")
    return Decision(decided, how or None, tuple(notes), tuple(conflicts))


def _override(said: float | None, best: Evidence, where: str) -> str:
    if said is not None and best.max_depth_m is not None:
        return f"max depth {said:g} m overrides the checkpoint's {best.max_depth_m:g} m: every distance scales with it"
    asked = "relative" if said is None else f"metric up to {said:g} m"
    return (
        f"{where} is {best.meaning()} by its {best.source}, and running it as {asked}, as asked, "
        "gives numbers it was not trained for"
    )


def unknown_kind(where: str, encoder: str) -> CheckpointFormatError:
    """Return the error for a file whose kind nothing tells."""
    return CheckpointFormatError(
        f"nothing tells whether {where} ({encoder}) is relative or metric, and the wrong choice is silently wrong: "
        "say --relative, or --max-depth with the metres it was trained with (20 indoor, 80 outdoor); "
        "in Python relative=True or max_depth_m="
    )
