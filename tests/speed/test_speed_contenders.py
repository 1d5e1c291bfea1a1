"""Which contenders follow from the names given and from the machine, and what a worker does with one of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest
from picture_files import save_tiny_checkpoint

from depth_anything_v2.engines import openvino_engine
from depth_anything_v2.errors import MissingExtraError, OptionError
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.speed import contenders, worker
from depth_anything_v2.speed.contenders import Contender, make_contenders
from depth_anything_v2.speed.photos import make_photos

REFERENCE = Contender("torch", "cpu", "float32")


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> EstimatorOptions:
    path = save_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    return EstimatorOptions(str(path), offline=True)


def labels(*arguments: list[str]) -> list[str]:
    return [contender.label for contender in make_contenders(*arguments)]


def test_the_usual_contenders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "precisions", lambda: ("float32", "bfloat16"))
    monkeypatch.setattr(contenders, "gpu_may_be_there", lambda: False)
    usual = ["torch float32", "openvino float32", "openvino bfloat16", "onnx float32"]
    assert labels() == usual
    monkeypatch.setattr(contenders, "gpu_may_be_there", lambda: True)
    monkeypatch.setattr(sys, "platform", "linux")
    assert labels() == [*usual, "torch cuda float32", "torch cuda float16", "torch cuda bfloat16"]


def test_an_engine_that_is_not_installed_stays_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingExtraError("openvino", "openvino", "the engine openvino")

    monkeypatch.setattr(openvino_engine, "precisions", absent)
    assert labels(["openvino"]) == ["openvino float32"]


def test_names_and_precisions_are_combined() -> None:
    assert labels(["onnx", "torch:cuda:1", "onnx"], ["float16", "float32"]) == [
        "onnx float16",
        "onnx float32",
        "torch cuda:1 float16",
        "torch cuda:1 float32",
    ]
    assert [contender.is_reference for contender in make_contenders(["torch", "torch:cuda"], ["float32"])] == [1, 0]


@pytest.mark.parametrize(
    ("engines", "precisions", "words"),
    [
        (["abacus"], [], "unknown engine 'abacus': torch, torch-compile, openvino, onnx"),
        (["auto"], [], "unknown engine 'auto'"),
        (["torch:abacus"], [], "unknown device 'abacus'"),
        (["openvino:cuda"], [], "openvino runs on the processor"),
        (["torch"], ["auto"], "unknown precision 'auto': float32"),
    ],
)
def test_unknown_names_are_refused(engines: list[str], precisions: list[str], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make_contenders(engines, precisions)


def test_a_worker_measures_drift(loading: EstimatorOptions) -> None:
    found = worker.answer(worker.make_job("prepare", Contender("openvino", "cpu", "float32"), loading))
    assert 0 <= found["drift"]["relative_error"] < 1e-5
    assert found["drift"]["order"] == 1
    model = found["model"]
    assert (model["name"], model["encoder"], model["kind"]) == ("tiny.safetensors", "lite0", "relative")
    assert (model["input_size"], model["multiple_of"]) == (256, 32)
    assert worker.answer(worker.make_job("prepare", REFERENCE, loading))["drift"] is None


def test_a_worker_times_every_size(loading: EstimatorOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job = worker.make_job("passes", REFERENCE, loading, sizes=[(32, 64), (64, 32)], passes=3)
    (tmp_path / "job.json").write_text(json.dumps(job))
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "job.json"), str(tmp_path / "answer.json")])
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)  # those of the tests stay as they are
    worker.main()
    seconds = json.loads((tmp_path / "answer.json").read_text())["seconds"]
    assert [len(times) for times in seconds] == [3, 3]
    assert min(map(min, seconds)) > 0


@pytest.mark.parametrize(
    ("contender", "sizes", "words"),
    [
        (Contender("onnx", "cpu", "float16"), [(32, 32)], "onnx computes in float32"),
        (Contender("torch", "cuda:99", "float32"), [(32, 32)], "device 'cuda:99' is not there"),
        (REFERENCE, [(320_000, 320_000)], "a size of 320000x320000.*input size of"),
    ],
)
def test_a_worker_tells_what_does_not_run(
    contender: Contender, sizes: list[tuple[int, int]], words: str, loading: EstimatorOptions
) -> None:
    found = worker.answer(worker.make_job("passes", contender, loading, sizes=sizes, passes=1))
    assert list(found) == ["problem"]
    assert pytest.raises(ValueError, match=words).matches(ValueError(found["problem"]))


def test_photographs_are_the_same_every_time_and_of_the_size_asked_for(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_photos(tmp_path / name, 5, width=200)
    photos = sorted((tmp_path / "one").iterdir())
    assert len(photos) == 5
    for photo in photos:
        assert photo.read_bytes() == (tmp_path / "two" / photo.name).read_bytes()
        height, width = cv2.imread(str(photo)).shape[:2]
        assert 190 <= max(height, width) <= 210
        assert 1.45 < max(height, width) / min(height, width) < 1.55
