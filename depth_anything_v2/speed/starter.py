"""Starts a process, waits for it and writes what was measured to stdout as JSON; only with the standard library.

A process begins as a copy of the one that starts it, whose memory counts in its peak: this one is small. It is run
as a script, `python -S starter.py COMMAND...`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any


def start(command: list[str]) -> dict[str, Any]:
    """Run a command and return seconds, cpu_seconds, peak_bytes, its exit status and its words (stderr).

    Where the system does not tell what a process used (Windows), cpu_seconds and peak_bytes are None.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        words = process.stderr.read()  # until the process closes it, as a rule by ending
        cpu_seconds = peak_bytes = None
        if sys.platform == "win32":
            process.wait()
        else:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_seconds = usage.ru_utime + usage.ru_stime
            peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak_bytes,
        "status": process.returncode,
        "words": words.decode(errors="replace"),
    }


if __name__ == "__main__":
    # A signal to the group is for the command, which ends by it in its own way; this process ends after it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sys.stdout.write(json.dumps(start(sys.argv[1:])))
