"""`depth-anything train`: relative or metric depth on one's own data, from a preset or a TOML file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common

if TYPE_CHECKING:
    from depth_anything_v2.training.config import TaskName, TrainConfig

train_app = typer.Typer(
    name="train",
    help="Train a network on pictures with depth, or from a teacher.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_FAR_ENOUGH = 0.5  # of its first value: what the loss of one repeated batch must fall to

ConfigArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A preset (see 'depth-anything train presets') or a TOML file.")
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="RUN", help="Folder of the run; one that is there goes on.")
]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", "-d", metavar="NAME=PATH", help="Where a dataset of the configuration is; repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="TABLE.KEY=VALUE", help="Change a value, as schedule.steps=500; repeatable."),
]
CpuOption = Annotated[bool, typer.Option("--cpu", help="On the processor, even where there is a GPU.")]
OverfitOption = Annotated[
    bool,
    typer.Option(
        "--overfit-one-batch",
        help="First aid: 100 steps on the first batch alone, and whether the loss falls; nothing is written.",
    ),
]


@train_app.callback()
def _commands() -> None:
    """Train a network on pictures with depth, or from a teacher."""


@train_app.command("relative")
def relative_command(
    config: ConfigArgument,
    output: OutputOption = Path("run"),
    data: DataOption = None,
    changes: SetOption = None,
    cpu: CpuOption = False,
    overfit_one_batch: OverfitOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Train for relative depth (inverse depth, larger = nearer, no unit).

    The result, RUN/best.safetensors, is what --checkpoint takes everywhere. The same command goes on after an
    interruption. Several GPUs: accelerate launch -m depth_anything_v2 train relative ...
    """
    _train("relative", config, output, data or [], changes or [], cpu, overfit_one_batch, quiet)


@train_app.command("metric")
def metric_command(
    config: ConfigArgument,
    output: OutputOption = Path("run"),
    data: DataOption = None,
    changes: SetOption = None,
    cpu: CpuOption = False,
    overfit_one_batch: OverfitOption = False,
    quiet: common.QuietOption = False,
) -> None:
    """Train for depth in metres.

    The result, RUN/best.safetensors, is what --checkpoint takes everywhere. The same command goes on after an
    interruption. Several GPUs: accelerate launch -m depth_anything_v2 train metric ...
    """
    _train("metric", config, output, data or [], changes or [], cpu, overfit_one_batch, quiet)


@train_app.command("presets")
def presets_command() -> None:
    """Name the presets."""
    from depth_anything_v2.training.schema import list_presets

    for name, what in list_presets().items():
        common.say(f"{name:22s}{what}")


def _train(
    task: TaskName,
    config: str,
    output: Path,
    data: list[str],
    changes: list[str],
    cpu: bool,
    overfit_one_batch: bool,
    quiet: bool,
) -> None:
    def action() -> int:
        from depth_anything_v2.training.schema import load_config

        loaded = load_config(config, task, changes=changes, roots=data)
        return overfit(loaded, cpu, quiet) if overfit_one_batch else run_training(loaded, output, cpu, quiet)

    raise typer.Exit(common.run_safely(action))


def run_training(config: TrainConfig, output: Path, cpu: bool = False, quiet: bool = False) -> int:
    """Train, say how it goes, and return the exit status."""
    from depth_anything_v2.training.run import train

    try:
        result = train(
            config, output, cpu=cpu, say=None if quiet else lambda sentence: common.say(sentence, sys.stderr)
        )
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"the same command goes on from what was saved in '{output}'") from interrupt
    if os.environ.get("RANK", "0") == "0":
        metric = config.validation.metric
        judged = f", {metric} {result.metrics[metric]:.4f}" if result.metrics else ", not judged: there is no data.val"
        common.say(f"written: {result.best} ({result.steps} steps{judged})")
        if result.skipped:
            common.say(f"{result.skipped} steps were skipped: their pictures had no valid pixels", sys.stderr)
    return common.OK


def overfit(config: TrainConfig, cpu: bool = False, quiet: bool = False) -> int:
    """Repeat one batch, say whether its loss falls, and return the exit status (1: it does not)."""
    from depth_anything_v2.training.run import Run

    say = None if quiet else lambda sentence: common.say(sentence, sys.stderr)
    losses = Run(config, None, cpu=cpu, say=say).overfit_one_batch()
    fell = losses[-1] < _FAR_ENOUGH * losses[0]
    common.say(f"loss on one batch, {len(losses)} steps: {losses[0]:.4f} -> {losses[-1]:.4f}")
    if fell:
        common.say("it falls: data, targets, masks and learning rates work together")
        return common.OK
    common.say(
        "it does not fall far: look at the data ('depth-anything dataset check'), at model.max_depth and "
        "data.min_depth, and try optimiser.head_rate ten times as large"
    )
    return common.FAILED
