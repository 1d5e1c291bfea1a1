"""8 bits: what they cost, what is told of it, and that nobody else is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from export_models import FEW_SIZES, SIDE, by_torch, names_in, relative_error, small_config
from picture_files import photo

from depth_anything_v2 import DepthEstimator
from depth_anything_v2.checkpoints import inspect_checkpoint, resolve_checkpoint
from depth_anything_v2.checkpoints.exported import read_exported
from depth_anything_v2.engines import accuracy
from depth_anything_v2.errors import CheckpointError, InputError, MissingExtraError, NoInputError
from depth_anything_v2.export import ExportOptions, export_checkpoint, quantize

pytest.importorskip("nncf")

# Not in a process of pytest, where NNCF reports nothing to anybody whatever it is told.
EXPORT = """
import socket, sys
tried = []
def refuse(self, address):
    tried.append(address)
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *where, **how: refuse(None, where)
from depth_anything_v2.cli.main import main
from depth_anything_v2.export import verify
verify._SIZES = {sizes!r}
status = main(sys.argv[1:])
import nncf.telemetry
print("CONNECTIONS", tried, "telemetry", "openvino_telemetry" in sys.modules and sys.modules["openvino_telemetry"])
raise SystemExit(status)
"""


@dataclass(frozen=True)
class Int8:
    path: Path
    photographs: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs and what only looks like one."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed, (height, width) in enumerate(((96, 128), (128, 96), (100, 100), (96, 200))):
        photo(folder / f"{seed}.png", height, width, seed)
    (folder / "broken.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def int8(checkpoint: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Int8:
    path = tmp_path_factory.mktemp("int8") / "small-int8.xml"
    command = ["export", "openvino", "-c", checkpoint, "-o", path, "--int8", "--calibration", photographs]
    done = subprocess.run(
        [sys.executable, "-c", EXPORT.format(sizes=FEW_SIZES), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Int8(path, photographs, done.stdout, done.stderr)


def test_no_connection_is_tried(int8: Int8) -> None:
    assert int8.out.splitlines()[-1] == "CONNECTIONS [] telemetry None"


def test_says_little(int8: Int8) -> None:
    """The lines of this command and none of NNCF's."""
    *paths, model, drift, _ = int8.out.splitlines()
    assert [Path(line).name for line in paths] == ["small-int8.xml", "small-int8.bin", "small-int8.xml.drift.json"]
    assert model.startswith("small.safetensors: relative inverse depth")
    assert "on 4 calibration photographs median" in drift
    assert int8.err.splitlines()[:3] == [
        "note: converting small.safetensors ...",
        "note: quantising with 4 photographs ...",
        "note: comparing the file with the checkpoint ...",
    ]
    assert "note: skipped: cannot read" in int8.err
    assert len(int8.err.splitlines()) == 4


def test_drift_is_that_of_the_file(int8: Int8, checkpoint: Path) -> None:
    told = json.loads(int8.path.with_name("small-int8.xml.drift.json").read_text(encoding="utf-8"))
    assert (told["precision"], told["source"]["name"]) == ("int8", "small.safetensors")
    assert [entry["photograph"] for entry in told["photographs"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert "broken.jpg" in told["skipped"][0]
    engine = DepthEstimator.from_pretrained(int8.path, precision="float32").engine
    for entry in told["photographs"]:
        batch = quantize.network_input(
            str(int8.photographs / entry["photograph"]), read_exported(int8.path).config, None
        )
        assert batch.shape[2:] == (entry["height"], entry["width"])
        exact, near = by_torch(checkpoint, batch), engine(batch)
        assert 1e-4 < relative_error(exact, near) < 0.1
        assert relative_error(exact, near) == pytest.approx(entry["relative_error"], rel=0.2)
        assert accuracy.compare(exact, near)[1] == pytest.approx(entry["order"], abs=0.02)


def test_provenance_says_int8(int8: Int8, tmp_path: Path) -> None:
    estimator = DepthEstimator.from_pretrained(int8.path, precision="float32")
    told = estimator(photo(tmp_path / "photo.png", SIDE, SIDE)).provenance
    assert (told.precision, told.engine, told.checkpoint) == ("int8", "openvino", "small.safetensors")
    assert DepthEstimator.from_pretrained(int8.path).precision.startswith("int8")
    assert inspect_checkpoint(int8.path).dtypes == ("int8",)


def export(checkpoint: Path, path: Path, *calibration: object, format: str = "openvino") -> None:
    options = ExportOptions(format, int8=True, calibration=tuple(map(str, calibration)))
    export_checkpoint(resolve_checkpoint(checkpoint), path, options)


def test_calibration_pictures_that_are_none(checkpoint: Path, tmp_path: Path) -> None:
    folder, path = tmp_path / "photographs", tmp_path / "small.xml"
    folder.mkdir()
    with pytest.raises(NoInputError, match="holds no pictures"):
        export(checkpoint, path, folder)
    with pytest.raises(NoInputError, match="does not exist"):
        export(checkpoint, path, tmp_path / "none")
    for name in ("a.jpg", "b.png"):
        (folder / name).write_text("no picture")
    with pytest.raises(
        InputError, match=r"no calibration photograph can be read: cannot read .*a\.jpg.* \(and 1 more\)"
    ):
        export(checkpoint, path, folder)
    assert names_in(tmp_path) == {"photographs", "a.jpg", "b.png"}


def test_many_photographs_are_thinned_out(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "MAX_PHOTOGRAPHS", 2)
    assert [Path(source).name for source in quantize.find_photographs([str(photographs)]).sources] == ["0.png", "2.png"]


def test_too_much_drift_is_refused(photographs: Path) -> None:
    """The median counts: one photograph of four may be worse."""
    found = quantize.find_photographs([str(photographs)])

    def exact(batch: np.ndarray) -> np.ndarray:
        return batch[:, 0] + 10

    def off(*shares: float) -> Callable[[np.ndarray], np.ndarray]:
        left = iter(shares)
        return lambda batch: exact(batch) * np.float32(1 + next(left))

    drift = quantize.measure(exact, off(0.01, 0.5, 0.02, 0.09), small_config(), found, None)
    assert [entry.relative_error for entry in drift] == pytest.approx([0.01, 0.5, 0.02, 0.09], rel=1e-3)
    with pytest.raises(CheckpointError, match=r"4 calibration photographs the median .* is 15\.0%, and 10% is allowed"):
        quantize.measure(exact, off(0.01, 0.2, 0.1, 0.5), small_config(), found, None)


def test_without_nncf(checkpoint: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(
        MissingExtraError, match="quantising a model to int8 needs the package 'nncf': pip install nncf"
    ):
        export(checkpoint, tmp_path / "small.xml", photographs)
    assert names_in(tmp_path) == set()


@pytest.mark.slow
def test_onnx_in_8_bits(checkpoint: Path, photographs: Path, tmp_path: Path, few_sizes) -> None:
    export(checkpoint, tmp_path / "small.onnx", photographs, format="onnx")
    assert names_in(tmp_path) == {"small.onnx", "small.onnx.drift.json"}
    estimator = DepthEstimator.from_pretrained(tmp_path / "small.onnx")
    assert (estimator.precision, estimator.engine.name) == ("int8", "onnx")
    batch = quantize.network_input(str(photographs / "0.png"), estimator.config, None)
    assert 1e-4 < relative_error(by_torch(checkpoint, batch), estimator.engine(batch)) < 0.15
