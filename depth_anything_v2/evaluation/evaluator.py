"""Run a model over a benchmark: resumable, in one process or several, one bad sample never stops it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import DepthAnythingError, DepthKindError, InputError, NoInputError, OptionError
from depth_anything_v2.evaluation.benchmark import Alignment, Benchmark
from depth_anything_v2.evaluation.pairs import score_pairs
from depth_anything_v2.evaluation.records import Record, RecordFile, results_key
from depth_anything_v2.evaluation.scoring import SkippedSampleError, score_depth
from depth_anything_v2.evaluation.temporal import score_clip
from depth_anything_v2.pipeline import ordered_map
from depth_anything_v2.prediction import DepthPrediction

logger = logging.getLogger(__name__)

Model = Callable[[npt.NDArray[np.uint8]], DepthPrediction]
"""Any function of an (H, W, 3) uint8 RGB picture; its answer has the picture's size."""


@runtime_checkable
class ModelLoader(Protocol):
    """Makes a model, in each process anew; `jobs.options.EstimatorOptions` is one. Must be picklable."""

    def load(self) -> Model: ...


@dataclass(frozen=True)
class EvaluationOptions:
    """alignment: instead of the benchmark's own; limit: only the first samples; processes: that predict and score.

    Raises OptionError for numbers below one.
    """

    alignment: Alignment | None = None
    limit: int | None = None
    processes: int = 1

    def __post_init__(self) -> None:
        if (self.limit is not None and self.limit < 1) or self.processes < 1:
            raise OptionError("the limit on samples and the number of processes must be at least 1")


@dataclass(frozen=True)
class Evaluation:
    """What came out. model: the name in reports; about: what is known of it; records: one per sample, in order.

    alignment_asked: instead of the benchmark's own; limited: only the first samples were scored; seconds: what this run
    took, without what was done before.
    """

    model: str
    benchmark: Benchmark
    data: str
    records: tuple[Record, ...]
    about: dict[str, Any] = field(default_factory=dict)
    alignment_asked: Alignment | None = None
    limited: bool = False
    seconds: float = 0.0

    @property
    def alignment(self) -> str | None:
        """The alignment that was used; None for pairs, which need none."""
        return next((record.alignment for record in self.records if record.alignment), None)

    def count(self, status: str) -> int:
        return sum(record.status == status for record in self.records)

    @property
    def ok(self) -> bool:
        """Whether something was scored and nothing failed; a sample without valid pixels, skipped, is no failure."""
        return self.count("scored") > 0 and self.count("failed") == 0


def evaluate(
    model: Model | ModelLoader,
    samples: Sequence[Any],
    benchmark: Benchmark,
    *,
    name: str = "model",
    identity: str | None = None,
    data: str = "",
    about: dict[str, Any] | None = None,
    options: EvaluationOptions | None = None,
    results: Path | None = None,
    on_record: Callable[[Record, int, int], None] | None = None,
) -> Evaluation:
    """Score every sample and return the outcome.

    model: a function of a picture, or a loader of one (needed for several processes). samples: a sequence of what the
    task needs: `scoring.DepthSample`, `pairs.PairsOfOneImage` or `temporal.ClipSample`; picklable for several
    processes. name: of the model in reports. identity, data: what tells this model and these data from others (a
    digest); they name the file of results. about: what reports say of the model. results: folder where the file is
    kept; what it holds is not computed again. on_record(record, done, total) is called after each sample, in this
    thread.

    A sample that can't be read or scored is recorded as failed, one with too few valid pixels as skipped. Raises
    NoInputError for no samples, DepthKindError when the model cannot be scored this way at all, InputError when every
    sample failed, OutputError when results cannot be written. An interrupt leaves what is done in the file.
    """
    options, started = options or EvaluationOptions(), time.monotonic()
    total = len(samples) if options.limit is None else min(options.limit, len(samples))
    if total == 0:
        raise NoInputError(f"there is nothing to evaluate on: {data or 'the data set'} has no samples")
    if options.processes > 1 and not isinstance(model, ModelLoader):
        raise OptionError("several processes need a loader of the model, not the model itself: see ModelLoader")
    job = _Job(model, samples, benchmark, options.alignment)
    header = {"model": identity or name, "data": data, "benchmark": benchmark.name}
    header |= {"benchmark_digest": benchmark.digest, "alignment": options.alignment or "default"}
    with contextlib.ExitStack() as stack:
        file = None
        if results is not None:
            path = results / f"{benchmark.name}-{results_key(header)}.jsonl"
            file = stack.enter_context(RecordFile(path, header))
        records = {i: record for i, record in (file.known if file else {}).items() if i < total}
        waiting = [index for index in range(total) if index not in records]
        run = _run_here if options.processes == 1 else _run_in_processes
        outcomes = stack.enter_context(contextlib.closing(run(job, waiting, options.processes)))
        for record in outcomes:
            records[record.index] = record
            if file is not None:
                file.add(record)
            if on_record is not None:
                on_record(record, len(records), total)
    done = tuple(records[index] for index in sorted(records))
    failures = [record for record in done if record.status == "failed"]
    if len(failures) == len(done):
        raise InputError(f"all {len(done)} samples failed, the first because: {failures[0].message}")
    limited, seconds = total < len(samples), time.monotonic() - started
    return Evaluation(name, benchmark, data, done, about or {}, options.alignment, limited, seconds)


