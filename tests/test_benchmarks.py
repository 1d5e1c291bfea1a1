"""The scripts of benchmarks/, with small sizes: that they run, and that what they compare is the same thing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with every part of the real ones, and next to no work."""
    import torch

    from depth_anything_v2.checkpoints import save_checkpoint
    from depth_anything_v2.config import ModelConfig
    from depth_anything_v2.dpt import build_model

    config = ModelConfig(
        "tiny",
        "dinov2",
        features=16,
        out_channels=(8, 12, 16, 24),
        embed_dim=32,
        depth=4,
        num_heads=2,
        taps=(0, 1, 2, 3),
    )
    torch.manual_seed(3)
    model = build_model(config)
    model.depth_head.scratch.output_conv2[2].bias.data.fill_(1.0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return save_checkpoint(path, model.state_dict(), config, licence=None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the scripts keep the random weights of vits from test to test."""
    folder = tmp_path_factory.mktemp("kept")
    script("weights.py", folder)
    return folder


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The scripts as modules, which do not stay loaded: their names are short ones."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    found = {name: importlib.import_module(name) for name in ("measure", "weights", "end_to_end")}
    for name in found:
        del sys.modules[name]
    return found


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_original_s_steps_give_the_picture_of_infer_image(
    kept: Path, tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    """So that what is timed is the whole of the work, and the same work."""
    import torch

    from depth_anything_v2.dpt import DepthAnythingV2
    from depth_anything_v2.io import original_picture

    modules["end_to_end"].make_photos(tmp_path / "photos", 2, width=90)
    weights = kept / "checkpoints" / "depth_anything_v2_vits.pth"
    size = ("--input-size", 56)
    said = script(
        "original_steps.py", "--img-path", tmp_path / "photos", "--outdir", tmp_path / "out", "--weights", weights,
        *size, "--times"
    )  # fmt: skip
    assert {line.split("  ")[0] for line in said.splitlines()} >= {"load", "read", "resize", "model", "colour", "write"}
    model = DepthAnythingV2("vits").eval()
    model.load_state_dict(torch.load(weights))
    for photo in sorted((tmp_path / "photos").iterdir()):
        bgr: Any = cv2.imread(str(photo))
        written: Any = cv2.imread(str(tmp_path / "out" / f"{photo.stem}.png"))
        expected = original_picture(bgr, model.infer_image(bgr, 56), pred_only=False, grayscale=False)
        assert written.shape == expected.shape
        different = (written != expected).any(axis=-1)
        assert different.mean() < 0.01  # a rounding may tip a level
        assert np.ptp(written[:, -20:]) > 50


@pytest.mark.slow
def test_model_only(tiny: Path, tmp_path: Path) -> None:
    """All ways of running the same weights give the same depth, where transformers' positions are the model's."""
    for name in ("transformers", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    ours = ("torch:float32", "abacus:float32")
    said = script("model_only.py", "--checkpoint", tiny, "--rounds", 2, "--warm-up", 0, "--ours", *ours, "--json")
    results = json.loads(said)["results"]
    assert list(results) == [
        "plain transformers float32",
        "plain openvino float32",
        "plain onnxruntime float32",
        "ours torch float32",
        "ours abacus float32",
    ]
    assert "abacus" in results.pop("ours abacus float32")["problem"]
    assert not [found["problem"] for found in results.values() if "problem" in found]
    for found in results.values():
        assert len(found["seconds"]) == 2
        assert min(found["seconds"]) <= found["median_s"] <= max(found["seconds"])
        assert found["times_faster"] > 0
        assert found["away"] < 1e-4


def test_end_to_end(kept: Path) -> None:
    said = script(
        "end_to_end.py", "--photos", 2, "--width", 90, "--input-size", 28, "--rounds", 1, "--warm-up", 0,
        "--folder", kept, "--only", "original", "predict", "--predict", "--engine torch --precision float32", "--json"
    )  # fmt: skip
    results = json.loads(said)["results"]
    assert list(results) == ["original", "predict --engine torch --precision float32"]
    for found in results.values():
        assert 30 < found["peak_mib"] < 4000
        assert found["median_s"] > 0.1
        assert found["photos_per_s"] == pytest.approx(2 / found["median_s"])
    first = results["original"]
    assert first["times_faster"] == first["peak_ratio"] == 1


def test_turns_begin_with_another_one_each_round(modules: dict[str, ModuleType]) -> None:
    calls: list[str] = []

    def turn(name: str) -> Any:
        return lambda: calls.append(name) or len(calls)

    results = modules["measure"].in_turns({name: turn(name) for name in "abc"}, rounds=2, warm_up=1)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert results == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_times_faster_is_the_median_of_pairs(modules: dict[str, ModuleType]) -> None:
    assert modules["measure"].times_faster([10, 20, 90], [5, 5, 10]) == 4


def test_a_process_is_measured_and_its_failure_told(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    run_process = modules["measure"].run_process
    small, large = (
        run_process([sys.executable, "-c", f"b = b'x' * {size}; sum(range(10**6))"], tmp_path)
        for size in (1, 400 << 20)
    )
    assert large.peak_bytes - small.peak_bytes >= 390 << 20
    assert small.seconds > 0
    assert small.cpu_seconds > 0
    with pytest.raises(RuntimeError, match="no such thing"):
        run_process([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_photographs_are_the_same_every_time_and_of_the_size_asked_for(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        modules["end_to_end"].make_photos(tmp_path / name, 5, width=200)
    photos = sorted((tmp_path / "one").iterdir())
    assert len(photos) == 5
    for photo in photos:
        assert photo.read_bytes() == (tmp_path / "two" / photo.name).read_bytes()
        shape: Any = cv2.imread(str(photo))
        height, width = shape.shape[:2]
        assert 190 <= max(height, width) <= 210
        assert 1.45 < max(height, width) / min(height, width) < 1.55
