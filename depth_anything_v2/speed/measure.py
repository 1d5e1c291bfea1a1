"""Measuring in turns, and whole processes with their peak memory."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE_S = 5.0  # for a process that was asked to end
_STARTER = Path(__file__).with_name("starter.py")


@dataclass(frozen=True)
class Finished:
    """A process that ended well: wall time from its start to its end, processor time of all its threads, and
    the most memory it had resident; the last two are NaN where the system does not tell (Windows)."""

    seconds: float
    cpu_seconds: float
    peak_bytes: float


class ProcessFailedError(RuntimeError):
    """A process that ended badly. status: its exit status, minus the signal's number after a signal; words: the
    last that it wrote to stderr."""

    def __init__(self, command: Sequence[str], status: int, words: str) -> None:
        super().__init__(f"{' '.join(command)} failed:\n{words}")
        self.status, self.words = status, words

    @property
    def reason(self) -> str:
        """Its last line, or how it ended."""
        lines = self.words.strip().splitlines()
        ended = f"signal {-self.status} ended it" if self.status < 0 else f"exit status {self.status}"
        return f"{lines[-1]} ({ended})" if lines else ended


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


def run_process(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a command, in a folder or where this process is, and measure it; raises ProcessFailedError.

    Its output is dropped. environment: variables beside those of this process. The peak is that of the process, or of
    the largest one that it waited for. Whatever ends this call early, Ctrl-C first of all, ends the process.
    """
    with subprocess.Popen(
        [sys.executable, "-S", str(_STARTER), *command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a group of its own, so that Ctrl-C reaches it from here alone, and all of it
    ) as process:
        try:
            answer, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        raise ProcessFailedError(command, process.returncode, "")
    found: dict[str, Any] = json.loads(answer)
    if found["status"]:
        raise ProcessFailedError(command, found["status"], found["words"][-2000:])
    cpu, peak = (math.nan if found[name] is None else found[name] for name in ("cpu_seconds", "peak_bytes"))
    return Finished(found["seconds"], cpu, peak)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process and its group to end, then make sure of it."""
    if sys.platform == "win32":  # Ctrl-C reaches every process of the console there
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_PATIENCE_S)
        os.killpg(process.pid, signal.SIGKILL)
