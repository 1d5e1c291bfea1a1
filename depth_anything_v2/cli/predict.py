"""`depth-anything predict`: pictures in, depth files out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.camera import (
    CameraOption,
    CxOption,
    CyOption,
    DiagonalFovOption,
    FocalMmOption,
    FovOption,
    FxOption,
    FyOption,
    SensorWidthOption,
    VerticalFovOption,
    describe_cameras,
)
from depth_anything_v2.cli.common import (
    BatchSizeOption,
    CheckpointOption,
    ColormapOption,
    DeviceOption,
    EncoderOption,
    EngineOption,
    ExactOption,
    FocalCorrectionOption,
    InputSizeOption,
    MaskOption,
    MaxDepthOption,
    MaxPixelsOption,
    MaxTokensOption,
    OfflineOption,
    OverwriteOption,
    PrecisionOption,
    QuietOption,
    RelativeOption,
    ReportOption,
    ResumeOption,
    StrictOption,
    TileOption,
    TileSizeOption,
    V1Option,
    VerboseOption,
)
from depth_anything_v2.errors import OutputError

if TYPE_CHECKING:
    from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions, PredictOptions
    from depth_anything_v2.jobs.plan import JobPlan
    from depth_anything_v2.jobs.report import JobReport
    from depth_anything_v2.jobs.runner import Estimator
    from depth_anything_v2.jobs.stored import Stored


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
    legend: Annotated[
        bool,
        typer.Option("--legend", help="The picture has a bar beside it: near, far, and metres where there are any."),
    ] = False,
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="NEAR,FAR",
            help="Metres at the two ends of the colours, or 'robust': percentiles 2 and 98 of the picture. "
            "[default: smallest and largest value]",
        ),
    ] = None,
    mask: MaskOption = None,
    camera: CameraOption = "auto",
    fx: FxOption = None,
    fy: FyOption = None,
    cx: CxOption = None,
    cy: CyOption = None,
    focal_mm: FocalMmOption = None,
    sensor_width_mm: SensorWidthOption = None,
    fov: FovOption = None,
    vertical_fov: VerticalFovOption = None,
    diagonal_fov: DiagonalFovOption = None,
    focal_correction: FocalCorrectionOption = False,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    exact: ExactOption = False,
    batch_size: BatchSizeOption = None,
    tile: TileOption = False,
    tile_size: TileSizeOption = None,
    max_tokens: MaxTokensOption = None,
    max_pixels: MaxPixelsOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    report: ReportOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Estimate the depth of pictures.

    Exit status: 0 all done, 1 some inputs failed (the rest is done), 2 wrong usage, 130 interrupted.
    """

    def action() -> int:
        from depth_anything_v2.io.camera_files import CameraOptions
        from depth_anything_v2.io.legend import parse_range
        from depth_anything_v2.jobs.options import EstimatorOptions, PredictOptions

        running = common.job_options(resume=resume, overwrite=overwrite, strict=strict)
        loading = EstimatorOptions(
            checkpoint=checkpoint,
            encoder=encoder,
            max_depth_m=max_depth,
            relative=relative,
            v1=v1,
            offline=offline,
            engine=engine,
            device=device,
            precision=precision,
            exact=exact,
            input_size=input_size,
            batch_size=batch_size,
            max_tokens=max_tokens,
            tile=tile_size if tile_size is not None else 0 if tile else None,
            max_pixels=max_pixels,
        )
        writing = PredictOptions(
            tuple(format or ("png",)),
            colormap,
            grayscale,
            side_by_side,
            legend,
            None if value_range is None else parse_range(value_range),
            mask,
            CameraOptions(camera, fx, fy, cx, cy, focal_mm, sensor_width_mm, fov, vertical_fov, diagonal_fov),
            focal_correction,
        )
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
    from depth_anything_v2.jobs.outputs import DepthFiles
    from depth_anything_v2.jobs.plan import plan_job

    plan = plan_job(
        inputs, output, DepthFiles(writing, output), running, report=report_path, read_stdin=sys.stdin.buffer.read
    )
    estimator = common.load_estimator(loading, quiet=quiet)
    writing.check_kind(estimator.config.kind)
    if verbose and not quiet:
        common.say(
            f"{len(plan.items)} inputs; {estimator.config.encoder} by {estimator.engine.name} on {estimator.device}, "
            f"{estimator.precision}{f' ({estimator.accuracy})' if estimator.accuracy else ''}, "
            f"input size {estimator.input_size}, batches of {estimator.batch_size}",
            sys.stderr,
        )
        common.say(f"for photographs of 12 megapixels: {estimator.plan()}", sys.stderr)
    return run_plan(plan, estimator, quiet=quiet)


def run_plan(plan: JobPlan, estimator: Estimator | None, *, quiet: bool = False, stored: Stored | None = None) -> int:
    """Run a plan (see `run_job`), show how it goes, write its report, and return the exit status."""
    from depth_anything_v2.cli.progress import JobProgress
    from depth_anything_v2.jobs.runner import JobInterrupted, run_job

    try:
        with JobProgress(len(plan.items), quiet=quiet) as progress:
            report = run_job(plan, estimator, on_result=progress.on_result, stored=stored)
    except JobInterrupted as interrupt:
        if plan.report is not None:
            try:
                interrupt.report.write(plan.report)
            except OutputError as error:
                common.say(f"depth-anything: error: {error}", sys.stderr)
        raise
    summarise(report, quiet=quiet)
    if plan.report is not None:
        report.write(plan.report)
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
    if report.checkpoint:
        common.say(common.describe_model(dict(report.checkpoint)))
    cameras = describe_cameras([result.camera for result in report.results if result.status == "done"])
    if cameras:
        common.say(cameras)
