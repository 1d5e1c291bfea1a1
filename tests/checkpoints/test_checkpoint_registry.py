from __future__ import annotations

import re
import subprocess
import sys

import pytest

from depth_anything_v2.checkpoints import find_spec, list_checkpoints
from depth_anything_v2.checkpoints.registry import (
    spec_by_digest,
    spec_by_file_name,
    spec_by_repo,
    transformers_checkpoints,
)
from depth_anything_v2.config import MODEL_CONFIGS
from depth_anything_v2.errors import CheckpointNotFoundError


def test_names_are_listed_with_the_builtin_one_first() -> None:
    names = [spec.name for spec in list_checkpoints()]
    assert names[0] == "builtin"
    metric = [f"metric-{place}-{size}" for place in ("indoor", "outdoor") for size in ("vits", "vitb", "vitl")]
    v1 = ["v1-vits", "v1-vitb", "v1-vitl"]
    assert names[1:] == ["vits", "vitb", "vitl", "vitg", *metric, *v1]


def test_every_record_is_complete_and_means_one_thing() -> None:
    specs = list_checkpoints()
    digests = [spec.sha256 for spec in (*specs, *transformers_checkpoints()) if spec.sha256]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    for spec in specs:
        assert spec.encoder in MODEL_CONFIGS
        assert spec.summary
        assert (spec.kind == "metric") == (spec.max_depth_m is not None)
        assert spec.taps == ("last" if spec.name.startswith("v1-") else "spread")


@pytest.mark.parametrize(
    ("name", "max_depth_m", "licence", "size"),
    [
        ("vits", None, "Apache-2.0", 99218434),
        ("vitl", None, "CC-BY-NC-4.0", 1341395338),
        ("metric-indoor-vits", 20, "Apache-2.0", 99222290),
        ("metric-outdoor-vitl", 80, "CC-BY-NC-4.0", 1341401064),  # the stricter of the two that are stated
    ],
)
def test_published_facts(name: str, max_depth_m: float | None, licence: str, size: int) -> None:
    spec = find_spec(name)
    assert (spec.max_depth_m, spec.licence, spec.bytes, spec.downloadable) == (max_depth_m, licence, size, True)


def test_giant_has_no_download() -> None:
    giant = find_spec("vitg")
    assert not giant.downloadable
    assert giant.status is not None
    assert "never published" in giant.status


def test_v1_comes_from_a_space() -> None:
    spec = find_spec("v1-vitl")
    assert (spec.repo, spec.repo_type) == ("LiheYoung/Depth-Anything", "space")
    assert spec.hub_path == "checkpoints/depth_anything_vitl14.pth"


@pytest.mark.parametrize(("wrong", "near"), [("vitss", "vits"), ("metric-indor-vitl", "metric-indoor-vitl")])
def test_unknown_name_suggests_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(CheckpointNotFoundError, match=f"did you mean .*{near}"):
        find_spec(wrong)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("depth_anything_v2_vits.pth", "vits"),
        ("some/where/Depth_Anything_V2_ViTB.safetensors", "vitb"),
        ("depth_anything_v2_vitl_fp16.safetensors", "vitl"),
        ("depth_anything_v2_vits (1).pth", "vits"),
        ("depth_anything_v2_metric_hypersim_vitl_fp32.safetensors", "metric-indoor-vitl"),
        ("depth_anything_v2_metric_vkitti_vitb.pth", "metric-outdoor-vitb"),
        ("depth_anything_vitl14.pth", "v1-vitl"),
        ("depth_anything_v2_vits_metric_finetuned.pth", None),  # no longer what the first part says
        ("depth_anything_v2_metric_hypersim_vits_30m.pth", None),
        ("latest.pth", None),
    ],
)
def test_file_names_are_believed_only_when_published(file: str, name: str | None) -> None:
    spec = spec_by_file_name(file)
    assert (spec.name if spec else None) == name


def test_both_formats_are_known_by_digest_and_repository() -> None:
    small = spec_by_digest("3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70")
    assert small is not None
    assert (small.name, small.file) == ("vits", "model.safetensors")
    metric = spec_by_repo("depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf")
    assert metric is not None
    assert (metric.name, metric.max_depth_m, metric.licence) == ("metric-indoor-vitb", 20, "CC-BY-NC-4.0")


def test_nothing_heavy_is_imported() -> None:
    code = """
import sys
from depth_anything_v2.checkpoints import list_checkpoints
import depth_anything_v2.cli.checkpoints
list_checkpoints()
print([m for m in ("torch", "huggingface_hub", "cv2", "safetensors", "numpy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
