"""A whole training: start or resume, step, judge, write; and the test on one batch that comes before."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_anything_v2.checkpoints import save_checkpoint
from depth_anything_v2.engines.torch_engine import TorchEngine
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.evaluation.statistics import HIGHER_IS_BETTER
from depth_anything_v2.io.atomic import make_folder
from depth_anything_v2.io.depth_files import write_image
from depth_anything_v2.training.batches import Batch, StepBatches, check_sources, load_batches
from depth_anything_v2.training.config import TrainConfig
from depth_anything_v2.training.judge import HeldOut, check_kind, mean_scores, score, sheet
from depth_anything_v2.training.learner import Learner, make_accelerator, make_task, rate_factor
from depth_anything_v2.training.network import licence_of
from depth_anything_v2.training.records import Records
from depth_anything_v2.training.sources import open_sources, refuse_shared_scenes
from depth_anything_v2.training.state import BEFORE_DECAY, STATE, check_same_run, note_run, read_state, write_state

BEST, LAST = "best.safetensors", "last.safetensors"
Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainResult:
    """best: the checkpoint that was best on the held-out samples (the last one without any); metrics: its own there;
    steps: done; skipped: those whose batch had no valid pixel.
    """

    best: Path
    metrics: dict[str, float]
    steps: int
    skipped: int


@dataclass
class _Progress:
    """What of a run is not in the learner's state."""

    best: float | None = None
    best_metrics: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0


