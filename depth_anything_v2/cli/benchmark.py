"""`depth-anything benchmark`: how fast a checkpoint runs on this machine, engine by engine."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.common import (
    CheckpointOption,
    EncoderOption,
    MaxDepthOption,
    OfflineOption,
    QuietOption,
    RelativeOption,
    V1Option,
)
from depth_anything_v2.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from depth_anything_v2.jobs.options import EstimatorOptions
    from depth_anything_v2.speed.benchmark import BenchmarkOptions, BenchmarkResult, Size, Step
    from depth_anything_v2.speed.contenders import Contender


def benchmark(
    engines: Annotated[
        list[str] | None,
        typer.Option(
            "--engines",
            metavar="LIST",
            help="torch, torch-compile, openvino, onnx, several with commas, also with a device: torch:cuda. "
            "[default: torch, openvino, onnx, and torch on a GPU]",
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precisions",
            metavar="LIST",
            help="float32, bfloat16, float16. [default: float32, and what is fast here]",
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--sizes",
            metavar="LIST",
            help="HEIGHTxWIDTH of what the network alone gets, as 518x518,518x784. [default: the model's]",
        ),
    ] = None,
    photos: Annotated[int, typer.Option("--photos", metavar="N", help="Photographs in the folder.")] = 8,
    photo_width: Annotated[
        int, typer.Option("--photo-width", metavar="PIXELS", help="About the longer side of the photographs.")
    ] = 2000,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", help="Turns of each contender, of which the median counts.")
    ] = 5,
    checkpoint: CheckpointOption = "auto",
    encoder: EncoderOption = None,
    max_depth: MaxDepthOption = None,
    relative: RelativeOption = False,
    v1: V1Option = False,
    offline: OfflineOption = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write everything as JSON; - is stdout, in place of the table."),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE.png", help="Write a bar chart (needs matplotlib).")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Measure on this machine: start to file, network alone, images per second, memory, drift.

    What is compared runs in turns, one process at a time, for some minutes; an engine that is not installed is left
    out. Exit status: 0 measured, 1 a contender failed or the chart could not be drawn, 2 wrong usage, 130 interrupted.
    """

    def action() -> int:
        from depth_anything_v2.jobs.options import EstimatorOptions
        from depth_anything_v2.speed.benchmark import BenchmarkOptions
        from depth_anything_v2.speed.contenders import make_contenders

        options = BenchmarkOptions(
            tuple(_parse_size(size) for size in _split(sizes)), photos=photos, photo_width=photo_width, rounds=rounds
        )
        loading = EstimatorOptions(checkpoint, encoder, max_depth, relative, v1, offline)
        contenders = make_contenders(_split(engines), _split(precisions))
        return _run(loading, contenders, options, json_file, chart, quiet)

    raise typer.Exit(common.run_safely(action))


def _split(values: Sequence[str] | None) -> list[str]:
    names = [name.strip().lower() for value in values or () for name in value.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def _parse_size(text: str) -> Size:
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text)
    if not found:
        raise OptionError(f"a size is HEIGHTxWIDTH in pixels, such as 518x784, not '{text}'")
    return int(found[1]), int(found[2])


def _run(
    loading: EstimatorOptions,
    contenders: Sequence[Contender],
    options: BenchmarkOptions,
    json_file: Path | None,
    chart: Path | None,
    quiet: bool,
) -> int:
    from depth_anything_v2.cli.progress import JobProgress
    from depth_anything_v2.io.atomic import atomic_path
    from depth_anything_v2.jobs.report import ItemResult
    from depth_anything_v2.speed.benchmark import run_benchmark, step_count
    from depth_anything_v2.speed.report import to_record

    to_stdout = str(json_file) == "-"
    if json_file is not None and not to_stdout:
        _check_writable(json_file)
    drawing = chart is not None and _can_draw(chart)
    loading = _on_disk(loading, quiet)
    with JobProgress(step_count(contenders, options), quiet=quiet) as progress:

        def on_step(step: Step) -> None:
            progress.on_result(ItemResult(step.text, "done", seconds=step.seconds), step.done, step.total)

        result = run_benchmark(loading, contenders, options, on_step)
    text = json.dumps(to_record(result), indent=2, allow_nan=False)
    if to_stdout:
        common.say_text(text)
    else:
        _show(result)
    if json_file is not None and not to_stdout:
        with atomic_path(json_file) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    if chart is not None and drawing:
        from depth_anything_v2.speed.chart import draw_chart

        draw_chart(result, chart)
    left_out = chart is not None and not drawing
    return common.FAILED if left_out or any(found.failed for found in result.measured) else common.OK


def _on_disk(loading: EstimatorOptions, quiet: bool) -> EstimatorOptions:
    """Return `loading` for processes of their own: the checkpoint is on disk then, and the same for all."""
    from depth_anything_v2.checkpoints import resolve_checkpoint

    resolved = resolve_checkpoint(
        loading.checkpoint, offline=loading.offline, progress=not quiet and sys.stderr.isatty()
    )
    for note in resolved.notes:
        common.say(f"note: {note}", sys.stderr)
    name = resolved.name if loading.checkpoint == "auto" else loading.checkpoint
    return dataclasses.replace(loading, checkpoint=name, offline=True)


def _can_draw(chart: Path) -> bool:
    """Whether there will be a chart; says what is missing. Raises OptionError for a suffix, OutputError."""
    from depth_anything_v2.io.plots import check_plot

    try:
        check_plot(chart)
    except MissingExtraError as error:
        common.say(f"depth-anything: no chart, and all the rest: {error}", sys.stderr)
        return False
    _check_writable(chart)
    return True


def _check_writable(path: Path) -> None:
    """Raise OutputError for what would fail after minutes of measuring."""
    from depth_anything_v2.io.atomic import output_error

    try:
        with tempfile.TemporaryFile(dir=path.parent):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise output_error(path, error) from error


def _show(result: BenchmarkResult) -> None:
    from depth_anything_v2.speed.report import lay_out, sentences, table

    common.say_text(lay_out(table(result)))
    for sentence in sentences(result):
        common.say(sentence)
