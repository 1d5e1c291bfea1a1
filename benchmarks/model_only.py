"""The network alone: one picture, the same weights, this package's engines against other ways of running it.

    python benchmarks/model_only.py [--size 518 518] [--rounds 7] [--ours torch:float32 openvino:bfloat16 ...]
                                    [--rivals ...] [--encoder vits] [--checkpoint FILE] [--folder DIR] [--json]

Rivals: transformers (eager float32), openvino (its converter and runtime as they are, float32 asked for) and
onnxruntime (torch's exporter and the runtime as they are, float32), the last two at one fixed size. Each
contender lives in a process of its own, and they run in turns, one at a time. `away` is how far the result is
from that of the first contender: relative L2 norm. At other sizes than 518 x 518 transformers samples the
position embedding in another way, and is about 0.01 away from the published model.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from measure import in_turns, machine, print_table, run_process, times_faster
from weights import Weights, load_transformers

from depth_anything_v2.errors import DepthAnythingError

Array = npt.NDArray[np.float32]
Run = Callable[[Array], Array]
RIVALS = ("transformers", "openvino", "onnxruntime")
OURS = ("torch:float32", "torch:bfloat16", "openvino:float32", "openvino:bfloat16", "onnx:float32")
EXAMPLE = Path(__file__).resolve().parents[1] / "assets" / "examples" / "coffee.jpg"


@dataclass(frozen=True)
class Contender:
    """kind: 'plain NAME' for rivals, 'ours' with 'engine:precision'."""

    name: str
    ours: bool

    @property
    def label(self) -> str:
        return f"ours {self.name.replace(':', ' ')}" if self.ours else f"plain {self.name} float32"

    def load(self, weights: Weights, height: int, width: int) -> Run:
        """Return a function from (1, 3, height, width) to (1, height, width)."""
        if self.ours:
            return _load_ours(self.name, weights)
        loaders = {"transformers": _load_transformers, "openvino": _load_openvino, "onnxruntime": _load_onnxruntime}
        return loaders[self.name](weights, height, width)


def _load_ours(name: str, weights: Weights) -> Run:
    from depth_anything_v2 import DepthEstimator

    engine, _, precision = name.partition(":")
    checkpoint = weights.given or weights.checkpoint
    return DepthEstimator.from_pretrained(checkpoint, engine=engine, precision=precision or "auto").engine


def _load_transformers(weights: Weights, _height: int, _width: int) -> Run:
    import torch

    model = load_transformers(weights.transformers)

    def run(batch: Array) -> Array:
        with torch.inference_mode():
            depth: Array = model(torch.from_numpy(batch)).predicted_depth.numpy()
        return depth

    return run


def _load_openvino(weights: Weights, height: int, width: int) -> Run:
    from depth_anything_v2.engines.openvino_engine import import_openvino

    model = (
        import_openvino()
        .Core()
        .compile_model(weights.plain(height, width, ".xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    )
    return lambda batch: np.array(model(batch)[0])


def _load_onnxruntime(weights: Weights, height: int, width: int) -> Run:
    from depth_anything_v2.engines.onnx_engine import runtime

    session = runtime().InferenceSession(weights.plain(height, width, ".onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: np.asarray(session.run(None, {name: batch})[0])


def example(height: int, width: int) -> Array:
    """Return a photograph as the network sees it, (1, 3, height, width)."""
    from depth_anything_v2.config import Preprocessing
    from depth_anything_v2.io import read_image, to_float
    from depth_anything_v2.util.transform import preprocess

    return preprocess(to_float(read_image(EXAMPLE)), Preprocessing(), (height, width))[None]


def serve(connection: Connection, contender: Contender, weights: Weights, height: int, width: int) -> None:
    """Load, answer with the first result (or a sentence), then with the seconds of a run each time one is asked for."""
    try:
        run, batch = contender.load(weights, height, width), example(height, width)
        connection.send(run(batch))
    except (DepthAnythingError, ImportError) as error:
        connection.send(str(error))
        return
    while connection.recv():
        began = time.perf_counter()
        run(batch)
        connection.send(time.perf_counter() - began)


class Worker:
    """A contender in its own process. depth: its first result; problem: why there is none."""

    def __init__(self, contender: Contender, weights: Weights, height: int, width: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, contender, weights, height, width)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        answer = self._connection.recv()
        self.problem: str | None = answer if isinstance(answer, str) else None
        self.depth: Array | None = None if isinstance(answer, str) else answer

    def seconds(self) -> float:
        """Let it run once."""
        self._connection.send(True)
        return float(self._connection.recv())

    def close(self) -> None:
        if self.problem is None:
            self._connection.send(False)
        self._process.join()


def compare(
    contenders: list[Contender], weights: Weights, height: int, width: int, rounds: int, warm_up: int
) -> dict[str, Any]:
    """Return, for each contender's label: seconds of each round, median, ratio to the first and distance from it."""
    results: dict[str, Any] = {}
    workers: dict[str, Worker] = {}
    try:
        for contender in contenders:
            worker = Worker(contender, weights, height, width)
            workers[contender.label] = worker
            if worker.problem is not None:
                results[contender.label] = {"problem": worker.problem}
        running = {label: worker for label, worker in workers.items() if worker.depth is not None}
        times = in_turns({label: worker.seconds for label, worker in running.items()}, rounds, warm_up)
    finally:
        for worker in workers.values():
            worker.close()
    first = next(iter(running))
    reference: Any = running[first].depth
    for label, worker in running.items():
        depth: Any = worker.depth
        results[label] = {
            "median_s": statistics.median(times[label]),
            "times_faster": times_faster(times[first], times[label]),
            "away": float(np.linalg.norm(depth - reference) / np.linalg.norm(reference)),
            "seconds": times[label],
        }
    return {contender.label: results[contender.label] for contender in contenders}


