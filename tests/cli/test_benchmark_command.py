"""`depth-anything benchmark` with real processes, once, and what becomes of its options and interruptions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depth_anything_v2.speed import benchmark


def test_a_whole_measurement(command: Callable[..., Any], checkpoint: str, here: Path) -> None:
    """onnxruntime is hidden from the processes by a module of that name, where Python looks first."""
    Path("onnxruntime.py").write_text("raise ImportError('hidden')")
    what = ("--engines", "openvino,onnx", "--precisions", "float32", "--sizes", "64x96", "-c", checkpoint)
    often = ("--rounds", 1, "--photos", 2, "--photo-width", 80)
    done = command("benchmark", *what, *often, "--json", "out.json", "--chart", "chart.png")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("tiny.safetensors")
    assert lines[1].startswith("openvino float32")
    assert len(lines[1].split()) == 10
    assert lines[-1].startswith("onnx float32: left out: the engine onnx needs the package 'onnxruntime'")
    assert "[9/10] openvino float32: 2 photographs" in done.err
    found = json.loads(Path("out.json").read_text())
    figures = found["contenders"][0]["figures"]
    assert set(figures) == {"start_to_file_s", "model_64x96_s", "folder_s", "folder_cpu_s", "peak_bytes"}
    assert 50 < figures["peak_bytes"]["median"] / 2**20 < 2000
    assert 0 < figures["model_64x96_s"]["median"] < figures["start_to_file_s"]["median"]
    assert found["contenders"][0]["drift"]["relative_error"] < 1e-4
    assert Path("chart.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in here.glob("*.*")) == ["chart.png", "onnxruntime.py", "out.json"]


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that fail, and must not be started at all where the options are wrong."""

    def run_process(_command: list[str]) -> None:
        raise AssertionError("something was run")

    monkeypatch.setattr(benchmark, "run_process", run_process)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--engines", "abacus"], 2, "unknown engine 'abacus'"),
        (["--precisions", "int3"], 2, "unknown precision 'int3'"),
        (["--sizes", "518"], 2, "a size is HEIGHTxWIDTH"),
        (["--rounds", 0], 2, "the number of rounds must be at least 1"),
        (["--chart", "chart.bmp"], 2, "'chart.bmp' has none of these suffixes"),
        (["--json", "nowhere/out.json"], 1, "its folder does not exist"),
        (["--json", "."], 1, "cannot write '.'"),
        (["--chart", "nowhere/chart.png"], 1, "its folder does not exist"),
        (["--checkpoint", "nothing.pth"], 2, "no checkpoint file nothing.pth"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    options: list[Any], status: int, words: str, command: Callable[..., Any], unmeasured: None, here: Path
) -> None:
    done = command("benchmark", "--checkpoint", "builtin", *options)
    assert done.status == status
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not list(here.iterdir())


def played(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process have ended as well as can be."""
    from depth_anything_v2.speed.measure import Finished

    def run_process(command: list[str]) -> Finished:
        if command[2].endswith("worker"):
            model = {"name": "builtin", "input_size": 64, "multiple_of": 32}
            answer = {"model": model, "device_name": "cpu", "drift": None, "seconds": [[1.0]]}
            Path(command[4]).write_text(json.dumps(answer))
        return Finished(1.0, 2.0, float("nan"))

    monkeypatch.setattr(benchmark, "run_process", run_process)


OPTIONS = ("-c", "builtin", "--engines", "torch", "--rounds", 1, "--photos", 1, "--photo-width", 64)


def test_json_on_stdout_is_alone_there(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch)
    done = command("benchmark", *OPTIONS, "--json", "-", "--quiet")
    assert done.status == 0
    assert json.loads(done.out)["contenders"][0]["figures"]["peak_bytes"] == {"median": None, "rounds": [None]}
    assert done.err == ""


def test_without_matplotlib_there_is_all_but_the_chart(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = command("benchmark", *OPTIONS, "--chart", "chart.png", "--json", "out.json", "--quiet")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "pip install matplotlib" in done.err
    assert "torch float32" in done.out
    assert "unknown" in done.out
    assert json.loads(Path("out.json").read_text())["options"]["photos"] == 1
    assert not Path("chart.png").exists()


SCRIPT = """
import sys
from depth_anything_v2.cli.main import main
from depth_anything_v2.speed import benchmark
run = benchmark.run_process
code = "import os, time; open('pid.part', 'w').write(str(os.getpid())); os.rename('pid.part', 'pid'); time.sleep(120)"
benchmark.run_process = lambda command: run([sys.executable, '-S', '-c', code])
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_everything(number: int, status: int, word: str, here: Path) -> None:
    arguments = [sys.executable, "-c", SCRIPT, "benchmark", *map(str, OPTIONS), "--json", "out.json"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("pid").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert out == ""
    assert errors == (f"depth-anything: {word}: all processes of the measurement are ended, and nothing is written\n")
    stat = Path("/proc", Path("pid").read_text(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    assert not Path("out.json").exists()
