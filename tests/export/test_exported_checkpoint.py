"""Exported files where a checkpoint is asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_models import SIDE, by_torch, digest, random_input, relative_error, small_config
from picture_files import photo

from depth_anything_v2 import DepthEstimator
from depth_anything_v2.checkpoints import inspect_checkpoint, is_on_disk, load_checkpoint, resolve_checkpoint
from depth_anything_v2.checkpoints.exported import Exported, read_exported
from depth_anything_v2.engines import onnx_engine, openvino_engine
from depth_anything_v2.errors import CheckpointFormatError, CheckpointNotFoundError, InputError, OptionError
from depth_anything_v2.export import ExportOptions, ExportReport, export_checkpoint


def copied(path: Path, folder: Path) -> Path:
    """A copy of an exported file with all that belongs to it."""
    for part in path.parent.iterdir():
        shutil.copy(part, folder)
    return folder / path.name


@pytest.mark.parametrize("which", ["openvino_file", "onnx_file"])
def test_predicts_like_its_checkpoint(which: str, checkpoint: Path, request: pytest.FixtureRequest, tmp_path) -> None:
    path, picture = request.getfixturevalue(which), photo(tmp_path / "photo.png", 90, 140)
    exact = DepthEstimator.from_pretrained(checkpoint, exact=True)(picture)
    estimator = DepthEstimator.from_pretrained(str(path), precision="float32")
    prediction = estimator(picture)
    assert relative_error(exact.depth, prediction.depth) < 1e-5
    told = prediction.provenance
    assert (told.checkpoint, told.sha256) == ("small.safetensors", digest(checkpoint))
    assert (told.engine, told.precision, told.licence) == (which.removesuffix("_file"), "float32", "apache-2.0")
    assert (told.input_size, estimator.config) == (SIDE, small_config())


@pytest.mark.parametrize("which", ["openvino_file", "onnx_file"])
def test_needs_no_torch(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    picture = photo(tmp_path / "photo.png", 90, 140)
    code = f"""
