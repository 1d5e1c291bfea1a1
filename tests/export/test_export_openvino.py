"""OpenVINO files: what a stranger gets, and that nothing is left where something goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export_models import by_torch, digest, names_in, random_input, relative_error
from picture_files import save_tiny_checkpoint

from depth_anything_v2.checkpoints import resolve_checkpoint
from depth_anything_v2.dinov2 import DinoVisionTransformer
from depth_anything_v2.engines import openvino_engine
from depth_anything_v2.errors import CheckpointError, OptionError, OutputError
from depth_anything_v2.export import ExportOptions, ExportReport, export_checkpoint


def stranger(path: Path, batch: np.ndarray) -> np.ndarray:
    """Run a file as its makers say, without this package; in float32, which not every processor takes by itself."""
    core = openvino_engine.import_openvino().Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert [port.get_any_name() for port in compiled.inputs] == ["image"]
    return compiled({"image": batch})["depth"]


@pytest.mark.parametrize("shape", [(1, 70, 98), (3, 84, 112), (1, 518, 42), (1, 42, 518), (1, 14, 14)])
def test_one_input_any_size(checkpoint: Path, openvino_file: Path, shape: tuple[int, int, int]) -> None:
    batch = random_input(*shape)
    assert relative_error(by_torch(checkpoint, batch), stranger(openvino_file, batch)) < 1e-5


def test_verified_at_the_sizes_where_conversions_drift(openvino_report: ExportReport) -> None:
    sizes = {(size.height, size.width) for size in openvino_report.sizes}
    assert {(518, 518), (518, 784), (546, 602), (266, 1106), (1092, 518), (14, 14), (518, 14)} <= sizes
    assert {size.pictures for size in openvino_report.sizes} == {1, 2}
    assert 0 < openvino_report.largest_error < 1e-5 < openvino_report.allowed == 1e-4
    assert "9 sizes" in openvino_report.summary()


def test_says_what_it_is_to_readers_without_this_package(checkpoint: Path, openvino_file: Path) -> None:
    model = openvino_engine.core().read_model(openvino_file)
    keys = ("kind", "unit", "licence", "source_sha256", "precision", "mean", "multiple_of", "size_rule", "input")
    told = {key: model.get_rt_info(["model_info", key]).value for key in keys}
    assert told["kind"] == "relative"
    assert told["unit"].startswith("none: inverse depth")
    assert told["licence"] == "apache-2.0"
    assert told["source_sha256"] == digest(checkpoint)
    assert told["precision"] == "float32"
    assert told["mean"] == "0.485 0.456 0.406"
    assert told["multiple_of"] == "14"
    assert "max(84 / height, 84 / width)" in told["size_rule"]
    assert "multiples of 14" in told["input"]


def test_float16_weights_are_half_as_large(half_report: ExportReport, openvino_file: Path) -> None:
    weights = [path.with_suffix(".bin").stat().st_size for path in (half_report.files[0], openvino_file)]
    assert weights[0] < 0.55 * weights[1]
    assert 1e-6 < half_report.largest_error < 1e-2 == half_report.allowed
    assert half_report.exported.precision == "float16"


@pytest.mark.slow
def test_small_architecture(tmp_path: Path, few_sizes) -> None:
    checkpoint = save_tiny_checkpoint(tmp_path / "tiny.safetensors", 20.0)
    report = export_checkpoint(resolve_checkpoint(checkpoint), tmp_path / "tiny.xml", ExportOptions("openvino"))
    batch = random_input(2, 64, 96)
    assert relative_error(by_torch(checkpoint, batch), stranger(tmp_path / "tiny.xml", batch)) < 1e-5
    assert report.exported.metadata()["unit"] == "metre"
    assert report.exported.metadata()["max_depth_m"] == "20"


def test_a_model_that_drifts_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_sizes
) -> None:
    """The position embedding is what conversions get wrong: here by a thousandth of its size, at 37 rows only."""
    sampled = DinoVisionTransformer._sample_pos_encoding

    def wrong(self: DinoVisionTransformer, rows: int, columns: int) -> torch.Tensor:
        return sampled(self, rows, columns) * torch.where(torch.as_tensor(rows) == 37, 1.01, 1.0)

    monkeypatch.setattr(DinoVisionTransformer, "_sample_pos_encoding", wrong)
    with pytest.raises(CheckpointError, match=r"no file is left: with 1 x 42 x 518 pixels .* 1e-04 is allowed"):
        export_checkpoint(resolve_checkpoint(checkpoint), tmp_path / "small.xml", ExportOptions("openvino"))
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("when", ["converting", "comparing"])
def test_ctrl_c_leaves_what_was_there(checkpoint: Path, tmp_path: Path, when: str, few_sizes) -> None:
    for name in ("small.xml", "small.bin", "small.xml.drift.json"):
        (tmp_path / name).write_text("before")

    def stop(sentence: str) -> None:
        if sentence.startswith(when):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(
            resolve_checkpoint(checkpoint),
            tmp_path / "small.xml",
            ExportOptions("openvino"),
            overwrite=True,
            on_step=stop,
        )
    assert names_in(tmp_path) == {"small.xml", "small.bin", "small.xml.drift.json"}
    assert all(path.read_text() == "before" for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "coreml"}, "unknown export format 'coreml': onnx or openvino"),
        ({"format": "onnx", "precision": "bfloat16"}, "unknown precision of an export 'bfloat16': float32 or float16"),
        ({"format": "onnx", "static": (0, 14)}, "both sides must be positive"),
        ({"format": "onnx", "int8": True}, "give a folder with --calibration"),
        ({"format": "onnx", "calibration": ("photos",)}, "calibration photographs are for --int8"),
        ({"format": "onnx", "int8": True, "calibration": ("p",), "precision": "float16"}, "exclude each other"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ExportOptions(**options)


def test_wrong_names_and_sizes(checkpoint: Path, openvino_file: Path, tmp_path: Path) -> None:
    resolved = resolve_checkpoint(checkpoint)
    with pytest.raises(OptionError, match=r"must end in \.xml"):
        export_checkpoint(resolved, tmp_path / "small.onnx", ExportOptions("openvino"))
    with pytest.raises(OptionError, match="both sides must be multiples of 14"):
        export_checkpoint(resolved, tmp_path / "small.xml", ExportOptions("openvino", static=(84, 100)))
    with pytest.raises(OptionError, match="name the checkpoint that it was exported from"):
        export_checkpoint(resolve_checkpoint(openvino_file), tmp_path / "again.xml", ExportOptions("openvino"))
    with pytest.raises(OutputError, match="its folder does not exist"):
        export_checkpoint(resolved, tmp_path / "none" / "small.xml", ExportOptions("openvino"))
    assert names_in(tmp_path) == set()
