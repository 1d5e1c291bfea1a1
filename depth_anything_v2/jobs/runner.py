"""Run a plan through an estimator: read ahead, predict in batches, write behind, lose nothing."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import DepthAnythingError, OutputError
from depth_anything_v2.estimator import Answer, Prepared
from depth_anything_v2.io.atomic import make_folder
from depth_anything_v2.io.exif import read_picture
from depth_anything_v2.jobs.inputs import identity
from depth_anything_v2.jobs.journal import Journal, digest
from depth_anything_v2.jobs.outputs import Rgb
from depth_anything_v2.jobs.plan import JobPlan, PlannedInput, make_folders
from depth_anything_v2.jobs.report import ItemResult, JobReport, Status
from depth_anything_v2.jobs.stored import Stored
from depth_anything_v2.pipeline import Cost, ordered_map, windows
from depth_anything_v2.prediction import DepthPrediction

# After one of these the next output would fail as well: the job ends instead of failing a thousand times.
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_NO_PICTURE = np.empty((0, 0, 3), np.uint8)
_RUN_OPTIONS = ("input_size", "device", "precision", "batch_size")


class Estimator(Protocol):
    """What a job needs of `DepthEstimator`."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def licence(self) -> str | None: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def input_size(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def tile(self) -> int | None: ...
    def prepare(self, rgb: Rgb, source: str | None = None, *, camera: Camera | None = None) -> Prepared: ...
    def run(self, prepared: Sequence[Prepared]) -> list[Answer]: ...
    def finish(self, prepared: Prepared, answer: Answer) -> DepthPrediction: ...


OnResult = Callable[[ItemResult, int, int], None]  # result, how many inputs are finished, how many there are


class JobInterrupted(KeyboardInterrupt):
    """Ctrl-C or the like ended a job; `report` says what was done, all of which stays and is in the journal."""

    def __init__(self, report: JobReport) -> None:
        finished = report.count("done") + report.count("skipped")
        rest = "; resuming does the rest" if report.options["journal"] else ""
        super().__init__(f"{finished} of {len(report.results)} inputs are done, in '{report.folder}'{rest}")
        self.report = report


def run_job(
    plan: JobPlan,
    estimator: Estimator | None,
    *,
    on_result: OnResult | None = None,
    reporting: Mapping[str, Any] | None = None,
    stored: Stored | None = None,
) -> JobReport:
    """Run every input of `plan` that is not done and return what became of each.

    on_result is called in this thread, once per finished input, in the order of the inputs. reporting:
    further options for the report, as JSON data. stored: returns picture and depth of inputs that hold depth
    already; with it, the estimator may be None if no input needs one.

    An input that fails does not stop the others, unless options.strict. A full disk ends the job; the
    report's `stopped` says so. Raises JobInterrupted in place of KeyboardInterrupt, OutputError when the
    output folder cannot be made or its journal not be opened.
    """
    make_folders(plan)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(plan.folder)) if plan.options.journal else None
        job = _Job(plan, estimator, journal, on_result, reporting or {}, stored)
        try:
            job.run()
        except KeyboardInterrupt as interrupt:
            job.stopped = "interrupted"
            raise JobInterrupted(job.report()) from interrupt
        return job.report()


@dataclass
class _Item:
    """One input on its way through the stages; `error` ends the way early.

    rgb: the picture, (0, 0, 3) where the product does not need it; pixels, held: how many it has, and how many
    stay in memory. prepared, answer: what goes into the network and comes out of it. prediction: of
    an input that holds depth already.
    """

    index: int
    identity: Any = None
    rgb: Rgb | None = None
    pixels: int = 0
    held: int = 0
    prepared: Prepared | None = None
    answer: Answer | None = None
    prediction: DepthPrediction | None = None
    camera: Camera | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    ended_job: bool = False
    seconds: float = 0.0


