"""One optimiser step at a time: the network, its moving average and the optimiser, which are the state of a run."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from depth_anything_v2.errors import InputError, MissingExtraError, OptionError
from depth_anything_v2.training.batches import Batch, Share
from depth_anything_v2.training.config import ScheduleConfig, TrainConfig
from depth_anything_v2.training.metric import MetricTask
from depth_anything_v2.training.network import Parent, parameter_groups, recompute_blocks, start_network
from depth_anything_v2.training.relative import RelativeTask
from depth_anything_v2.training.task import Task
from depth_anything_v2.training.teacher import FrozenEncoder, Teacher

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_RANDOM_PLACES = 0x5EED


@dataclass(frozen=True)
class Outcome:
    """values: the parts of the loss, means over the whole batch, 'norm' and 'rate'; empty where it was skipped."""

    values: dict[str, float]

    @property
    def skipped(self) -> bool:
        return not self.values


def make_accelerator(precision: str, *, cpu: bool) -> Any:
    """Return accelerate's view of devices and processes. Raises MissingExtraError, OptionError for the precision."""
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ImportError:
        raise MissingExtraError("accelerate", "train", "training") from None
    AcceleratorState._reset_state(True)  # it is global, and would refuse a second run on another device or precision
    try:
        return Accelerator(mixed_precision=_PRECISIONS[precision], cpu=cpu)
    except ValueError as error:
        raise OptionError(f"run.precision = '{precision}' does not work on this machine ({error})") from error


def make_task(config: TrainConfig) -> Task:
    return MetricTask(config) if config.task == "metric" else RelativeTask(config)


def rate_factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Return the factor on the learning rates at a step, 0 to 1."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.shape == "constant":
        return 1.0
    if schedule.shape == "decay":
        left = steps - step
        return 1.0 if left >= schedule.decay_steps else 0.5 - 0.5 * math.cos(math.pi * left / schedule.decay_steps)
    done = min(1.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps))
    return (1 - done) ** schedule.power if schedule.shape == "polynomial" else 0.5 + 0.5 * math.cos(math.pi * done)


