"""Checkpoints: what is published, where it is on disk, and safe loading; importing this loads no torch."""

from depth_anything_v2.checkpoints.convert import convert_checkpoint
from depth_anything_v2.checkpoints.inspect import CheckpointReport, inspect_checkpoint
from depth_anything_v2.checkpoints.load import LoadedCheckpoint, load_checkpoint, save_checkpoint
from depth_anything_v2.checkpoints.registry import CheckpointSpec, find_spec, list_checkpoints
from depth_anything_v2.checkpoints.resolve import ResolvedCheckpoint, is_on_disk, resolve_checkpoint
from depth_anything_v2.checkpoints.verify import verify_checkpoint

__all__ = [
    "CheckpointReport",
    "CheckpointSpec",
    "LoadedCheckpoint",
    "ResolvedCheckpoint",
    "convert_checkpoint",
    "find_spec",
    "inspect_checkpoint",
    "is_on_disk",
    "list_checkpoints",
    "load_checkpoint",
    "resolve_checkpoint",
    "save_checkpoint",
    "verify_checkpoint",
]
