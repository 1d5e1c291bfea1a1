"""Turns, ratios and whole processes: what is measured, and that nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from depth_anything_v2.speed.machine import machine
from depth_anything_v2.speed.measure import ProcessFailedError, in_turns, run_process, times_faster


def test_turns_begin_with_another_one_each_round() -> None:
    calls: list[str] = []

    def turn(name: str) -> Any:
        return lambda: calls.append(name) or len(calls)

    results = in_turns({name: turn(name) for name in "abc"}, rounds=2, warm_up=1)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert results == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_times_faster_is_the_median_of_pairs() -> None:
    assert times_faster([10, 20, 90], [5, 5, 10]) == 4


def test_a_process_is_measured_and_so_is_the_folder_it_runs_in(tmp_path: Path) -> None:
    code = "import os; b = b'x' * {}; sum(range(10**6)); open('here', 'w').write(os.environ['WHAT'])"
    small, large = (
        run_process([sys.executable, "-S", "-c", code.format(size)], tmp_path, {"WHAT": "asked"})
        for size in (1, 200 << 20)
    )
    assert large.peak_bytes - small.peak_bytes >= 190 << 20
    assert small.peak_bytes < 60 << 20  # not what this process has
    assert small.seconds > 0
    assert small.cpu_seconds > 0
    assert (tmp_path / "here").read_text() == "asked"


def test_the_failure_of_a_process_is_told() -> None:
    with pytest.raises(ProcessFailedError, match="no such thing") as caught:
        run_process([sys.executable, "-S", "-c", "raise SystemExit('well:\\nno such thing')"])
    assert caught.value.reason == "no such thing (exit status 1)"
    with pytest.raises(ProcessFailedError) as caught:
        run_process([sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"])
    assert caught.value.reason == "signal 9 ended it"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_started_ends_with_the_one_that_waits(number: int, tmp_path: Path) -> None:
    """A process that takes no notice of SIGTERM, and one that it started, too."""
    inner = "import signal, subprocess, sys, os, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    inner += "other = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(120)'])\n"
    inner += (
        "open('pids.part', 'w').write(f'{os.getpid()} {other.pid}')\nos.rename('pids.part', 'pids')\ntime.sleep(120)"
    )
    code = (
        "import signal, sys\nfrom depth_anything_v2.speed import measure\nmeasure._PATIENCE_S = 0.2\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        f"try:\n    measure.run_process([sys.executable, '-S', '-c', {inner!r}])\n"
        "except KeyboardInterrupt:\n    sys.exit(7)"
    )
    waiting = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not (tmp_path / "pids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    waiting.send_signal(number)
    assert waiting.wait(30) == 7
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    """Return once a process is gone, or is a zombie that nobody has waited for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} still runs")


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = machine(("numpy", "no-such-package"))
    assert found["cores"] >= 1
    assert found["processor"]
    assert found["OMP_NUM_THREADS"] == "3"
    assert found["numpy"].count(".") == 2
    assert found["no-such-package"] is None