class Learner:
    """Takes steps. steps: of the whole run, for the schedule. All processes hold the same weights."""

    def __init__(self, config: TrainConfig, task: Task, accelerator: Any, *, taught: bool = False) -> None:
        torch.manual_seed(config.run.seed)
        self.config, self.task, self.accelerator, self.step = config, task, accelerator, 0
        self.model_config = config.model.build()
        network, self.parents = start_network(config.model, self.model_config)
        self.network: Any = network.to(accelerator.device, memory_format=torch.channels_last)
        self.average: Any = copy.deepcopy(self.network).requires_grad_(False)
        self.frozen = None
        if config.loss.alignment:
            self.frozen = FrozenEncoder(self.network, config.loss.alignment_margin)
        self.teacher = Teacher(config.teacher.checkpoint, accelerator.device) if taught else None
        groups = parameter_groups(self.network, config.optimiser)
        if config.run.gradient_checkpointing:
            recompute_blocks(self.network)
        kind = torch.optim.AdamW if config.optimiser.name == "adamw" else torch.optim.Adam
        options = config.optimiser
        self.optimiser = kind(groups, lr=0.0, betas=options.betas, weight_decay=options.weight_decay)
        self._trained = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        self._model, self._stepper = accelerator.prepare(self.network.train(), self.optimiser)

    @property
    def share(self) -> Share:
        """Which part of each batch this process takes."""
        return Share(self.accelerator.process_index, self.accelerator.num_processes, self.config.run.accumulate)

    @property
    def all_parents(self) -> list[Parent]:
        return [*self.parents, self.teacher.parent] if self.teacher else self.parents

    def take_step(self, batch: Batch, factor: float) -> Outcome:
        """Do one step with the learning rates times `factor`; without any valid pixel only `step` changes.

        Raises InputError, naming the samples, when the loss or its gradient is not finite: the weights are as before.
        """
        batch = self._with_labels(batch.to(self.accelerator.device))
        counted = self.task.counted(batch.valid)
        units = self.accelerator.reduce(counted.sum().float(), "sum")
        if float(units) == 0:
            self.step += 1
            return Outcome({})
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor
        self.optimiser.zero_grad(set_to_none=True)
        sums, blamed = self._accumulate(batch, units)
        norm = self.accelerator.clip_grad_norm_(self._trained, self.config.optimiser.clip_norm or math.inf)
        values = {name: float(value) for name, value in zip(sums, self._summed(list(sums.values())), strict=True)}
        values["norm"] = float(norm)
        self._refuse_nan(values, batch, blamed)
        self._stepper.step()
        self.step += 1
        self._update_average()
        return Outcome({**values, "rate": self.config.optimiser.head_rate * factor})

    def _with_labels(self, batch: Batch) -> Batch:
        """Return the batch with the teacher's answers where it is to be taught."""
        if self.teacher is None or batch.clean is None:
            return batch
        answer, known = self.task.from_teacher(self.teacher(batch.clean), self.teacher.config.kind)
        taught = batch.taught[:, None, None]
        target, valid = torch.where(taught, answer, batch.target), torch.where(taught, known, batch.valid)
        return dataclasses.replace(batch, target=target, valid=valid)

    def _accumulate(self, batch: Batch, units: torch.Tensor) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Run all passes forward and backward; return this process's share of each part, and samples gone wrong."""
        passes = self.config.run.accumulate
        sums: dict[str, torch.Tensor] = {}
        blamed: list[str] = []
        for index in range(passes):
            part = batch.part(index, passes)
            waiting = contextlib.nullcontext() if index == passes - 1 else self.accelerator.no_sync(self._model)
            with waiting:
                parts, prediction = self._forward(part)
                counted = self.task.counted(part.valid)
                shares = {name: torch.where(counted, value, 0.0).sum() / units for name, value in parts.items()}
                # Distributed training averages the gradients of the processes, and the loss is their sum.
                self.accelerator.backward(shares["loss"] * self.accelerator.num_processes)
            for name, value in shares.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
            wrong = ~torch.isfinite(prediction.detach()).flatten(1).all(1)
            if not bool(torch.isfinite(shares["loss"].detach()) & ~wrong.any()):
                lost = ~torch.isfinite(parts["loss"].detach()).repeat_interleave(self.task.unit_pictures) | wrong
                blamed += [name for name, bad in zip(part.names, lost.tolist(), strict=True) if bad]
        return sums, blamed

    def _forward(self, part: Batch) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        prediction = self._model(part.pictures.contiguous(memory_format=torch.channels_last)).float()
        loss = self.config.loss
        drop = part.taught * loss.teacher_drop if self.teacher is not None and loss.teacher_drop else None
        # The same places of all pictures, however they are shared out.
        generator = torch.Generator().manual_seed((self.config.run.seed << 32) + self.step * 0x10001 + _RANDOM_PLACES)
        parts = self.task.losses(prediction, part.target, part.valid, drop, generator)
        if self.frozen is not None:
            with self.accelerator.autocast():
                away = self.frozen.loss(part.pictures)
            parts["alignment"] = away.reshape(-1, self.task.unit_pictures).mean(1)
            parts["loss"] = parts["loss"] + loss.alignment * parts["alignment"]
        return parts, prediction

    def _summed(self, values: list[torch.Tensor]) -> list[float]:
        result: list[float] = self.accelerator.reduce(torch.stack(values), "sum").tolist()
        return result

    def _refuse_nan(self, values: dict[str, float], batch: Batch, blamed: list[str]) -> None:
        scaled = self.accelerator.scaler is not None  # float16, where too large a gradient leaves the step out
        if math.isfinite(values["loss"]) and (math.isfinite(values["norm"]) or scaled):
            return
        from accelerate.utils import gather_object

        names = list(dict.fromkeys(gather_object(blamed))) or list(dict.fromkeys(gather_object(list(batch.names))))
        what = "loss" if not math.isfinite(values["loss"]) else "gradient"
        shown = ", ".join(f"'{name}'" for name in names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise InputError(
            f"the {what} is not finite at step {self.step}; the batch held {shown}: look at them with "
            "'depth-anything dataset check', or lower the learning rate; the last state that was saved is good"
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        if not self.config.run.ema:
            return
        keep = min(self.config.run.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if value.requires_grad:
                mean.lerp_(value, 1 - keep)

    @torch.no_grad()
    def judged(self) -> Any:
        """Return the network to judge and to keep: the moving average, or a copy of the weights as they are."""
        if not self.config.run.ema:
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.copy_(value)
        return self.average

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on."""
        scaler = self.accelerator.scaler
        return {
            "step": self.step,
            "model": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.step = int(state["step"])
        self.network.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        scaler = self.accelerator.scaler
        if scaler is not None and state["scaler"] is not None:
            scaler.load_state_dict(state["scaler"])
