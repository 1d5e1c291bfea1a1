"""The scripts of benchmarks/, with small sizes: that they run, and that what they compare is the same thing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from depth_anything_v2.speed.photos import make_photos

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
SIDE = 518


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
def modules() -> Iterator[dict[str, ModuleType]]:
    """The scripts as modules, which do not stay loaded: their names are short ones."""
    names = ("measure", "weights", "end_to_end", "model_only", "original_steps")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found = {name: importlib.import_module(name) for name in names}
        for name in found:
            del sys.modules[name]
        yield found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, modules: dict[str, ModuleType]) -> Path:
    """A folder in which the scripts find the random weights of vits, as they would keep them there."""
    folder = tmp_path_factory.mktemp("kept")
    weights = modules["weights"].Weights(folder)
    modules["weights"].write_random(weights.checkpoint, "vits")
    modules["weights"].write_transformers(weights)
    return folder


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_original_s_steps_give_the_picture_of_infer_image(
    kept: Path,
    tmp_path: Path,
    modules: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """So that what is timed is the whole of the work, and the same work."""
    import torch

    from depth_anything_v2.dpt import DepthAnythingV2
    from depth_anything_v2.io import original_picture

    make_photos(tmp_path / "photos", 2, width=90)
    weights = kept / "checkpoints" / "depth_anything_v2_vits.pth"
    places = ("--img-path", tmp_path / "photos", "--outdir", tmp_path / "out", "--weights", weights)
    arguments = ["original_steps.py", *places, "--input-size", 56, "--times"]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
    modules["original_steps"].main()
    said = capsys.readouterr().out
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


def test_all_ways_of_running_the_same_weights_give_the_same_depth(
    tiny: Path, tmp_path: Path, modules: dict[str, ModuleType]
) -> None:
    """At the size where transformers' positions are the model's."""
    for name in ("transformers", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    model_only, weights = modules["model_only"], modules["weights"].Weights(tmp_path, given=tiny)
    modules["weights"].write_transformers(weights)
    modules["weights"].write_plain(weights, SIDE, SIDE)
    batch = model_only.example(SIDE, SIDE)
    depths = {}
    for contender in [model_only.Contender(name, False) for name in model_only.RIVALS] + [
        model_only.Contender("torch:float32", True)
    ]:
        depths[contender.label] = contender.load(weights, SIDE, SIDE)(batch)
    first = depths.pop("plain transformers float32")
    assert first.shape == (1, SIDE, SIDE)
    assert np.ptp(first) > 0
    for label, depth in depths.items():
        assert np.linalg.norm(depth - first) < 1e-4 * np.linalg.norm(first), label


def test_model_only(tiny: Path, kept: Path) -> None:
    """A process for each contender; the first of this test is only there to be compared with."""
    ours = ("torch:float32", "abacus:float32")
    said = script(
        "model_only.py", "--checkpoint", tiny, "--folder", kept, "--size", 56, 70, "--rounds", 2, "--warm-up", 0,
        "--rivals", "--ours", *ours, "--json"
    )  # fmt: skip
    results = json.loads(said)["results"]
    assert list(results) == ["ours torch float32", "ours abacus float32"]
    assert "abacus" in results.pop("ours abacus float32")["problem"]
    found = results["ours torch float32"]
    assert len(found["seconds"]) == 2
    assert min(found["seconds"]) <= found["median_s"] <= max(found["seconds"])
    assert found["times_faster"] == 1
    assert found["away"] == 0


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
