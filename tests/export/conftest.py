"""Files that are exported once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from export_models import FEW_SIZES, save_small_transformer

from depth_anything_v2.checkpoints import resolve_checkpoint
from depth_anything_v2.export import ExportOptions, ExportReport, export_checkpoint, verify


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_transformer(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify at three sizes."""
    monkeypatch.setattr(verify, "_SIZES", FEW_SIZES)


@pytest.fixture(scope="session")
def openvino_report(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Of an OpenVINO file in float32, verified at all sizes."""
    path = tmp_path_factory.mktemp("openvino") / "small.xml"
    return export_checkpoint(resolve_checkpoint(checkpoint), path, ExportOptions("openvino"))


@pytest.fixture(scope="session")
def openvino_file(openvino_report: ExportReport) -> Path:
    return openvino_report.files[0]


@pytest.fixture(scope="session")
def half_report(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Of an OpenVINO file with weights of 16 bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "_SIZES", FEW_SIZES)
        path = tmp_path_factory.mktemp("half") / "half.xml"
        return export_checkpoint(resolve_checkpoint(checkpoint), path, ExportOptions("openvino", "float16"))


@pytest.fixture(scope="session")
def onnx_file(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "_SIZES", FEW_SIZES)
        path = tmp_path_factory.mktemp("onnx") / "small.onnx"
        return export_checkpoint(resolve_checkpoint(checkpoint), path, ExportOptions("onnx")).files[0]
