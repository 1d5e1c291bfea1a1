"""Comparing what is on disk with what was published or downloaded; nothing on disk is changed."""

from __future__ import annotations

from pathlib import Path

from depth_anything_v2.checkpoints import cache
from depth_anything_v2.checkpoints.registry import CheckpointSpec, find_spec, list_checkpoints, spec_by_digest
from depth_anything_v2.checkpoints.resolve import ResolvedCheckpoint, file_on_disk, look_up
from depth_anything_v2.errors import CheckpointError, CheckpointNotFoundError


def changed_in_cache(found: ResolvedCheckpoint) -> str | None:
    """Return a sentence where a resolved file is a download whose bytes have changed, else None."""
    root, spec = cache.cache_dir(), found.spec
    if found.origin not in ("cache", "repository"):
        return None
    expected = spec.sha256 if spec and found.origin == "cache" else None
    if found.path.is_relative_to(root):
        folder, *inside = found.path.relative_to(root).parts
        repo = folder.replace("--", "/", 1)
        own = spec is not None and spec.repo == repo
        expected = (spec.sha256 if spec and own else None) or cache.recorded_digest(repo, "/".join(inside))
    if expected in (None, found.sha256):
        return None
    return f"{found.path} had changed since it was downloaded: loading it by name downloads it again"


def verify_checkpoint(name: str | Path) -> tuple[CheckpointSpec | None, Path, str, bool | None]:
    """Compare a file, or a registry name's file on disk, with the registry.

    Returns the record it was compared with (None when nothing is known of it), the file, its SHA-256, and whether
    that is the published one (None: the registry has no digest to compare with). Raises CheckpointNotFoundError
    when it isn't on disk.
    """
    if isinstance(name, str) and any(spec.name == name for spec in list_checkpoints()):
        spec = find_spec(name)
        path = file_on_disk(spec)
        if path is None:
            raise CheckpointNotFoundError(f"{name} is not on disk: `depth-anything checkpoints download {name}`")
        digest = cache.file_digest(path)
        expected = spec.sha256 or (cache.recorded_digest(spec.repo, spec.hub_path) if spec.repo else None)
        return spec, path, digest, None if expected is None else digest == expected
    resolved = look_up(name)
    if resolved.sha256 is None:
        raise CheckpointError(f"the digest of {resolved.path} can't be computed")
    known = spec_by_digest(resolved.sha256)
    expected = resolved.spec.sha256 if resolved.spec else None
    same = True if known is not None else (False if expected is not None else None)
    return known or resolved.spec, resolved.path, resolved.sha256, same
