"""Interrupted, terminated and killed jobs, as processes of their own: what is done stays and is known."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from picture_files import photo

from depth_anything_v2.io import read_depth
from depth_anything_v2.jobs.journal import JOURNAL

TESTS = Path(__file__).parent.parent
COUNT = 30

# The command line around an estimator that takes its time but does not load torch.
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from picture_files import FakeEstimator
from depth_anything_v2.cli.main import main
from depth_anything_v2.jobs.options import EstimatorOptions
EstimatorOptions.load = lambda self, **how: FakeEstimator(delay={delay})
sys.exit(main())
"""


def start(*arguments: str, delay: float, **options: int) -> subprocess.Popen[str]:
    code = SCRIPT.format(tests=str(TESTS), delay=delay)
    command = [sys.executable, "-c", code, "predict", "in", "-o", "out", "-f", "png,npz", *arguments]
    return subprocess.Popen(command, text=True, stdout=options.get("stdout", subprocess.PIPE), stderr=subprocess.PIPE)


def wait_for_outputs(count: int) -> None:
    deadline = time.monotonic() + 30
    while len(list(Path("out").glob("*.npz"))) < count:
        assert time.monotonic() < deadline, "the job writes nothing"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def pictures(here: Path) -> None:
    for index in range(COUNT):
        photo(Path(f"in/{index:02}.png"), 16, 20, seed=index)


def left_in(folder: str) -> set[str]:
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path != JOURNAL}


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_in_the_middle(number: int, status: int, word: str) -> None:
    process = start("--report", "report.json", delay=0.05)
    wait_for_outputs(3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert "Traceback" not in errors
    said = [line for line in errors.splitlines() if line.startswith("depth-anything: ")]
    assert len(said) == 1
    assert said[0].startswith(f"depth-anything: {word}: ")
    report = json.loads(Path("report.json").read_text())
    done = report["counts"]["done"]
    assert 3 <= done < COUNT
    assert f"{done} of {COUNT} inputs are done" in said[0]
    written = {f"{index:02}{suffix}" for index in range(done) for suffix in (".png", ".npz")}
    assert left_in("out") == written
    assert resumed() == {"done": COUNT - done, "skipped": done}


def resumed() -> dict[str, int]:
    process = start("--resume", "--report", "second.json", delay=0)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    for index in range(COUNT):
        assert read_depth(f"out/{index:02}.npz").width == 20
    counts = json.loads(Path("second.json").read_text())["counts"]
    return {key: counts[key] for key in ("done", "skipped")}


def test_a_killed_job_is_resumed_where_it_was() -> None:
    process = start(delay=0.05)
    wait_for_outputs(4)
    process.kill()
    process.communicate()
    known = Path("out", JOURNAL).read_bytes().count(b'"outputs"')
    assert 3 <= known < COUNT
    assert resumed() == {"done": COUNT - known, "skipped": known}


def test_a_reader_that_goes_away_does_not_matter() -> None:
    code = SCRIPT.format(tests=str(TESTS), delay=0)
    command = f'"{sys.executable}" -c "$CODE" predict in -o out 2>/dev/null | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command],
        env={"CODE": code, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "0"
    assert len(list(Path("out").glob("*.png"))) == COUNT
    command = f'"{sys.executable}" -c "$CODE" predict in -o out2 2>&1 | head -1'
    done = subprocess.run(
        ["bash", "-c", command],
        env={"CODE": code, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("[1/30]")
    assert len(list(Path("out2").glob("*.png"))) == COUNT