@dataclass(frozen=True)
class _Job:
    """All that a process needs."""

    model: Model | ModelLoader
    samples: Sequence[Any]
    benchmark: Benchmark
    alignment: Alignment | None

    def load(self) -> Model:
        return self.model.load() if isinstance(self.model, ModelLoader) else self.model

    def read(self, index: int) -> tuple[int, Any]:
        """Return (index, sample), or the error in the place of the sample."""
        try:
            return index, self.samples[index]
        except (DepthAnythingError, OSError, ValueError) as error:
            return index, error

    def score(self, model: Model, index: int, sample: Any) -> Record:
        if isinstance(sample, Exception):
            return Record(index, f"sample {index}", f"sample {index}", status="failed", message=_sentence(sample))
        started = time.monotonic()
        # In a set of pairs `scene` is a kind of scene; every picture is one of its own.
        pairs = self.benchmark.task == "pairs"
        scene, group = (sample.name, sample.scene) if pairs else (sample.scene, getattr(sample, "group", ""))
        about = {"index": index, "name": sample.name, "scene": scene or sample.name, "group": group}
        try:
            outcome = _score(model, sample, self.benchmark, self.alignment)
        except SkippedSampleError as error:
            outcome = {"status": "skipped", "message": str(error)}
        except DepthKindError:
            raise
        except (DepthAnythingError, OSError, ValueError, RuntimeError) as error:
            logger.debug("sample %d failed", index, exc_info=True)
            outcome = {"status": "failed", "message": _sentence(error)}
        return Record(**about, **outcome, seconds=round(time.monotonic() - started, 4))


def _score(model: Model, sample: Any, benchmark: Benchmark, alignment: Alignment | None) -> dict[str, Any]:
    if benchmark.task == "pairs":
        if not sample.pairs:
            raise SkippedSampleError(f"'{sample.name}' has no pairs")
        pairs = score_pairs(model(sample.image), sample)
        return {"metrics": {"accuracy": pairs.accuracy}, "weight": float(len(pairs.right)), "ties": pairs.ties}
    if benchmark.task == "video":
        metrics, fitted = score_clip([model(frame.image) for frame in sample.frames], sample, benchmark, alignment)
    else:
        metrics, fitted = score_depth(model(sample.image), sample, benchmark, alignment)
    return {"metrics": metrics, "alignment": fitted.alignment, "upside_down": fitted.upside_down}


def _run_here(job: _Job, waiting: Sequence[int], _processes: int) -> Generator[Record, None, None]:
    if not waiting:
        return
    model = job.load()
    for index, sample in ordered_map(job.read, waiting, workers=1, ahead=2):
        yield job.score(model, index, sample)


def _run_in_processes(job: _Job, waiting: Sequence[int], processes: int) -> Generator[Record, None, None]:
    """Yield records in the order in which they come; a few samples per process are under way at a time."""
    if not waiting:
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    pool = ProcessPoolExecutor(
        min(processes, len(waiting)), multiprocessing.get_context("spawn"), _start_process, (job, threads)
    )
    try:
        rest, pending = iter(waiting), set[Future[Record]]()
        while True:
            for index in rest:
                pending.add(pool.submit(_score_in_process, index))
                if len(pending) >= 2 * processes:
                    break
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process of the evaluation ended by itself (out of memory?): what is done is kept, run it again with "
            "fewer processes"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_of_process: tuple[_Job, Model] | None = None


def _start_process(job: _Job, threads: int) -> None:
    """Load the model once per process; torch and OpenMP take their number of threads from the environment."""
    global _of_process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent alone decides
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(threads))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _of_process = (job, job.load())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score_in_process(index: int) -> Record:
    if _of_process is None:
        raise RuntimeError("the process was not started by this module")
    job, model = _of_process
    return job.score(model, *job.read(index))


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, DepthAnythingError) else f"{type(error).__name__}: {text}"
