"""What is known of every published checkpoint: one frozen record each, read from a data file."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import CheckpointNotFoundError

if TYPE_CHECKING:
    from depth_anything_v2.prediction import Provenance

DATA = Path(__file__).parent / "data"
Taps = Literal["spread", "last"]

# Copies and half-precision conversions keep their meaning; any other addition to a name may mean other weights.
_HARMLESS_SUFFIX = r"(?:[-_.](?:fp16|fp32|bf16|float16|float32|half))?(?: ?\(\d+\)| copy)?$"
_PUBLISHED_STEMS = (
    (re.compile(r"^depth_anything_v2_metric_(hypersim|vkitti)_(vit[sblg])" + _HARMLESS_SUFFIX), "metric"),
    (re.compile(r"^depth_anything_v2_(vit[sblg])" + _HARMLESS_SUFFIX), "v2"),
    (re.compile(r"^depth_anything_(vit[sbl])14" + _HARMLESS_SUFFIX), "v1"),
)


@dataclass(frozen=True)
class CheckpointSpec:
    """Everything known of one published checkpoint.

    kind: what its numbers are; max_depth_m: metres, None for relative ones; licence: SPDX identifier of the
    weights, None when not known; repo, repo_type, folder, file: where it is on the Hugging Face Hub (repo is
    None when it was never published there); bytes, sha256: of the file, None when not known; status: a sentence
    on why it can't be downloaded, else None; taps: 'last' for Depth Anything V1, whose head reads the last four
    blocks; canonical_focal_px: of metric ones, the focal length of the training pictures in pixels once they were
    resized for the network (shorter side 518).
    """

    name: str
    encoder: str
    kind: Kind
    max_depth_m: float | None
    licence: str | None
    repo: str | None
    file: str
    bytes: int | None = None
    sha256: str | None = None
    status: str | None = None
    taps: Taps = "spread"
    summary: str = ""
    repo_type: str = "model"
    folder: str = ""
    canonical_focal_px: float | None = None

    @property
    def downloadable(self) -> bool:
        """Whether it was published on the Hub, so that it can be fetched."""
        return self.repo is not None

    @property
    def builtin(self) -> bool:
        """Whether it ships inside this package."""
        return self.name == "builtin"

    @property
    def hub_path(self) -> str:
        """Path of the file inside its Hub repository."""
        return f"{self.folder}/{self.file}" if self.folder else self.file


@functools.cache
def _registry() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / "registry.json").read_text(encoding="utf-8"))
    return data


def _builtin_facts() -> dict[str, Any]:
    """Return what the file beside the built-in weights says of them (sha256, bytes, licence, summary)."""
    path = DATA / "builtin.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    weights = DATA / "builtin.safetensors"
    if weights.is_file():
        facts.setdefault("bytes", weights.stat().st_size)
    return {key: facts[key] for key in ("bytes", "sha256", "licence", "summary") if facts.get(key)}


@functools.cache
def list_checkpoints() -> tuple[CheckpointSpec, ...]:
    """Return the record of every checkpoint with a name, the built-in one first."""
    specs = (CheckpointSpec(**record) for record in _registry()["checkpoints"])
    return tuple(dataclasses.replace(spec, **_builtin_facts()) if spec.builtin else spec for spec in specs)


@functools.cache
def transformers_checkpoints() -> tuple[CheckpointSpec, ...]:
    """Return the same checkpoints as transformers publishes them (model.safetensors in their own repositories)."""
    return tuple(
        dataclasses.replace(find_spec(record["name"]), **{k: v for k, v in record.items() if k != "name"})
        for record in _registry()["transformers"]
    )


def find_spec(name: str) -> CheckpointSpec:
    """Return the record of a registry name; raises CheckpointNotFoundError that suggests the nearest names."""
    specs = {spec.name: spec for spec in list_checkpoints()}
    if name in specs:
        return specs[name]
    near = difflib.get_close_matches(name.lower(), ["auto", *specs], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the names are auto, {', '.join(specs)}"
    raise CheckpointNotFoundError(f"no checkpoint, file or folder is named '{name}': {hint}")


def spec_by_digest(sha256: str | None) -> CheckpointSpec | None:
    """Return the record whose published file has this SHA-256, in either format."""
    if sha256 is None:
        return None
    everything = (*list_checkpoints(), *transformers_checkpoints())
    return next((spec for spec in everything if spec.sha256 == sha256), None)


def spec_by_file_name(path: str | Path) -> CheckpointSpec | None:
    """Return the record that a file name promises: only the published names, `_fp16` and the like, and copies."""
    stem = Path(path).name.rsplit(".", 1)[0].lower()
    for pattern, family in _PUBLISHED_STEMS:
        match = pattern.match(stem)
        if match is None:
            continue
        if family == "metric":
            place = {"hypersim": "indoor", "vkitti": "outdoor"}[match[1]]
            name = f"metric-{place}-{match[2]}"
        else:
            name = match[1] if family == "v2" else f"v1-{match[1]}"
        return next((spec for spec in list_checkpoints() if spec.name == name), None)
    return None


def canonical_focal_px(provenance: Provenance) -> float | None:
    """Return `CheckpointSpec.canonical_focal_px` of the checkpoint that made a prediction, None when not known."""
    spec = spec_by_digest(provenance.sha256) or spec_by_file_name(provenance.checkpoint)
    spec = spec or next((known for known in list_checkpoints() if known.name == provenance.checkpoint), None)
    return None if spec is None else spec.canonical_focal_px


def spec_by_repo(repo: str) -> CheckpointSpec | None:
    """Return the record published in this Hub repository, in either format; None for others and for V1's Space."""
    everything = (*list_checkpoints(), *transformers_checkpoints())
    return next((s for s in everything if s.repo == repo and s.repo_type == "model"), None)


def dinov2_encoder(sha256: str | None) -> str | None:
    """Return 'vits' ... 'vitg' if this is the digest of a plain DINOv2 encoder, which has no depth head."""
    return next((name for name, digest in _registry()["dinov2_encoders"].items() if digest == sha256), None)
