"""The measurement behind `depth-anything benchmark`: processes, one at a time, in turns."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_anything_v2.engines.accuracy import Accuracy
from depth_anything_v2.errors import DepthAnythingError, OptionError
from depth_anything_v2.io.atomic import output_error
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.speed.contenders import Contender
from depth_anything_v2.speed.machine import load_average, machine
from depth_anything_v2.speed.measure import Finished, ProcessFailedError, in_turns, run_process, times_faster
from depth_anything_v2.speed.photos import make_photos
from depth_anything_v2.speed.worker import make_job

START_S, FOLDER_S, FOLDER_CPU_S, PEAK_BYTES = "start_to_file_s", "folder_s", "folder_cpu_s", "peak_bytes"

Size = tuple[int, int]  # height, width in pixels


def model_key(size: Size) -> str:
    """Return the name of the figure for the network alone at a size."""
    return f"model_{size_name(size)}_s"


def size_name(size: Size) -> str:
    """Return '518x784' for a height of 518 and a width of 784."""
    return f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured, and how often.

    sizes: (height, width) of what the network alone is timed with; none: a square of the model's input size.
    photos, photo_width: how many photographs the folder holds, and about how many pixels their longer side has.
    rounds: in each of them every contender has one turn. passes: through the network in a turn. Raises OptionError.
    """

    sizes: tuple[Size, ...] = ()
    photos: int = 8
    photo_width: int = 2000
    rounds: int = 5
    passes: int = 3

    def __post_init__(self) -> None:
        for what in ("photos", "rounds", "passes"):
            if getattr(self, what) < 1:
                raise OptionError(f"the number of {what} must be at least 1, not {getattr(self, what)}")
        if self.photo_width < 32:
            raise OptionError(f"the photographs must be at least 32 pixels wide, not {self.photo_width}")


@dataclass
class Measured:
    """What was found of a contender.

    problem: a sentence on why there is nothing; failed: it should have run. figures: by name, one value per round.
    drift: from float32 through torch on the processor, None for that itself.
    """

    contender: Contender
    problem: str | None = None
    failed: bool = False
    device_name: str | None = None
    drift: Accuracy | None = None
    figures: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.figures[name])

    def spread(self, name: str) -> float:
        """Return the largest less the smallest value, over the median."""
        values = self.figures[name]
        return (max(values) - min(values)) / statistics.median(values)


@dataclass(frozen=True)
class BenchmarkResult:
    """Everything that was measured. model: what the checkpoint is; load_average: just before, None if not known."""

    measured: tuple[Measured, ...]
    options: BenchmarkOptions
    sizes: tuple[Size, ...]
    model: dict[str, Any]
    machine: dict[str, Any]
    load_average: float | None
    seconds: float

    @property
    def ran(self) -> tuple[Measured, ...]:
        return tuple(found for found in self.measured if found.problem is None)

    def times_faster(self, found: Measured, name: str) -> float:
        """Return how many times as fast as the first that ran it is, by a figure in seconds."""
        return times_faster(self.ran[0].figures[name], found.figures[name])


@dataclass(frozen=True)
class Step:
    """One process that has ended. done, total: how many steps."""

    text: str
    seconds: float
    done: int
    total: int


def step_count(contenders: Sequence[object], options: BenchmarkOptions) -> int:
    """Return how many steps a measurement has: to prepare, in every round three things, and one that warms up."""
    return len(contenders) * (2 + 3 * options.rounds)


class BenchmarkInterrupted(KeyboardInterrupt):
    """Ctrl-C or the like ended a measurement, whose processes are ended as well."""


def run_benchmark(
    loading: EstimatorOptions,
    contenders: Sequence[Contender],
    options: BenchmarkOptions,
    on_step: Callable[[Step], None] | None = None,
) -> BenchmarkResult:
    """Measure the contenders with a checkpoint that is on disk, one process at a time.

    loading: the checkpoint and how it is to be read; it is looked for where this process is. A contender that cannot
    run here, or whose process fails, is left out with a sentence. Takes minutes.

    Raises OptionError for a size that the network cannot take, DepthAnythingError when no contender can run,
    OutputError, and BenchmarkInterrupted in place of KeyboardInterrupt.
    """
    load, began = load_average(), time.monotonic()
    found = [Measured(contender) for contender in contenders]
    try:
        with tempfile.TemporaryDirectory(prefix="depth-anything-") as folder:
            measurement = _Measurement(loading, found, options, Path(folder), on_step or (lambda _: None))
            measurement.run()
    except OSError as error:
        raise output_error(Path(tempfile.gettempdir()), error) from error
    except KeyboardInterrupt as interrupt:
        raise BenchmarkInterrupted("all processes of the measurement are ended, and nothing is written") from interrupt
    seconds = time.monotonic() - began
    return BenchmarkResult(tuple(found), options, measurement.sizes, measurement.model, machine(), load, seconds)