def report(results: dict[str, Any], height: int, width: int) -> None:
    """Print the table."""
    first = next(iter(results))
    rows = [[f"1 x 3 x {height} x {width}", "median ms", "fastest", "slowest", "times faster", "away"]]
    for label, found in results.items():
        if "problem" not in found:
            numbers = [found["median_s"], min(found["seconds"]), max(found["seconds"])]
            cells = [f"{number * 1000:.0f}" for number in numbers]
            rows.append([label, *cells, f"{found['times_faster']:.2f}", f"{found['away']:.1e}"])
    print_table(rows)
    print(f"times faster than, and away from: {first}")
    for label, found in results.items():
        if "problem" in found:
            print(f"{label}: {found['problem']}")


def prepare(folder: Path, options: argparse.Namespace) -> Weights:
    """Write the weights in every format, in a process of its own, which is then gone from memory."""
    height, width = options.size
    command = ["weights.py", str(folder), f"--encoder={options.encoder}", f"--height={height}", f"--width={width}"]
    if options.checkpoint:
        command.append(f"--checkpoint={options.checkpoint.resolve()}")
    if {"openvino", "onnxruntime"} & set(options.rivals):
        command.append("--rivals")
    run_process([sys.executable, *command], Path(__file__).parent)
    return Weights(folder, options.encoder, options.checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the network alone, in turns with other ways of running it.")
    parser.add_argument("--size", type=int, nargs=2, default=(518, 518), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--ours", nargs="*", default=list(OURS), metavar="ENGINE:PRECISION")
    parser.add_argument("--encoder", choices=("vits", "vitb", "vitl", "vitg"), default="vits")
    parser.add_argument("--checkpoint", type=Path, help="real weights, relative; default: random ones")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before those that count")
    parser.add_argument("--folder", type=Path, help="keep the weights and converted models here for the next time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    height, width = options.size
    contenders = [Contender(name, False) for name in options.rivals] + [Contender(name, True) for name in options.ours]
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        os.environ["DEPTH_ANYTHING_CACHE"] = str(folder / "cache")
        results = compare(contenders, prepare(folder, options), height, width, options.rounds, options.warm_up)
    if options.json:
        print(json.dumps({"machine": machine(), "size": [height, width], "results": results}, indent=2))
    else:
        report(results, height, width)
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