import sys
from depth_anything_v2 import DepthEstimator
prediction = DepthEstimator.from_pretrained({str(request.getfixturevalue(which))!r})({str(picture)!r})
prediction.save({str(tmp_path / "depth.npz")!r})
print(sorted(name for name in ("torch", "onnx", "onnxscript", "nncf") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_precision_tells_how_the_weights_are_stored(half_report: ExportReport) -> None:
    path = half_report.files[0]
    assert DepthEstimator.from_pretrained(path, precision="float32").precision == "float16-weights"
    for name in openvino_engine.precisions():
        if name != "float32":
            assert DepthEstimator.from_pretrained(path, precision=name).precision == name


@pytest.mark.parametrize("format", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def test_static_size(format: str, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / ("s.xml" if format == "openvino" else "s.onnx")
    report = export_checkpoint(resolve_checkpoint(checkpoint), path, ExportOptions(format, static=(56, 84)))
    assert {(size.pictures, size.height, size.width) for size in report.sizes} == {(1, 56, 84), (2, 56, 84)}
    estimator = DepthEstimator.from_pretrained(path, precision="float32")
    assert (estimator.input_size, estimator.static_size) == (56, (56, 84))
    exact = DepthEstimator.from_pretrained(checkpoint, exact=True, input_size=56)
    picture = photo(tmp_path / "photo.png", 100, 150)
    assert relative_error(exact(picture).depth, estimator(picture).depth) < 1e-5
    tall = photo(tmp_path / "tall.png", 150, 100)
    with pytest.raises(
        InputError, match=r"tall\.png' \(100 x 150\) would be 56 x 84 .* exported for 84 x 56 only: .* input size 56"
    ):
        estimator(tall)
    # The gate of 'auto' is measured at that size, too.
    assert DepthEstimator.from_pretrained(path)(picture).depth.shape == (100, 150)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "torch"}, r"small\.xml is an OpenVINO model and runs through the engine openvino only, not torch"),
        ({"engine": "onnx"}, "runs through the engine openvino only, not onnx"),
        ({"exact": True}, r"leave the engine \(and exact\) out"),
        ({"device": "cuda"}, "openvino runs on the processor, not on 'cuda'"),
        ({"max_depth_m": 20.0}, "was exported as relative, which no option changes"),
        ({"v1": False, "encoder": "vitx"}, "unknown encoder 'vitx'"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
    ],
)
def test_options_that_it_cannot_follow(options: dict, message: str, openvino_file: Path) -> None:
    with pytest.raises(OptionError, match=message):
        DepthEstimator.from_pretrained(openvino_file, **options)


def test_options_that_agree_with_it(openvino_file: Path) -> None:
    assert DepthEstimator.from_pretrained(openvino_file, relative=True, encoder="vits").notes == ()
    (note,) = DepthEstimator.from_pretrained(openvino_file, encoder="vitb").notes
    assert note.endswith("holds the encoder vits, not vitb")


def test_onnx_in_half_precision_is_refused(onnx_file: Path) -> None:
    with pytest.raises(OptionError, match="the engine onnx computes in float32, not in bfloat16"):
        DepthEstimator.from_pretrained(onnx_file, precision="bfloat16")


def test_a_folder_with_one(openvino_file: Path, tmp_path: Path) -> None:
    copied(openvino_file, tmp_path)
    assert is_on_disk(tmp_path)
    assert resolve_checkpoint(tmp_path).path == tmp_path / "small.xml"
    (tmp_path / "weights.safetensors").touch()
    assert resolve_checkpoint(tmp_path).path == tmp_path / "weights.safetensors"


@pytest.mark.parametrize("which", ["openvino_file", "onnx_file"])
def test_inspect(which: str, checkpoint: Path, request: pytest.FixtureRequest) -> None:
    report = inspect_checkpoint(request.getfixturevalue(which))
    assert (report.format, report.encoder, report.kind) == (which.removesuffix("_file"), "vits", "relative")
    assert (report.kind_from, report.licence, report.dtypes) == ("metadata in the file", "apache-2.0", ("float32",))
    assert report.taps == (0, 1, 2, 3)
    assert report.problems == ()
    assert f"exported from small.safetensors (SHA-256 {digest(checkpoint)})" in report.notes[0]
    assert report.bytes > 500_000  # the weights of an .xml are in its .bin
    with pytest.raises(CheckpointFormatError, match=r"needed$"):
        load_checkpoint(resolve_checkpoint(request.getfixturevalue(which)))


def foreign_onnx(path: Path) -> Path:
    import onnx

    port = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("image", "depth")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["image"], ["depth"])], "g", port[:1], port[1:])
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def foreign_xml(path: Path) -> Path:
    path.write_text("<net name='m' version='11'><layers/><edges/><rt_info/></net>")
    return path


def text(path: Path) -> Path:
    path.write_text("these are no weights")
    return path


def web_page(path: Path) -> Path:
    path.write_text("<html><body>Sign in</body></html>")
    return path


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.onnx", foreign_onnx, "is an ONNX model that `depth-anything export` did not write, so nothing tells"),
        ("a.xml", foreign_xml, "is an OpenVINO model that `depth-anything export` did not write"),
        ("a.onnx", text, "is damaged or no ONNX model"),
        ("a.xml", text, "is damaged or no OpenVINO model"),
        ("a.xml", web_page, "is an XML file, but no OpenVINO model"),
        ("a.onnx", web_page, "is damaged or no ONNX model"),
    ],
)
def test_other_files(name: str, make, message: str, tmp_path: Path) -> None:
    path = make(tmp_path / name)
    with pytest.raises(CheckpointFormatError, match=f"{name} {message}"):
        DepthEstimator.from_pretrained(path)
    (problem,) = inspect_checkpoint(path).problems
    assert message in problem


