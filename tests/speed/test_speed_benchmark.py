"""The measurement with processes that are only played: who has which turn, what becomes of failures, what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depth_anything_v2.errors import DepthAnythingError, OptionError
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.speed import benchmark, report
from depth_anything_v2.speed.benchmark import BenchmarkInterrupted, BenchmarkOptions, BenchmarkResult, Step
from depth_anything_v2.speed.chart import draw_chart
from depth_anything_v2.speed.contenders import Contender, make_contenders
from depth_anything_v2.speed.measure import Finished, ProcessFailedError

LOADING = EstimatorOptions("some.pth", max_depth_m=20.0, offline=True)
MODEL = {"name": "tiny", "sha256": "0" * 64, "encoder": "lite0", "kind": "metric", "input_size": 64, "multiple_of": 32}
SPEED = {"torch": 1.0, "openvino": 4.0, "onnx": 2.0}


class Machine:
    """Plays every process; the second round of anything takes three times as long, for all alike."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.turns: dict[str, int] = {}
        self.problems: dict[str, str] = {}
        self.fails: dict[str, str] = {}  # 'engine task'

    def __call__(self, command: Sequence[str]) -> Finished:
        self.commands.append(command)
        module, *arguments = command[2:]
        if module.endswith("worker"):
            job = json.loads(Path(arguments[0]).read_text())
            contender, task = Contender(**job["contender"]), job["task"]
        else:
            given = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
            assert (given["checkpoint"], given["max-depth"], given["offline"]) == ("some.pth", "20.0", "")
            contender = Contender(given["engine"], given["device"], given["precision"])
            task = "one" if Path(arguments[1]).is_file() else "all"
            assert Path(arguments[1]).exists()
        seconds = self.seconds(contender, task)
        if module.endswith("worker"):
            Path(arguments[1]).write_text(json.dumps(self.answer(job, contender, seconds)))
        return Finished(seconds, 2 * seconds, 100 * report.MIB / SPEED[contender.engine])

    def seconds(self, contender: Contender, task: str) -> float:
        key = f"{contender.engine} {task}"
        turn = self.turns[key] = self.turns.get(key, 0) + 1
        if key in self.fails and turn == 2:
            raise ProcessFailedError(["python"], 3, f"Traceback\n{self.fails[key]}\n")
        return {"one": 1.0, "all": 5.0}.get(task, 0.1) * (3 if turn == 2 else 1) / SPEED[contender.engine]

    def answer(self, job: dict[str, Any], contender: Contender, seconds: float) -> dict[str, Any]:
        if contender.engine in self.problems:
            return {"problem": self.problems[contender.engine]}
        if job["task"] == "prepare":
            error = {"float32": 3e-7, "bfloat16": 0.02}[contender.precision]
            drift = None if contender.is_reference else {"relative_error": error, "order": 0.9995, "time_ratio": 1.0}
            return {"model": MODEL, "device_name": "cpu", "drift": drift}
        return {"seconds": [[seconds * number, seconds, seconds * 9] for number, _ in enumerate(job["sizes"], 1)]}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(benchmark, "run_process", found)
    monkeypatch.setattr(benchmark, "load_average", lambda: 0.1)
    monkeypatch.setattr(benchmark, "machine", lambda: {"processor": "abacus", "cores": 2, "system": "wood"})
    return found


def measure(engines: str = "torch openvino onnx", rounds: int = 2, **options: Any) -> BenchmarkResult:
    contenders = make_contenders(engines.split(), ("float32",))
    return benchmark.run_benchmark(LOADING, contenders, BenchmarkOptions(rounds=rounds, photos=2, **options))


def test_figures_are_medians_and_ratios_are_paired(played: Machine) -> None:
    steps: list[Step] = []
    contenders = make_contenders(["torch", "openvino"], ["float32"])
    options = BenchmarkOptions(((64, 96), (32, 32)), photos=2, photo_width=64, rounds=3)
    result = benchmark.run_benchmark(LOADING, contenders, options, steps.append)
    assert [step.done for step in steps] == list(range(1, len(steps) + 1))
    assert {step.total for step in steps} == {len(steps)} == {len(played.commands)}
    record = json.loads(json.dumps(report.to_record(result), allow_nan=False))
    torch, openvino = record["contenders"]
    assert torch["figures"]["model_64x96_s"]["rounds"] == pytest.approx([0.1, 0.3, 0.1])
    assert openvino["figures"]["model_64x96_s"]["median"] == pytest.approx(0.025)
    # The slow process was the warm-up of this one: it does not count.
    assert torch["figures"]["start_to_file_s"]["rounds"] == pytest.approx([3, 1, 1])
    for figure in openvino["figures"].values():
        assert figure.get("times_faster", 4) == pytest.approx(4)
    assert torch["images_per_s"] == pytest.approx(2 / 5)
    assert openvino["figures"]["peak_bytes"]["median"] == 25 * report.MIB
    assert torch["drift"] is None
    assert openvino["drift"] == {"relative_error": 3e-7, "order": 0.9995}
    assert record["model"]["name"] == "tiny"
    assert record["options"]["sizes"] == ["64x96", "32x32"]


