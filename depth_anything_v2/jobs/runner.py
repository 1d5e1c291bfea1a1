"""Run a plan through an estimator: read ahead, predict in batches, write behind, lose nothing."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Protocol

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import DepthAnythingError, OutputError
from depth_anything_v2.io.atomic import make_folder
from depth_anything_v2.io.images import read_image
from depth_anything_v2.jobs.inputs import identity
from depth_anything_v2.jobs.journal import Journal, digest
from depth_anything_v2.jobs.outputs import Rgb
from depth_anything_v2.jobs.plan import JobPlan, PlannedInput, make_folders
from depth_anything_v2.jobs.report import ItemResult, JobReport, Status
from depth_anything_v2.pipeline import ordered_map
from depth_anything_v2.prediction import DepthPrediction

# After one of these the next output would fail as well: the job ends instead of failing a thousand times.
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_WINDOW_PIXELS = 100_000_000  # of pictures that wait for others of their shape


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
    def predict_arrays(
        self, pictures: Sequence[Rgb], sources: Sequence[str | None] | None = None
    ) -> list[DepthPrediction]: ...


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
    estimator: Estimator,
    *,
    on_result: OnResult | None = None,
    reporting: Mapping[str, Any] | None = None,
) -> JobReport:
    """Run every input of `plan` that is not done and return what became of each.

    on_result is called in this thread, once per finished input, in the order of the inputs. reporting:
    further options for the report, as JSON data.

    An input that fails does not stop the others, unless options.strict. A full disk ends the job; the
    report's `stopped` says so. Raises JobInterrupted in place of KeyboardInterrupt, OutputError when the
    output folder cannot be made or its journal not be opened.
    """
    make_folders(plan)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(plan.folder)) if plan.options.journal else None
        job = _Job(plan, estimator, journal, on_result, reporting or {})
        try:
            job.run()
        except KeyboardInterrupt as interrupt:
            job.stopped = "interrupted"
            raise JobInterrupted(job.report()) from interrupt
        return job.report()


@dataclass
class _Item:
    """One input on its way through the stages; `error` ends the way early."""

    index: int
    identity: Any = None
    rgb: Rgb | None = None
    prediction: DepthPrediction | None = None
    error: str | None = None
    ended_job: bool = False
    seconds: float = 0.0


class _Job:
    def __init__(
        self,
        plan: JobPlan,
        estimator: Estimator,
        journal: Journal | None,
        on_result: OnResult | None,
        reporting: Mapping[str, Any],
    ) -> None:
        self.plan, self.estimator, self.journal = plan, estimator, journal
        self.on_result, self.reporting = on_result, reporting
        self.stopped: str | None = None  # why nothing new is begun
        self._hopeless = False  # nor anything written
        self._results: list[ItemResult | None] = [None] * len(plan.items)
        self._told = 0
        self._began = time.monotonic()
        self._started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._model = {
            "checkpoint": estimator.sha256 or estimator.name,
            "config": estimator.config.to_dict(),
            "input_size": estimator.input_size,
            "precision": estimator.precision,
        }

    def run(self) -> None:
        workers, batch = self.plan.options.workers, self.estimator.batch_size
        with ExitStack() as stages:
            read = stages.enter_context(
                closing(
                    _closable(ordered_map(self._read, self._waiting(), workers=workers, ahead=max(workers, batch) + 1))
                )
            )
            predicted = stages.enter_context(closing(_closable(self._predict(read))))
            written = ordered_map(self._write, predicted, workers=workers, ahead=2 * workers)
            for _ in stages.enter_context(closing(_closable(written))):
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
            checkpoint={
                "name": estimator.name,
                "sha256": estimator.sha256,
                "licence": estimator.licence,
                "kind": estimator.config.kind,
                "unit": "m" if estimator.config.kind == "metric" else "none",
                "max_depth_m": estimator.config.max_depth_m,
                "encoder": estimator.config.encoder,
            },
            options={
                "input_size": estimator.input_size,
                "device": estimator.device,
                "precision": estimator.precision,
                "batch_size": estimator.batch_size,
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
        try:
            item.identity = identity(source)
            data: bytes | str = source.data if source.data is not None else source.source
            item.rgb = read_image(data, max_pixels=self.estimator.max_pixels)
        except DepthAnythingError as error:
            item.error = str(error).replace("the bytes given", source.label)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of hostile bytes, the folder goes on
            item.error = f"'{source.label}' cannot be read ({type(error).__name__}: {error})"
        item.seconds = time.monotonic() - began
        return item

    def _predict(self, read: Iterator[_Item]) -> Iterator[_Item]:
        """Yield items with their predictions, in order; those with an error are settled on the way."""
        window: list[_Item] = []
        for item in read:
            if self.stopped:
                return
            window.append(item)
            if self._is_full(window):
                yield from self._predict_window(window)
                window = []
        if not self.stopped:
            yield from self._predict_window(window)

    def _is_full(self, window: Sequence[_Item]) -> bool:
        if self.plan.options.strict and window[-1].error is not None:
            return True
        shapes = Counter(item.rgb.shape for item in window if item.rgb is not None)
        pixels = sum(shape[0] * shape[1] * count for shape, count in shapes.items())
        batch = self.estimator.batch_size
        return len(window) >= 4 * batch or pixels > _WINDOW_PIXELS or max(shapes.values(), default=batch) >= batch

    def _predict_window(self, window: Sequence[_Item]) -> Iterator[_Item]:
        good = [item for item in window if item.rgb is not None and item.error is None]
        if good and not self._predict_batch(good):
            for item in good:
                self._predict_batch([item])
        for item in window:
            if self.stopped:
                return
            if item.error is None:
                yield item
            else:
                self._settle(item, "failed")

    def _predict_batch(self, items: Sequence[_Item]) -> bool:
        """Predict pictures together; False when that fails for one of several, which are then to be tried alone."""
        began = time.monotonic()
        pictures = [item.rgb for item in items if item.rgb is not None]
        sources = [self.plan.items[item.index].input.label for item in items]
        try:
            predictions = self.estimator.predict_arrays(pictures, sources)
        except (DepthAnythingError, MemoryError) as error:
            if len(items) == 1:
                items[0].error = (
                    str(error) or f"'{sources[0]}' needs more memory than there is: use a smaller input size"
                )
            return len(items) == 1
        for item, prediction in zip(items, predictions, strict=True):
            item.prediction = prediction
            item.seconds += (time.monotonic() - began) / len(items)
        return True

    def _write(self, item: _Item) -> None:
        planned, began = self.plan.items[item.index], time.monotonic()
        if self._hopeless or item.prediction is None or item.rgb is None:
            return
        base = self.plan.folder / planned.stem
        try:
            make_folder(base.parent)
            if self.journal is not None:
                self.journal.start(item.identity, planned.outputs)
            self.plan.product.write(item.prediction, item.rgb, base)
            if self.journal is not None:
                self.journal.add(item.identity, self._recipes(planned))
        except DepthAnythingError as error:
            item.error = str(error)
            if isinstance(error, OutputError) and _is_hopeless(error):
                self._hopeless = True
                item.ended_job = self.stopped is None
                self.stopped = self.stopped or item.error
            if self.plan.options.existing == "refuse":  # what is there is ours: half a result is none
                for name in planned.outputs:
                    (self.plan.folder / name).unlink(missing_ok=True)
        item.seconds += time.monotonic() - began
        self._settle(item, "failed" if item.error else "done")

    def _settle(self, item: _Item, status: Status) -> None:
        planned = self.plan.items[item.index]
        outputs = () if status == "failed" else tuple(str(self.plan.folder / name) for name in planned.outputs)
        strict = status == "failed" and self.plan.options.strict and not self.stopped
        result = ItemResult(
            planned.input.label, status, outputs, item.error, item.seconds, ended_job=item.ended_job or strict
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


def _closable(stage: Iterator[Any]) -> Any:
    """Return a stage as what it is, a generator: closing it waits for its threads."""
    return stage


def _is_hopeless(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _HOPELESS:
            return True
        cause = cause.__cause__
    return False
