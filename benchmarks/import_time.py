"""How long importing and asking for help take, each as a whole process.

    python benchmarks/import_time.py [--runs 9]

The bar is 0.5 s for each. The interpreter's own start is measured beside them, in turn with them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python alone": ["-c", "pass"],
    "import depth_anything_v2": ["-c", "import depth_anything_v2"],
    "depth-anything --help": ["-m", "depth_anything_v2", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one run."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the import and the help of the command line.")
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for run in range(runs + 1):
        for name, arguments in COMMANDS.items():
            taken = seconds(arguments)
            if run:  # the first round warms the file cache
                times[name].append(taken)
    for name, values in times.items():
        print(f"{name:26s} median {statistics.median(values):.3f} s, {min(values):.3f} to {max(values):.3f} s")


if __name__ == "__main__":
    main()
