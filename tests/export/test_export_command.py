"""`depth-anything export`, and other commands with what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from picture_files import photo

from depth_anything_v2.cli.main import main
from depth_anything_v2.io.depth_files import read_depth


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Run `depth-anything ARGUMENTS...` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> SimpleNamespace:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return SimpleNamespace(status=status, out=out, err=err)

    return run


def test_export_and_predict(command: Callable, checkpoint: Path, tmp_path: Path) -> None:
    done = command("export", "openvino", "-c", checkpoint, "--static", 56, 84)
    assert done.status == 0, done.err
    path, weights, model, drift = done.out.splitlines()
    assert (path, weights) == ("small-56x84.xml", "small-56x84.bin")
    assert "relative inverse depth" in model
    assert "licence apache-2.0" in model
    assert drift.startswith("relative error at its size at most")
    assert done.err.splitlines()[0] == "note: converting small.safetensors ..."
    photo(tmp_path / "in" / "wide.png", 100, 150)
    photo(tmp_path / "in" / "tall.png", 150, 100)
    done = command("predict", "in", "-o", "out", "-f", "npz", "-c", path)
    assert done.status == 1
    assert "1 done, 1 failed" in done.out
    assert "tall.png' (100 x 150) would be 56 x 84 in the network, and this model was exported for 84 x 56" in done.err
    assert read_depth(tmp_path / "out" / "wide.npz").provenance.checkpoint == "small.safetensors"
    again = command("export", "openvino", "-c", checkpoint, "--static", 56, 84)
    assert again.status == 2
    assert again.err.endswith("small-56x84.xml is already there: give --overwrite or another output\n")


def test_predict_with_the_wrong_engine(command: Callable, openvino_file: Path, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    done = command("predict", "a.png", "-c", openvino_file, "--exact")
    assert done.status == 2
    assert "is an OpenVINO model and runs through the engine openvino only, not torch" in done.err
    assert not (tmp_path / "depth").exists() or not any((tmp_path / "depth").iterdir())


def test_inspect_and_verify(command: Callable, openvino_file: Path) -> None:
    done = command("checkpoints", "inspect", openvino_file)
    assert done.status == 0
    assert "relative (from its metadata in the file)" in done.out
    assert "note: exported from small.safetensors (SHA-256 " in done.out
    done = command("checkpoints", "verify", openvino_file)
    assert (done.status, done.err) == (1, "no digest is known to compare it with\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["openvino", "--int8"], "int8 needs photographs to measure with: give a folder with --calibration"),
        (["openvino", "--precision", "half"], "unknown precision of an export 'half': float32 or float16"),
        (["openvino", "--static", "56", "85"], "both sides must be multiples of 14"),
        (["onnx", "-o", "small.xml"], "the output small.xml must end in .onnx"),
        (["openvino", "--relative", "--max-depth", "20"], "a model is relative or has a maximum depth, not both"),
    ],
)
def test_wrong_usage(command: Callable, checkpoint: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = command("export", *arguments, "-c", checkpoint)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