class _Measurement:
    def __init__(
        self,
        loading: EstimatorOptions,
        found: Sequence[Measured],
        options: BenchmarkOptions,
        folder: Path,
        on_step: Callable[[Step], None],
    ) -> None:
        self.loading, self.found, self.options, self.folder, self.on_step = loading, found, options, folder, on_step
        self.model: dict[str, Any] = {}
        self.sizes: tuple[Size, ...] = options.sizes
        self._done, self._total = 0, step_count(found, options)

    def run(self) -> None:
        make_photos(self.folder / "photos", self.options.photos, self.options.photo_width)
        for found in self.found:
            self._turn("preparing it", found, self._prepare)()
        if not self._running():
            problems = dict.fromkeys(f"{found.problem}" for found in self.found)
            raise DepthAnythingError(f"nothing can be measured: {'; '.join(problems)}")
        self._check_sizes()
        for found, rounds in self._rounds("the network alone", self._passes):
            for number, size in enumerate(self.sizes):
                found.figures[model_key(size)] = tuple(times[number] for times in rounds)
        # One process that does not count: the files that starting up needs are then in memory.
        for found, rounds in self._rounds("one photograph", self._predict_one, warm_up=1):
            found.figures[START_S] = tuple(ended.seconds for ended in rounds)
        for found, rounds in self._rounds(f"{self.options.photos} photographs", self._predict_all):
            found.figures[FOLDER_S] = tuple(ended.seconds for ended in rounds)
            found.figures[FOLDER_CPU_S] = tuple(ended.cpu_seconds for ended in rounds)
            found.figures[PEAK_BYTES] = tuple(ended.peak_bytes for ended in rounds)

    def _running(self) -> list[Measured]:
        return [found for found in self.found if found.problem is None]

    def _check_sizes(self) -> None:
        multiple, usual = self.model["multiple_of"], self.model["input_size"]
        self.sizes = self.sizes or ((usual, usual),)
        for size in self.sizes:
            if size[0] % multiple or size[1] % multiple or min(size) < 1:
                raise OptionError(f"a size of {size_name(size)}: both sides must be multiples of {multiple}")

    def _rounds(
        self, what: str, action: Callable[[Measured], Any], warm_up: int = 0
    ) -> list[tuple[Measured, list[Any]]]:
        """Give every contender its turns, and return those that had all of them, with what `action` returned."""
        turns = {found.contender.label: self._turn(what, found, action) for found in self.found}
        results = in_turns(turns, self.options.rounds, warm_up)
        return [(found, results[found.contender.label]) for found in self._running()]

    def _turn(self, what: str, found: Measured, action: Callable[[Measured], Any]) -> Callable[[], Any]:
        """Return a function that lets a contender do something, unless it has been left out."""

        def run() -> Any:
            self._done += 1
            if found.problem is not None:
                return None
            began, result = time.perf_counter(), None
            try:
                result = action(found)
            except ProcessFailedError as error:
                found.problem, found.failed = f"{what}: {error.reason}", True
            text = f"{found.contender.label}: {what}" if found.problem is None else f"{found.contender.label}: left out"
            self.on_step(Step(text, time.perf_counter() - began, self._done, self._total))
            return result

        return run

    def _prepare(self, found: Measured) -> None:
        answer = self._ask(found, "prepare")
        if answer is not None:
            self.model = self.model or answer["model"]
            found.device_name = answer["device_name"]
            found.drift = Accuracy(**answer["drift"]) if answer["drift"] else None

    def _passes(self, found: Measured) -> list[float]:
        """Return, for each size, the median of the passes of one process."""
        answer = self._ask(found, "passes", sizes=self.sizes, passes=self.options.passes)
        return [] if answer is None else [statistics.median(seconds) for seconds in answer["seconds"]]

    def _ask(self, found: Measured, task: str, **more: Any) -> dict[str, Any] | None:
        """Let a worker do a task; None, and a problem, when it cannot."""
        job, target = self.folder / "job.json", self.folder / "answer.json"
        job.write_text(json.dumps(make_job(task, found.contender, self.loading, **more)), encoding="utf-8")
        self._run("depth_anything_v2.speed.worker", str(job), str(target))
        answer: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        found.problem = answer.get("problem")
        return answer if found.problem is None else None

    def _predict_one(self, found: Measured) -> Finished:
        return self._predict(found, self.folder / "photos" / "photo000.jpg")

    def _predict_all(self, found: Measured) -> Finished:
        return self._predict(found, self.folder / "photos")

    def _predict(self, found: Measured, photos: Path) -> Finished:
        with tempfile.TemporaryDirectory(dir=self.folder) as output:
            arguments = predict_arguments(found.contender.options(self.loading))
            return self._run("depth_anything_v2", "predict", str(photos), f"--output={output}/depth", *arguments)

    def _run(self, module: str, *arguments: str) -> Finished:
        return run_process([sys.executable, "-m", module, *arguments])


def predict_arguments(loading: EstimatorOptions) -> list[str]:
    """Return the options of `depth-anything predict` that load what `loading` says, without a word."""
    values = {
        "checkpoint": loading.checkpoint,
        "encoder": loading.encoder,
        "max-depth": loading.max_depth_m,
        "engine": loading.engine,
        "device": loading.device,
        "precision": loading.precision,
    }
    flags = {"relative": loading.relative, "v1": loading.v1, "offline": loading.offline, "quiet": True}
    given = [f"--{name}={value}" for name, value in values.items() if value is not None]
    return [*given, *(f"--{name}" for name, wanted in flags.items() if wanted)]
