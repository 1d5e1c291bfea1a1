"""One contender in a process of its own: `python -m depth_anything_v2.speed.worker JOB.json ANSWER.json`.

The job says what to do: 'prepare' (convert, keep, and measure the drift) or 'passes' (time the network alone). The
answer holds the results, or under 'problem' a sentence on why there are none.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from depth_anything_v2.engines import accuracy
from depth_anything_v2.errors import DepthAnythingError, OptionError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io.images import read_image, to_float
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.planner import check_memory
from depth_anything_v2.speed.contenders import Contender
from depth_anything_v2.util.transform import preprocess

_EXAMPLE = accuracy.PHOTOGRAPHS / "coffee.jpg"


def prepare(contender: Contender, loading: EstimatorOptions) -> dict[str, Any]:
    """Make a checkpoint ready for an engine, so that later processes find it converted, and measure its drift.

    Returns 'model' (what is known of the checkpoint), 'device_name', and 'drift', None for the reference itself.
    """
    estimator = contender.options(loading).load()
    engine, drift = estimator.engine, None
    if not contender.is_reference:
        exact = Contender("torch", "cpu", "float32").options(loading).load()
        drift = accuracy.measure(exact.engine, engine, estimator.config).to_dict()
    describe = getattr(engine, "describe_device", None)
    return {
        "model": {
            "name": estimator.name,
            "sha256": estimator.sha256,
            "encoder": estimator.config.encoder,
            "kind": estimator.config.kind,
            "input_size": estimator.config.preprocessing.input_size,
            "multiple_of": estimator.config.preprocessing.multiple_of,
        },
        "device_name": describe() if describe else engine.device,
        "drift": drift,
    }


def time_passes(
    contender: Contender, loading: EstimatorOptions, sizes: list[tuple[int, int]], passes: int
) -> dict[str, Any]:
    """Return under 'seconds' a list for each size (height, width): `passes` passes, after one that does not count."""
    estimator = contender.options(loading).load()
    return {"seconds": [_time(estimator, (height, width), passes) for height, width in sizes]}


def _time(estimator: DepthEstimator, size: tuple[int, int], passes: int) -> list[float]:
    height, width = size
    # As if the picture had this size, and no limit on tokens.
    check_memory(estimator.config, estimator.engine, size, min(size), height * width, f"a size of {height}x{width}")
    batch = preprocess(to_float(read_image(_EXAMPLE)), estimator.config.preprocessing, size)[None]
    estimator.engine(batch)
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        estimator.engine(batch)
        seconds.append(time.perf_counter() - began)
    return seconds


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job: 'task', 'contender', 'loading', and what the task needs."""
    contender, loading = Contender(**job["contender"]), EstimatorOptions(**job["loading"])
    try:
        if job["task"] == "prepare":
            return prepare(contender, loading)
        if job["task"] == "passes":
            return time_passes(contender, loading, [tuple(size) for size in job["sizes"]], job["passes"])
        raise OptionError(f"unknown task '{job['task']}': prepare or passes")
    except DepthAnythingError as error:
        return {"problem": str(error)}


def make_job(task: str, contender: Contender, loading: EstimatorOptions, **more: Any) -> dict[str, Any]:
    """Return a job for `answer`, as JSON data."""
    plain = {"contender": dataclasses.asdict(contender), "loading": dataclasses.asdict(loading)}
    return {"task": task, **plain, **more}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half a conversion is removed
    job, target = map(Path, sys.argv[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same for every contender, and told with the checkpoint
        result = answer(json.loads(job.read_text(encoding="utf-8")))
    target.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
