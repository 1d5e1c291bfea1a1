"""Photographs to coloured PNG files, whole processes: the original's steps against this package's commands.

    python benchmarks/end_to_end.py [--photos 20] [--rounds 3] [--predict "OPTIONS"]... [--only NAME ...]
                                    [--encoder vits] [--checkpoint FILE] [--folder DIR] [--json]

From the start of the process to its end, caches warm: a first round does not count. The processes run one at a
time, in turns. The photographs, about 2000 x 1330 pixels, are made from those in assets/examples: enlarged crops
with noise, so that decoding them is as much work as for any photograph of that size. Contenders:

- original: original_steps.py with this package's model in plain float32 PyTorch, see there; all ratios are to
  the first contender, which is this one;
- transformers: the same steps with that library's model, left out unless --only names it;
- run.py, which writes what the original writes;
- predict: depth-anything predict --side-by-side, which writes the same picture. Once for each --predict
  "OPTIONS", which are added, as in --predict "--engine openvino --precision float32"; by default once without any.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Finished, in_turns, machine, print_table, run_process, times_faster
from weights import Weights

from depth_anything_v2.speed.photos import make_photos

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "assets" / "examples"
CONTENDERS = ("original", "transformers", "run.py", "predict")
MIB = 1 << 20


def commands(options: argparse.Namespace, weights: Weights, photos: Path) -> dict[str, list[str]]:
    """Return the command of each contender, without its output folder."""
    size = ["--input-size", str(options.input_size)]
    given = ["--img-path", str(photos), "--encoder", options.encoder, *size]
    steps, run = str(HERE / "original_steps.py"), str(HERE.parent / "run.py")
    theirs = ["--model", "transformers", "--weights", str(weights.transformers)]
    predict = ["-m", "depth_anything_v2", "predict", str(photos), "--checkpoint", str(weights.checkpoint), *size]
    every = {
        "original": [steps, *given, "--weights", str(weights.checkpoint), "--outdir"],
        "transformers": [steps, *given, *theirs, "--outdir"],
        "run.py": [run, *given, "--outdir"],
    }
    found = {name: every[name] for name in options.only if name in every}
    if "predict" in options.only:
        for extra in options.predict or [""]:
            added = ["--side-by-side", "--quiet", *shlex.split(extra), "--output"]
            found[f"predict {extra}".strip()] = [*predict, *added]
    return {name: [sys.executable, *command] for name, command in found.items()}


def turn(command: list[str], folder: Path, count: int) -> Callable[[], Finished]:
    """Return a function that runs a command into an empty output folder and makes sure that all is there."""

    def run() -> Finished:
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        environment = {"DEPTH_ANYTHING_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        finished = run_process([*command, str(out)], folder, environment)
        written = len(list(out.glob("*.png")))
        if written != count:
            raise RuntimeError(f"{' '.join(command)} wrote {written} pictures, not {count}")
        return finished

    return run


def summary(runs: dict[str, list[Finished]], count: int) -> dict[str, Any]:
    """Return medians and ratios to the first contender for each of them."""
    first = next(iter(runs.values()))
    return {
        name: {
            "median_s": statistics.median(run.seconds for run in found),
            "seconds": [run.seconds for run in found],
            "cpu_s": statistics.median(run.cpu_seconds for run in found),
            "photos_per_s": count / statistics.median(run.seconds for run in found),
            "times_faster": times_faster([run.seconds for run in first], [run.seconds for run in found]),
            "peak_mib": statistics.median(run.peak_bytes for run in found) / MIB,
            "peak_ratio": statistics.median(a.peak_bytes / b.peak_bytes for a, b in zip(found, first, strict=True)),
        }
        for name, found in runs.items()
    }


def report(results: dict[str, Any], count: int) -> None:
    """Print the table."""
    heads = [
        "median s",
        "fastest",
        "slowest",
        "CPU s",
        "photos/s",
        "times faster",
        "time ratio",
        "peak MiB",
        "peak ratio",
    ]
    rows = [[f"{count} photos", *heads]]
    for name, found in results.items():
        ratio = found["times_faster"]
        seconds = [found["median_s"], min(found["seconds"]), max(found["seconds"]), found["cpu_s"]]
        numbers = [f"{value:.2f}" for value in (*seconds, found["photos_per_s"], ratio, 1 / ratio)]
        rows.append([name, *numbers, f"{found['peak_mib']:.0f}", f"{found['peak_ratio']:.2f}"])
    print_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time photographs to coloured PNG files, whole processes in turns.")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--width", type=int, default=2000, help="of the photographs, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--predict", action="append", metavar="OPTIONS", help="of depth-anything predict; repeatable")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=["original", "run.py", "predict"])
    parser.add_argument("--input-size", type=int, default=518)
    parser.add_argument("--encoder", choices=("vits", "vitb", "vitl", "vitg"), default="vits")
    parser.add_argument("--checkpoint", type=Path, help="real weights, relative; default: random ones")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before those that count")
    parser.add_argument("--folder", type=Path, help="keep the weights and converted models here for the next time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        photos = Path(temporary) / "photos"
        make_photos(photos, options.photos, options.width, EXAMPLES)
        folder = (options.folder or Path(temporary)).resolve()
        weights = Weights(folder, options.encoder)
        prepare = [sys.executable, "weights.py", str(folder), f"--encoder={options.encoder}"]
        run_process([*prepare, f"--checkpoint={options.checkpoint.resolve()}"] if options.checkpoint else prepare, HERE)
        turns = {
            name: turn(command, folder, options.photos) for name, command in commands(options, weights, photos).items()
        }
        results = summary(in_turns(turns, options.rounds, options.warm_up), options.photos)
    if options.json:
        print(json.dumps({"machine": machine(), "photos": options.photos, "results": results}, indent=2))
    else:
        report(results, options.photos)
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
