"""`depth-anything predict`: pictures in, depth files out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.common import (
    BatchSizeOption,
    CheckpointOption,
    ColormapOption,
    DeviceOption,
    EncoderOption,
    InputSizeOption,
    MaxDepthOption,
    MaxPixelsOption,
    MaxTokensOption,
    OfflineOption,
    PrecisionOption,
    QuietOption,
    RelativeOption,
    V1Option,
    VerboseOption,
)
from depth_anything_v2.errors import OptionError, OutputError

if TYPE_CHECKING:
    from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions, PredictOptions
    from depth_anything_v2.jobs.report import JobReport


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Pictures, folders, globs, .txt lists (a path of a file or folder or an address per line), http(s) "
            "addresses, or - for one picture on stdin.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "depth"
    ),
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="LIST",
            help="What to write, several with commas: png (picture), png16, npy, npz, tiff, exr, pfm (the numbers). "
            "[default: png]",
        ),
    ] = None,
    checkpoint: CheckpointOption = "auto",
    encoder: EncoderOption = None,
    max_depth: MaxDepthOption = None,
    relative: RelativeOption = False,
    v1: V1Option = False,
    offline: OfflineOption = False,
    input_size: InputSizeOption = None,
    colormap: ColormapOption = "spectral",
    grayscale: Annotated[
        bool, typer.Option("--grayscale", help="A grey picture: larger numbers are brighter.")
    ] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="The picture is [photograph | white | depth].")
    ] = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    batch_size: BatchSizeOption = None,
    max_tokens: MaxTokensOption = None,
    max_pixels: MaxPixelsOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what is done: same source, checkpoint and options.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first input that fails.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.json", help="Write what became of each input as JSON.")
    ] = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Estimate the depth of pictures.

    Exit status: 0 all done, 1 some inputs failed (the rest is done), 2 wrong usage, 130 interrupted.
    """

    def action() -> int:
        from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions, PredictOptions

        if resume and overwrite:
            raise OptionError("--resume keeps what is done and --overwrite does not: give one of them")
        loading = EstimatorOptions(
            checkpoint,
            encoder,
            max_depth,
            relative,
            v1,
            offline,
            device,
            precision,
            input_size,
            batch_size,
            max_tokens,
            max_pixels,
        )
        writing = PredictOptions(tuple(format or ("png",)), colormap, grayscale, side_by_side)
        running = JobOptions("resume" if resume else "overwrite" if overwrite else "refuse", strict)
        return _run(inputs, output, loading, writing, running, report, quiet, verbose)

    raise typer.Exit(common.run_safely(action))


def _run(
    inputs: list[str],
    output: Path,
    loading: EstimatorOptions,
    writing: PredictOptions,
    running: JobOptions,
    report_path: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    from depth_anything_v2.cli.progress import JobProgress
    from depth_anything_v2.jobs.outputs import DepthFiles
    from depth_anything_v2.jobs.plan import plan_job
    from depth_anything_v2.jobs.runner import JobInterrupted, run_job

    plan = plan_job(inputs, output, DepthFiles(writing), running, report=report_path, read_stdin=sys.stdin.buffer.read)
    estimator = common.load_estimator(loading, quiet=quiet)
    if verbose and not quiet:
        common.say(
            f"{len(plan.items)} inputs; {estimator.config.encoder} on {estimator.device}, {estimator.precision}, "
            f"input size {estimator.input_size}, batches of {estimator.batch_size}",
            sys.stderr,
        )
    try:
        with JobProgress(len(plan.items), quiet=quiet) as progress:
            report = run_job(plan, estimator, on_result=progress.on_result)
    except JobInterrupted as interrupt:
        if report_path is not None:
            try:
                interrupt.report.write(report_path)
            except OutputError as error:
                common.say(f"depth-anything: error: {error}", sys.stderr)
        raise
    summarise(report, quiet=quiet)
    if report_path is not None:
        report.write(report_path)
    return common.OK if report.ok else common.FAILED


def summarise(report: JobReport, *, quiet: bool) -> None:
    """Say what was done and by which checkpoint on stdout; why a job stopped early and failures on stderr."""
    failures = report.failures
    if report.stopped:
        common.say(f"depth-anything: error: {report.stopped}", sys.stderr)
    if len(failures) > 1 and len(report.results) > 10:
        common.say(f"{len(failures)} inputs failed:", sys.stderr)
        for failure in failures:
            common.say(f"  {failure.message}", sys.stderr)
    if quiet:
        return
    counts = [f"{report.count('done')} done"]
    counts += [f"{number} {what}" for what in ("skipped", "failed", "not run") if (number := report.count(what))]
    common.say(f"{', '.join(counts)} in {report.seconds:.1f} s, in {report.folder}")
    common.say(common.describe_model(dict(report.checkpoint)))
