"""The checkpoint doctor: what a file is, how that is known, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_anything_v2.checkpoints import kind
from depth_anything_v2.checkpoints.exported import exported_engine, read_exported, weights_file
from depth_anything_v2.checkpoints.files import sniff
from depth_anything_v2.checkpoints.load import complete, licence_of, read_content, weigh
from depth_anything_v2.checkpoints.registry import spec_by_digest
from depth_anything_v2.checkpoints.resolve import ResolvedCheckpoint, look_up, resolve_checkpoint
from depth_anything_v2.checkpoints.verify import changed_in_cache
from depth_anything_v2.errors import CheckpointError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CheckpointReport:
    """Findings on one file; a field is None where the file doesn't get that far.

    format: 'safetensors', 'pytorch', 'onnx' or 'openvino'; names: 'published' or 'transformers'; kind: 'relative',
    'metric' or 'unknown'; kind_from: what tells it; taps: blocks that the head reads, from 0; parameters: number of
    values; dtypes: stored types; known_as: the registry name whose published bytes these are; problems: sentences.
    """

    path: Path
    bytes: int
    sha256: str | None
    known_as: str | None = None
    format: str | None = None
    names: str | None = None
    encoder: str | None = None
    kind: str = "unknown"
    kind_from: str | None = None
    max_depth_m: float | None = None
    taps: tuple[int, ...] = ()
    parameters: int | None = None
    dtypes: tuple[str, ...] = ()
    licence: str | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {**dataclasses.asdict(self), "path": str(self.path)}


def inspect_checkpoint(name: str | Path, *, offline: bool = True) -> CheckpointReport:
    """Examine a checkpoint without running it; what is wrong with the file is in `problems`, not raised.

    offline=False downloads what is not on disk. With the default nothing on disk is changed, and a download in the
    cache that has other bytes than when it came, which loading would replace, is examined and reported.

    Raises CheckpointNotFoundError when it isn't there.
    """
    resolved = look_up(name) if offline else resolve_checkpoint(name)
    changed = changed_in_cache(resolved)
    known = spec_by_digest(resolved.sha256)
    report = CheckpointReport(
        resolved.path,
        resolved.path.stat().st_size,
        resolved.sha256,
        known.name if known else None,
        notes=resolved.notes,
        licence=resolved.spec.licence if resolved.spec else None,
        problems=(changed,) if changed else (),
    )
    try:
        if exported_engine(resolved.path) is not None:
            return _examine_exported(report)
        report = dataclasses.replace(report, format=sniff(resolved.path))
        return _examine(report, resolved)
    except CheckpointError as error:
        return dataclasses.replace(report, problems=(*report.problems, str(error)))


def _examine_exported(report: CheckpointReport) -> CheckpointReport:
    """Add what an exported file says of itself; the network in it is not read."""
    exported = read_exported(report.path)
    config = exported.config
    origin = f"exported from {exported.source} (SHA-256 {exported.source_sha256}) by version {exported.version}"
    notes = [origin.replace(" (SHA-256 None)", "")]
    if exported.static is not None:
        notes.append(f"it takes network inputs of {exported.static[1]} x {exported.static[0]} pixels only")
    files = {report.path, weights_file(report.path)}
    return dataclasses.replace(
        report,
        bytes=sum(path.stat().st_size for path in files),
        format=exported.engine,
        encoder=config.encoder,
        kind=config.kind,
        kind_from="metadata in the file",
        max_depth_m=config.max_depth_m,
        taps=config.taps,
        dtypes=(exported.precision,),
        licence=exported.licence,
        notes=(*report.notes, *notes),
    )


def _examine(report: CheckpointReport, resolved: ResolvedCheckpoint) -> CheckpointReport:
    content = read_content(resolved.path, resolved.sha256)
    evidence, doubts = weigh(resolved, content)
    decision = kind.decide(content.config, evidence, str(resolved.path))
    problems: list[str] = []
    if decision.how is None:
        problems.append(str(kind.unknown_kind(str(resolved.path), content.config.encoder)))
    completed: tuple[str, ...] = ()
    try:
        _, completed = complete(content.tensors, decision.config, str(resolved.path))
    except CheckpointError as error:
        problems.append(str(error))
    if bad := _not_finite(content.tensors):
        problems.append(f"{len(bad)} tensors hold NaN or infinity (first: {bad[0]}): every result would be empty")
    types = Counter(str(value.dtype).removeprefix("torch.") for value in content.tensors.values())
    return dataclasses.replace(
        report,
        names=content.dialect,
        encoder=content.config.encoder,
        kind=decision.config.kind if decision.how else "unknown",
        kind_from=decision.how,
        max_depth_m=decision.config.max_depth_m,
        taps=decision.config.taps,
        parameters=sum(value.numel() for value in content.tensors.values()),
        dtypes=tuple(name for name, _ in types.most_common()),
        licence=licence_of(resolved, content),
        notes=(*report.notes, *content.notes, *doubts, *decision.notes, *completed),
        problems=(*report.problems, *problems),
    )


def _not_finite(tensors: dict[str, torch.Tensor]) -> list[str]:
    import torch

    return [k for k, v in tensors.items() if v.is_floating_point() and not bool(torch.isfinite(v.float()).all())]