class _Job:
    def __init__(
        self,
        plan: JobPlan,
        estimator: Estimator | None,
        journal: Journal | None,
        on_result: OnResult | None,
        reporting: Mapping[str, Any],
        stored: Stored | None,
    ) -> None:
        self.plan, self.estimator, self.journal = plan, estimator, journal
        self.on_result, self.reporting, self.stored = on_result, reporting, stored
        self._batch_size = 1 if estimator is None else estimator.batch_size
        self.stopped: str | None = None  # why nothing new is begun
        self._hopeless = False  # nor anything written
        self._results: list[ItemResult | None] = [None] * len(plan.items)
        self._told = 0
        self._began = time.monotonic()
        self._started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._model = estimator and {
            "checkpoint": estimator.sha256 or estimator.name,
            "config": estimator.config.to_dict(),
            "input_size": estimator.input_size,
            "precision": estimator.precision,
            "tile": estimator.tile,
        }

    def run(self) -> None:
        workers, batch = self.plan.options.workers, self._batch_size
        with ExitStack() as stages:
            read = ordered_map(
                self._read, self._waiting(), workers=workers, ahead=max(workers, batch) + 1, cost=_reading_cost
            )
            stages.enter_context(closing(read))
            predicted = stages.enter_context(closing(self._predict(read)))
            written = ordered_map(self._write, predicted, workers=workers, ahead=2 * workers, cost=_writing_cost)
            for _ in stages.enter_context(closing(written)):
                self._tell()
        self._tell()

    def report(self) -> JobReport:
        """Return what is known by now; inputs without a result were not run."""
        sources = [item.input.label for item in self.plan.items]
        estimator = self.estimator
        return JobReport(
            results=tuple(
                result or ItemResult(source, "not run") for source, result in zip(sources, self._results, strict=True)
            ),
            folder=str(self.plan.folder),
            checkpoint={} if estimator is None else _described(estimator),
            options={
                **{name: getattr(estimator, name) for name in _RUN_OPTIONS if estimator is not None},
                **dataclasses.asdict(self.plan.options),
                **self.plan.product.describe(),
                **self.reporting,
            },
            started=self._started,
            seconds=time.monotonic() - self._began,
            stopped=self.stopped,
        )

    def _waiting(self) -> Iterator[int]:
        """Yield the inputs that are to be run, and settle those that are done."""
        for index, item in enumerate(self.plan.items):
            if self.stopped:
                return
            if self.plan.options.existing == "resume" and self._is_done(item):
                self._settle(_Item(index), "skipped")
                self._tell()
            else:
                yield index

    def _is_done(self, item: PlannedInput) -> bool:
        if self.journal is None or item.input.problem:
            return False
        try:
            return self.journal.is_done(identity(item.input), self._recipes(item))
        except OSError:
            return False  # it cannot be looked at: reading it will say why

    def _recipes(self, item: PlannedInput) -> dict[str, str]:
        return {name: digest([self._model, options]) for name, options in item.outputs.items()}

    def _read(self, index: int) -> _Item:
        source, item, began = self.plan.items[index].input, _Item(index), time.monotonic()
        if self.stopped:
            return item
        if source.problem:
            item.error = source.problem
            return item
        rgb: Rgb | None = None
        notes: tuple[str, ...] = ()
        try:
            item.identity = identity(source)
            found = None if self.stored is None else self.stored(source)
            if found is not None:
                item.rgb, item.prediction = found
                item.camera = item.prediction.camera
                item.pixels = item.held = item.prediction.depth.size
            elif self.estimator is not None:
                data: bytes | str = source.data if source.data is not None else source.source
                rgb, item.camera, notes = read_picture(data, max_pixels=self.estimator.max_pixels)
        except DepthAnythingError as error:
            item.error = str(error).replace("the bytes given", source.label)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of hostile bytes, the folder goes on
            item.error = f"'{source.label}' cannot be read ({type(error).__name__}: {error})"
        if rgb is not None:
            self._prepare(item, rgb, notes)
        item.seconds = time.monotonic() - began
        return item

    def _prepare(self, item: _Item, rgb: Rgb, notes: tuple[str, ...]) -> None:
        if self.estimator is None:
            return
        label = self.plan.items[item.index].input.label
        try:
            item.prepared = self.estimator.prepare(rgb, label, camera=item.camera)
            if self.estimator.config.kind == "metric":  # the camera matters little to relative depth
                item.prepared = item.prepared.noted(notes)
        except (DepthAnythingError, MemoryError) as error:
            item.error = str(error) or _too_little_memory(label)
        item.pixels = rgb.shape[0] * rgb.shape[1]
        if self.plan.product.needs_picture:
            item.rgb, item.held = rgb, item.pixels
        else:
            item.rgb = _NO_PICTURE

    def _predict(self, read: Iterator[_Item]) -> Generator[_Item, None, None]:
        """Yield items with the network's answers, in order; those with an error are settled on the way."""
        for window in windows(read, self._batch_size, _shape, lambda item: item.held):
            good = [item for item in window if item.prepared is not None and item.error is None]
            if good and not self.stopped and not self._run(good):
                for item in good:
                    self._run([item])
            for item in window:
                if self.stopped:
                    return
                if item.error is None:
                    yield item
                else:
                    self._settle(item, "failed")

    def _run(self, items: Sequence[_Item]) -> bool:
        """Run pictures together; False when that fails for one of several, which are then to be tried alone."""
        if self.estimator is None:
            return True
        began = time.monotonic()
        try:
            answers = self.estimator.run([item.prepared for item in items if item.prepared is not None])
        except (DepthAnythingError, MemoryError) as error:
            if len(items) == 1:
                items[0].error = str(error) or _too_little_memory(self.plan.items[items[0].index].input.label)
            return len(items) == 1
        for item, answer in zip(items, answers, strict=True):
            item.answer = answer
            item.seconds += (time.monotonic() - began) / len(items)
        return True

    def _predicted(self, item: _Item) -> DepthPrediction | None:
        if item.prepared is None or item.answer is None or self.estimator is None:
            return item.prediction
        return self.estimator.finish(item.prepared, item.answer)

    def _write(self, item: _Item) -> _Item:
        planned, began = self.plan.items[item.index], time.monotonic()
        if self._hopeless or item.rgb is None:
            return item
        base = self.plan.folder / planned.stem
        try:
            prediction = self._predicted(item)
            if prediction is None:
                return item
            make_folder(base.parent)
            if self.journal is not None:
                self.journal.start(item.identity, planned.outputs)
            item.camera = self.plan.product.write(prediction.replace(camera=item.camera), item.rgb, base)
            item.notes = prediction.provenance.notes
            if self.journal is not None:
                self.journal.add(item.identity, self._recipes(planned))
        except (DepthAnythingError, MemoryError) as error:
            item.error = str(error) or _too_little_memory(planned.input.label)
            if isinstance(error, OutputError) and _is_hopeless(error):
                self._hopeless = True
                item.ended_job = self.stopped is None
                self.stopped = self.stopped or item.error
            if self.plan.options.existing == "refuse":  # what is there is ours: half a result is none
                for name in planned.outputs:
                    (self.plan.folder / name).unlink(missing_ok=True)
        item.seconds += time.monotonic() - began
        self._settle(item, "failed" if item.error else "done")
        item.rgb = item.prepared = item.answer = item.prediction = None  # others of its window are still to come
        return item

    def _settle(self, item: _Item, status: Status) -> None:
        planned = self.plan.items[item.index]
        outputs = () if status == "failed" else tuple(str(self.plan.folder / name) for name in planned.outputs)
        camera = item.camera.describe() if item.camera is not None and status == "done" else None
        strict = status == "failed" and self.plan.options.strict and not self.stopped
        result = ItemResult(
            planned.input.label, status, outputs, item.error, item.seconds, item.ended_job or strict, camera, item.notes
        )
        if strict:
            self.stopped = f"stopped at the first failure ({result.message})"
        self._results[item.index] = result

    def _tell(self) -> None:
        """Tell the caller of results, in the order of the inputs."""
        while self._told < len(self._results) and (result := self._results[self._told]) is not None:
            self._told += 1
            if self.on_result is not None:
                self.on_result(result, self._told, len(self._results))


def _described(estimator: Estimator) -> dict[str, Any]:
    return {
        "name": estimator.name,
        "sha256": estimator.sha256,
        "licence": estimator.licence,
        "kind": estimator.config.kind,
        "unit": "m" if estimator.config.kind == "metric" else "none",
        "max_depth_m": estimator.config.max_depth_m,
        "encoder": estimator.config.encoder,
    }


def _reading_cost(item: _Item) -> Cost:
    return item.pixels, item.held


def _writing_cost(item: _Item) -> Cost:
    return item.pixels, 0


def _shape(item: _Item) -> tuple[int, int] | None:
    return None if item.prepared is None else item.prepared.network_size


def _too_little_memory(label: str) -> str:
    return f"'{label}' needs more memory than there is: use a smaller input size"


def _is_hopeless(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _HOPELESS:
            return True
        cause = cause.__cause__
    return False