def test_the_table_and_what_is_said_of_it(played: Machine) -> None:
    result = measure(photo_width=64)
    lines = report.lay_out(report.table(result)).splitlines()
    assert " ".join(lines[0].split()) == "tiny start s x 64x64 ms x images/s x peak MiB drift"
    assert " ".join(lines[2].split()) == "openvino float32 0.50 4.00 50.0 4.00 0.80 4.00 25 3.0e-07"
    assert len(set(map(len, lines))) == 1
    said = "\n".join(report.sentences(result))
    assert "medians of 2 rounds" in said
    assert "times as fast as torch float32" in said
    assert "differ by up to 100%" in said
    assert "abacus, 2 cores, wood; idle before it began (load average 0.1)" in said
    assert "left out" not in said


@pytest.mark.parametrize(
    ("load", "words"), [(1.2, "busy before it began (load average 1.2)"), (None, "how busy it was is not known")]
)
def test_a_busy_machine_is_told(
    load: float | None, words: str, played: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "load_average", lambda: load)
    assert words in report.sentences(measure("torch", rounds=1, photo_width=64))[-1]


def test_drift_beyond_the_gate_is_told(played: Machine) -> None:
    contenders = make_contenders(["openvino"], ["bfloat16"])
    result = benchmark.run_benchmark(LOADING, contenders, BenchmarkOptions(rounds=1, photos=1, photo_width=64))
    assert "openvino bfloat16: further from float32" in report.sentences(result)[-1]
    assert "0.02 (at most 0.01)" in report.sentences(result)[-1]


def test_what_is_not_installed_is_left_out_with_a_sentence(played: Machine) -> None:
    played.problems["torch"] = "the engine torch needs the package 'torch'"
    result = measure(photo_width=64)
    assert [found.contender.engine for found in result.ran] == ["openvino", "onnx"]
    assert not any(found.failed for found in result.measured)
    assert report.sentences(result)[-1] == "torch float32: left out: the engine torch needs the package 'torch'"
    assert report.table(result)[2][:3] == ["onnx float32", "1.00", "0.50"]  # beside the first that ran
    assert report.to_record(result)["contenders"][0]["figures"] == {}


def test_a_process_that_fails_in_the_middle_ends_one_contender(played: Machine) -> None:
    played.fails["onnx one"] = "too little memory"
    result = measure(photo_width=64)
    assert [found.contender.engine for found in result.ran] == ["torch", "openvino"]
    assert result.measured[2].failed
    assert report.sentences(result)[-1].endswith("left out: one photograph: too little memory (exit status 3)")
    later = [command for command in played.commands if "--engine=onnx" in command]
    assert len(later) == 2
    assert report.to_record(result)["contenders"][2]["problem"]


def test_nothing_that_runs_is_an_error(played: Machine) -> None:
    played.problems = dict.fromkeys(SPEED, "this is no checkpoint")
    with pytest.raises(DepthAnythingError, match=r"^nothing can be measured: this is no checkpoint$"):
        measure(photo_width=64)


def test_options_that_make_no_sense(played: Machine) -> None:
    with pytest.raises(OptionError, match="500x64: both sides must be multiples of 32"):
        measure(sizes=((500, 64),), photo_width=64)
    with pytest.raises(OptionError, match="the number of rounds must be at least 1, not 0"):
        BenchmarkOptions(rounds=0)
    with pytest.raises(OptionError, match="at least 32 pixels"):
        BenchmarkOptions(photo_width=3)


def test_an_interruption_is_told(played: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "run_process", interrupt)
    with pytest.raises(BenchmarkInterrupted, match="all processes of the measurement are ended"):
        measure(photo_width=64)


@pytest.mark.parametrize("sizes", [(), ((64, 96), (32, 32))])
def test_the_chart_has_a_bar_for_each_figure(
    sizes: tuple[tuple[int, int], ...], played: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = measure(sizes=sizes, photo_width=64)
    svg = draw_chart(result, tmp_path / "chart.svg").read_text()
    shown = set(re.findall(r"<!-- (.*?) -->", svg))
    numbers = {"2.00", "0.50", "1.00", "200", "50.0", "100", "25", "3.0e-07", "reference", "0.20", "0.80", "0.40"}
    assert shown >= {"torch float32", "openvino float32", "onnx float32", "Start to file", "Peak memory", *numbers}
    assert ("64x96" in shown) == bool(sizes)
    picture: Any = cv2.imread(str(draw_chart(result, tmp_path / "chart.png")))
    assert np.any(np.all(picture == (0xA8, 0x6C, 0x1B), axis=-1))  # BGR of OpenVINO's bars