class Run:
    """One training in one folder. The same folder and configuration go on where the last run was."""

    def __init__(
        self, config: TrainConfig, folder: str | Path | None, *, cpu: bool = False, say: Say | None = None
    ) -> None:
        """folder: None writes nothing. say: called with sentences for the user, by the first process only.

        Raises OptionError, NoInputError, InputError, DepthKindError, CheckpointError, MissingExtraError, OutputError.
        """
        self.config, self.folder = config, Path(folder) if folder is not None else None
        self.task = make_task(config)
        train, val = open_sources(config.data.train, "train"), open_sources(config.data.val, "val")
        refuse_shared_scenes(train, val)
        check_sources(train, self.task)
        self.held_out = HeldOut(val, config.validation.limit)
        check_kind(self.held_out, self.task.benchmark(), config.validation.metric, self.task.name)
        self.accelerator = make_accelerator(config.run.precision, cpu=cpu)
        self.say: Say = say if say is not None and self.accelerator.is_main_process else lambda sentence: None
        self.learner = Learner(config, self.task, self.accelerator, taught=any(opened.taught for opened in train))
        preprocessing = self.learner.model_config.preprocessing
        self.batches = StepBatches(config, train, self.task, preprocessing, self.learner.share)
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.steps = config.schedule.steps or config.schedule.epochs * self.steps_per_epoch
        self.progress = _Progress()
        self._told: set[str] = set()

    def overfit_one_batch(self, steps: int = 100) -> list[float]:
        """Repeat the first batch without schedule, and return the loss of each step; nothing is written.

        A loss that does not fall far says that something is wrong with targets, rates or masks.
        """
        batch = self._usable(self.batches[0])
        losses = []
        for _ in range(steps):
            outcome = self.learner.take_step(batch, 1.0)
            if outcome.skipped:
                raise InputError(f"the first batch has no valid pixels: {_listed(batch.names)}")
            losses.append(outcome.values["loss"])
        return losses

    def train(self) -> TrainResult:
        """Train to the end. Raises InputError (not finite, unreadable data), OutputError; what was saved stays good."""
        folder = self._prepare_folder()
        self._resume(folder)
        self.say(self._described())
        every = self.config.validation.every or self.steps_per_epoch
        with self._records(folder) as records:
            started, since = time.monotonic(), self.learner.step
            for batch in load_batches(self.batches, self.learner.step, self.steps):
                self._one_step(self._usable(batch))
                step = self.learner.step
                if step % self.config.run.log_every == 0 or step == self.steps:
                    pace = (step - since) / max(1e-9, time.monotonic() - started)
                    self._log(records, pace)
                judged = step % every == 0 or step == self.steps
                if judged:
                    self._judge(folder, records)
                if judged or step % self.config.run.save_every == 0:
                    self._save(folder)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return TrainResult(folder / BEST, self.progress.best_metrics, self.learner.step, self.progress.skipped)

    def _one_step(self, batch: Batch) -> None:
        factor = rate_factor(self.config.schedule, self.learner.step, self.steps)
        outcome = self.learner.take_step(batch, factor)
        if outcome.skipped:
            self.progress.skipped += 1
            self.say(
                f"step {self.learner.step}: skipped, none of its pictures has valid pixels: {_listed(batch.names)}"
            )
            return
        self.progress.summed += 1
        for name, value in outcome.values.items():
            self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value

    def _log(self, records: Records | None, pace: float) -> None:
        """Note the means since the last row."""
        if not self.progress.summed:
            return
        means = {name: value / self.progress.summed for name, value in self.progress.sums.items()}
        self.progress.sums, self.progress.summed = {}, 0
        if records is not None:
            records.trained(self.learner.step, {**means, "skipped": self.progress.skipped})
        self.say(f"step {self.learner.step} of {self.steps}: loss {means['loss']:.4f} ({pace:.2f} steps a second)")

    def _judge(self, folder: Path, records: Records | None) -> None:
        """Score the network on held-out samples, and keep it if it is the best."""
        network = self.learner.judged()
        if not len(self.held_out):
            self._export(folder, (BEST, LAST), network, {})
            return
        estimator = DepthEstimator(
            TorchEngine(network, str(self.accelerator.device)), self.learner.model_config, input_size=self._input_size()
        )
        rows = score(
            estimator,
            self.held_out,
            self.task.benchmark(),
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        from accelerate.utils import gather_object

        metrics = mean_scores(gather_object(rows))
        name = self.config.validation.metric
        value = metrics[name] if name in HIGHER_IS_BETTER else -metrics[name]
        better = self.progress.best is None or value > self.progress.best
        if better:
            self.progress.best, self.progress.best_metrics = value, metrics
        self._export(folder, (BEST, LAST) if better else (LAST,), network, metrics)
        if records is not None:
            picture = sheet(estimator, self.held_out, self.config.validation.pictures)
            if picture is not None:
                make_folder(folder / "samples")
                write_image(folder / "samples" / f"step-{self.learner.step:07d}.png", picture)
            records.judged(self.learner.step, metrics, picture)
        shown = ", ".join(f"{key} {metrics[key]:.4f}" for key in list(metrics)[:4])
        self.say(f"step {self.learner.step}: {shown} on {len(self.held_out)} held-out samples{' (best)' * better}")

    def _input_size(self) -> int:
        return self.config.validation.input_size or max(min(size) for size in self.config.data.sizes)

    def _export(self, folder: Path, names: tuple[str, ...], network: Any, metrics: dict[str, float]) -> None:
        """Write the weights with what they are."""
        if not self.accelerator.is_main_process:
            return
        half = self.config.run.weights == "float16"
        state = {name: value.half() if half else value for name, value in network.state_dict().items()}
        parents = self.learner.all_parents
        settings = self.config.to_dict()
        for source in (*settings["data"]["train"], *settings["data"]["val"]):
            del source["root"], source["file_list"]  # of this machine
        extra = {
            "parents": [vars(parent) for parent in parents],
            "metrics": metrics,
            "judged": {**self.task.describe(), "samples": len(self.held_out), "input_size": self._input_size()},
            "steps": self.learner.step,
            "training": settings,
        }
        licence = licence_of(parents, self.config.run.licence)
        for name in names:
            save_checkpoint(folder / name, state, self.learner.model_config, licence=licence, extra=extra)

    def _save(self, folder: Path) -> None:
        """Write the whole state, replacing the last one only when it is complete."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        schedule = self.config.schedule
        decayed = schedule.shape == "decay" and self.learner.step > self.steps - schedule.decay_steps
        state = {**self.learner.state(), "progress": vars(self.progress), "steps": self.steps, "decayed": decayed}
        write_state(folder / STATE, state)
        if schedule.shape == "decay" and not decayed:
            write_state(folder / BEFORE_DECAY, state)

    def _prepare_folder(self) -> Path:
        """Make the folder, and refuse one whose run is another."""
        if self.folder is None:
            raise OptionError("a training needs a folder for what it writes")
        make_folder(self.folder)
        check_same_run(self.folder, self.config)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            note_run(self.folder, self.config)
        return self.folder

    def _resume(self, folder: Path) -> None:
        """Take up the last state that was saved."""
        state = read_state(folder, self.steps, self.accelerator.device)
        if state is None:
            return
        self.learner.load_state(state)
        self.progress = _Progress(**state["progress"])
        self.say(f"going on from step {self.learner.step}")

    def _usable(self, batch: Batch) -> Batch:
        """Say which samples could not be read, once each. Raises InputError where there is no batch."""
        if batch.error is not None:
            raise InputError(f"no batch for step {batch.step}: {batch.error}")
        for sentence in batch.unread:
            if sentence not in self._told:
                self._told.add(sentence)
                self.say(f"left out: {sentence}")
        return batch

    def _records(self, folder: Path) -> contextlib.AbstractContextManager[Records | None]:
        """Return what the first process writes, None for the others."""
        if not self.accelerator.is_main_process:
            return contextlib.nullcontext()
        return Records(folder, self.learner.step, tensorboard=self.config.run.tensorboard)

    def _described(self) -> str:
        trained = sum(p.numel() for p in self.learner.network.parameters() if p.requires_grad)
        return (
            f"{len(self.batches.places):,} samples, {self.steps_per_epoch} steps an epoch; {trained / 1e6:.1f} million "
            f"of {self.learner.model_config.encoder}'s weights are trained, on {self.accelerator.num_processes} x "
            f"{self.accelerator.device.type}, {self.config.run.precision}"
        )


def train(config: TrainConfig, folder: str | Path, *, cpu: bool = False, say: Say | None = None) -> TrainResult:
    """Run or continue a training in a folder; see `Run`."""
    return Run(config, folder, cpu=cpu, say=say).train()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
