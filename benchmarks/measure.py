"""How the scripts of this folder measure: in turns, with medians, and whole processes with their peak memory."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "openvino", "onnxruntime", "opencv-python-headless", "numpy")


@dataclass(frozen=True)
class Finished:
    """A process that ended well: wall time from its start to its end, processor time of all its threads, and
    the most memory it had resident."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def in_turns(turns: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[str, list[Any]]:
    """Return what each callable returned in `rounds` rounds, after `warm_up` rounds that do not count.

    Every round calls all of them, each time beginning with another one: whatever else the machine does, and
    whatever a call leaves behind for the next, falls on all alike.
    """
    names = list(turns)
    results: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            result = turns[name]()
            if number >= warm_up:
                results[name].append(result)
    return results


def times_faster(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return the median of the ratios slow / fast, round by round."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def run_process(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command in a folder and measure it; raises RuntimeError, with its last words, when it fails.

    The peak is that of the process, or of the largest one that it waited for (Unix only).
    """
    # A process begins as a copy of the one that starts it, whose memory counts in its peak: a small one does it.
    starter = [sys.executable, "-S", str(Path(__file__)), *command]
    environment = {**os.environ, **(environment or {})}
    done = subprocess.run(starter, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if found.pop("status"):
        raise RuntimeError(f"{' '.join(command)} failed:\n{found['words'][-2000:]}")
    del found["words"]
    return Finished(**found)


def start(command: Sequence[str]) -> dict[str, Any]:
    """Run a command and return what was measured, its exit status and what it wrote to stderr."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        words = process.stderr.read()  # until the process closes it, as a rule by ending
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": process.returncode,
        "words": words.decode(errors="replace"),
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, Python, the versions of the libraries."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the first of them the heads; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    print(json.dumps(start(sys.argv[1:])))
