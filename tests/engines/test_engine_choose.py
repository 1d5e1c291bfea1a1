"""Which engine runs, and what is said where one can't."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from engine_models import opened
from picture_files import photo

from depth_anything_v2.cli.main import main
from depth_anything_v2.engines import choose as choosing
from depth_anything_v2.engines import opening, openvino_engine, torch_engine
from depth_anything_v2.engines.choose import ENGINES, choose, gpu_may_be_there
from depth_anything_v2.errors import MissingExtraError, OptionError
from depth_anything_v2.estimator import DepthEstimator


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """Let the machine have what torch would find: 'cuda', 'mps' or 'cpu'; None where no driver is seen."""

    def have(found: str | None) -> None:
        def pick_device(name: str = "auto") -> str:
            assert name == "auto"
            assert found is not None, "torch is asked although there is no driver"
            return found

        monkeypatch.setattr(choosing, "gpu_may_be_there", lambda: found is not None)
        monkeypatch.setattr(torch_engine, "pick_device", pick_device)

    return have


@pytest.mark.parametrize(
    ("found", "engine", "device", "chosen"),
    [
        (None, "auto", "auto", ("openvino", "cpu")),
        ("cpu", "auto", "auto", ("openvino", "cpu")),  # a driver, but no card
        ("cuda", "auto", "auto", ("torch", "cuda")),
        ("mps", "auto", "auto", ("torch", "mps")),
        ("cuda", "auto", "cpu", ("openvino", "cpu")),
        (None, "auto", "cuda:1", ("torch", "cuda:1")),
        (None, "auto", "mps", ("torch", "mps")),
        ("cuda", "torch", "auto", ("torch", "auto")),
        (None, "torch", "cpu", ("torch", "cpu")),
        (None, "torch-compile", "cuda", ("torch-compile", "cuda")),
        ("cuda", "openvino", "auto", ("openvino", "cpu")),
        (None, "openvino", "cpu", ("openvino", "cpu")),
        ("cuda", "onnx", "auto", ("onnx", "cpu")),
        (None, "onnx", "cuda:0", ("onnx", "cuda:0")),
    ],
)
def test_what_auto_means(gpu, found: str | None, engine: str, device: str, chosen: tuple[str, str]) -> None:
    gpu(found)
    assert choose(engine, device) == chosen


def test_without_openvino_auto_is_torch(gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose("auto", "auto") == ("torch", "cpu")


@pytest.mark.parametrize(
    ("engine", "device", "said"),
    [
        ("tensorrt", "auto", "unknown engine 'tensorrt': auto, torch, torch-compile, openvino, onnx"),
        ("auto", "tpu", "unknown device 'tpu': auto, cpu, cuda, cuda:N or mps"),
        ("openvino", "cuda", "openvino runs on the processor, not on 'cuda': --engine torch does"),
        ("openvino", "mps", "openvino runs on the processor, not on 'mps': --engine torch does"),
        ("onnx", "mps", "onnx does not run on 'mps': --engine torch does"),
    ],
)
def test_what_can_t_be(engine: str, device: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        choose(engine, device)


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
@pytest.mark.parametrize("place", ["/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd", None])
@pytest.mark.parametrize("visible", [None, "", "-1", "0,1"])
def test_a_driver_is_looked_for_without_torch(
    place: str | None, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: str(self) == place)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_may_be_there() == (place is not None and visible not in ("", "-1"))


@pytest.mark.parametrize(
    ("engine", "module", "said"),
    [
        ("openvino", "openvino", r"the engine openvino needs the package 'openvino': pip install openvino$"),
        ("onnx", "onnxruntime", r"the engine onnx needs the package 'onnxruntime': pip install onnxruntime \("),
        ("onnx", "onnx", r"converting a model to ONNX needs the package 'onnx': pip install onnx \("),
        ("onnx", "onnxscript", r"needs the package 'onnxscript': pip install onnxscript \("),
    ],
)
def test_an_engine_that_is_not_installed(
    engine: str, module: str, said: str, small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(openvino_engine, "_core", None)
    with pytest.raises(MissingExtraError, match=said):
        opened(small, engine, "auto")
    assert not own_cache.exists() or not [path for path in own_cache.iterdir() if path.is_dir()]


def test_the_command_says_it_in_one_line(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("a.png"))
    arguments = ["predict", "a.png", "-o", "out", "--checkpoint", str(small)]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        assert main([*arguments, "--engine", "onnx"]) == 1
        error = capfd.readouterr().err
        assert error.count("\n") == 1
        assert "pip install onnxruntime" in error
    monkeypatch.setattr(openvino_engine, "precisions", lambda: ("float32",))
    for precision in ("bfloat16", "float16", "float8"):
        assert main([*arguments, "--engine", "openvino", "--precision", precision]) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1
        assert precision in error
    assert not Path("out").exists() or list(Path("out").iterdir()) == []


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "auto"])
def test_an_unknown_precision(small: Path, engine: str) -> None:
    with pytest.raises(OptionError, match="unknown precision 'int3': auto, float32, bfloat16, float16"):
        opened(small, engine, "int3")


@pytest.mark.parametrize("lacking", ["bfloat16", "float16"])
def test_a_precision_that_the_processor_lacks_is_told_before_the_work(
    lacking: str, small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the checkpoint is read")

    monkeypatch.setattr(openvino_engine, "precisions", lambda: ("float32", "int7"))
    monkeypatch.setattr(opening.Source, "load", load)
    with pytest.raises(OptionError, match=f"does not compute in {lacking} through OpenVINO: use float32 or int7"):
        opened(small, "openvino", lacking)
    with pytest.raises(OptionError, match=f"onnx computes in float32, not in {lacking}"):
        opened(small, "onnx", lacking)


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_exact_is_float32_through_torch(small: Path, engine: str, precision: str) -> None:
    estimator = DepthEstimator.from_pretrained(small, exact=True, engine=engine, precision=precision)
    assert (estimator.engine.name, estimator.precision, estimator.accuracy) == ("torch", "float32", None)


@pytest.mark.parametrize("asked", [{"engine": "openvino"}, {"engine": "onnx"}, {"precision": "bfloat16"}])
def test_exact_and_something_else(small: Path, asked: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="exact is float32 through torch"):
        DepthEstimator.from_pretrained(small, exact=True, **asked)