def test_damaged_files(openvino_file: Path, onnx_file: Path, tmp_path: Path) -> None:
    path = copied(openvino_file, tmp_path)
    weights = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(weights[:1000])
    with pytest.raises(CheckpointFormatError, match=r"small\.bin is cut off \(1000 of \d+ bytes\): export it again"):
        DepthEstimator.from_pretrained(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointFormatError, match=r"lacks its weights: small\.bin must lie beside it"):
        DepthEstimator.from_pretrained(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointFormatError, match="is damaged or no OpenVINO model"):
        DepthEstimator.from_pretrained(path)
    for kept in (100, 5000, onnx_file.stat().st_size - 10):
        (tmp_path / "cut.onnx").write_bytes(onnx_file.read_bytes()[:kept])
        with pytest.raises(CheckpointFormatError, match=r"cut\.onnx is damaged or no ONNX model"):
            DepthEstimator.from_pretrained(tmp_path / "cut.onnx")
    with pytest.raises(CheckpointNotFoundError, match=r"there is no checkpoint file none\.xml: check the path"):
        DepthEstimator.from_pretrained("none.xml")


@pytest.mark.parametrize("data", ["{}", "[1]", '{"config": {"encoder": "vits"}}', "nonsense"])
def test_metadata_of_another_make(data: str, tmp_path: Path) -> None:
    foreign_xml(tmp_path / "a.xml")
    told = f"<rt_info><depth_anything_v2 value={json.dumps(data.replace(chr(34), '&quot;'))}/></rt_info>"
    (tmp_path / "a.xml").write_text((tmp_path / "a.xml").read_text().replace("<rt_info/>", told))
    (tmp_path / "a.bin").touch()
    with pytest.raises(CheckpointFormatError, match=r"the metadata of .*a\.xml can't be read by this version"):
        DepthEstimator.from_pretrained(tmp_path / "a.xml")


def test_what_is_written_is_what_is_read(openvino_file: Path, onnx_file: Path, checkpoint: Path) -> None:
    ours = read_exported(openvino_file)
    known = ("small.safetensors", digest(checkpoint), "apache-2.0", "float32", None)
    assert ours == Exported("openvino", small_config(), *known, ours.version)
    assert read_exported(onnx_file) == Exported("onnx", small_config(), *known, ours.version)


def test_onnx_for_strangers(onnx_file: Path, checkpoint: Path) -> None:
    session = onnx_engine.runtime().InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    assert [port.name for port in session.get_inputs()] == ["image"]
    for shape in ((1, 70, 98), (2, 84, 112), (1, 518, 42), (1, 14, 14)):
        batch = random_input(*shape)
        assert relative_error(by_torch(checkpoint, batch), session.run(["depth"], {"image": batch})[0]) < 1e-4
    told = session.get_modelmeta().custom_metadata_map
    assert (told["kind"], told["licence"], told["source_sha256"]) == ("relative", "apache-2.0", digest(checkpoint))
    assert "max(84 / height, 84 / width)" in told["size_rule"]
    folder = str(Path(onnx_engine.__file__).parents[1])
    assert folder.encode() not in onnx_file.read_bytes()  # the exporter notes which lines made each operator


@pytest.mark.slow
def test_onnx_with_float16_weights(onnx_file: Path, checkpoint: Path, tmp_path: Path, few_sizes) -> None:
    path = tmp_path / "half.onnx"
    report = export_checkpoint(resolve_checkpoint(checkpoint), path, ExportOptions("onnx", "float16"))
    assert 1e-6 < report.largest_error < 1e-2
    assert path.stat().st_size < 0.7 * onnx_file.stat().st_size
    estimator = DepthEstimator.from_pretrained(path)
    assert estimator.precision == "float16-weights"
    batch = random_input(1, 84, 84)
    assert relative_error(by_torch(checkpoint, batch), estimator.engine(batch)) < 1e-2
    assert np.isfinite(estimator.engine(batch)).all()
