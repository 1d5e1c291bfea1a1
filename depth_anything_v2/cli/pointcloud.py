"""`depth-anything pointcloud`: pictures or depth files in, point clouds or meshes out."""

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
)
from depth_anything_v2.cli.common import (
    BatchSizeOption,
    CheckpointOption,
    DepthScaleOption,
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
    V1Option,
)
from depth_anything_v2.cli.predict import run_plan

if TYPE_CHECKING:
    from depth_anything_v2.jobs.clouds import CloudFileOptions
    from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions


def pointcloud(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Pictures (predicted first) or depth files (npz, exr, tiff, 16-bit png, npy, pfm); folders, globs, "
            ".txt lists, http(s) addresses, or - for one picture on stdin.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "clouds"
    ),
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="LIST",
            help="ply, glb (y up, for viewers and Blender) or xyz (text), several with commas. [default: ply]",
        ),
    ] = None,
    mesh: Annotated[
        bool, typer.Option("--mesh", help="Triangles between neighbours, none across jumps in depth.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Also a picture of the cloud from the side, NAME_preview.png.")
    ] = False,
    opengl: Annotated[
        bool,
        typer.Option("--opengl", help="y up and z backward, instead of OpenCV's y down and z forward (glb: always)."),
    ] = False,
    max_jump: Annotated[
        float | None,
        typer.Option(
            "--max-jump",
            metavar="SHARE",
            help="Leave out pixels beside a jump in depth larger than this share of it; 0 keeps all. [default: 0.05]",
        ),
    ] = None,
    voxel: Annotated[
        float | None, typer.Option("--voxel", metavar="METRES", help="Keep one point per cube of this side.")
    ] = None,
    points: Annotated[
        int | None, typer.Option("--points", metavar="N", help="Keep at most N points, drawn at random.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="For --points.")] = 0,
    no_normals: Annotated[bool, typer.Option("--no-normals", help="Leave out the normals.")] = False,
    assume_affine: Annotated[
        tuple[float, float] | None,
        typer.Option("--assume-affine", metavar="A B", help="Relative depth: take A * prediction + B for 1 / metres."),
    ] = None,
    visual: Annotated[
        bool, typer.Option("--visual", help="Relative depth: for looking only, no true shape and no unit.")
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="PATH",
            help="Colours of depth files: the picture, or a folder of them. [default: the one beside it, if any]",
        ),
    ] = None,
    depth_scale: DepthScaleOption = None,
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
    checkpoint: CheckpointOption = "auto",
    encoder: EncoderOption = None,
    max_depth: MaxDepthOption = None,
    relative: RelativeOption = False,
    v1: V1Option = False,
    offline: OfflineOption = False,
    input_size: InputSizeOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    exact: ExactOption = False,
    batch_size: BatchSizeOption = None,
    max_tokens: MaxTokensOption = None,
    max_pixels: MaxPixelsOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    report: ReportOption = None,
    quiet: QuietOption = False,
) -> None:
    """Turn pictures or depth files into point clouds or meshes, in metres.

    Exit status: 0 all done, 1 some inputs failed (the rest is done), 2 wrong usage, 130 interrupted.
    """

    def action() -> int:
        from depth_anything_v2.io.camera_files import CameraOptions
        from depth_anything_v2.jobs.clouds import CloudFileOptions
        from depth_anything_v2.jobs.options import EstimatorOptions
        from depth_anything_v2.point_cloud import MAX_JUMP, CloudOptions

        running = common.job_options(resume=resume, overwrite=overwrite, strict=strict)
        cloud = CloudOptions(
            mesh=mesh,
            normals=not no_normals,
            max_jump=MAX_JUMP if max_jump is None else max_jump,
            affine=assume_affine,
            visual=visual,
            frame="opengl" if opengl else "opencv",
            voxel=voxel,
            count=points,
            seed=seed,
        )
        cameras = CameraOptions(camera, fx, fy, cx, cy, focal_mm, sensor_width_mm, fov, vertical_fov, diagonal_fov)
        writing = CloudFileOptions(
            cloud, tuple(format or ("ply",)), preview, mask, cameras, focal_correction, image, depth_scale
        )
        loading = EstimatorOptions(
            checkpoint,
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
            max_pixels=max_pixels,
        )
        return _run(inputs, output, loading, writing, running, report, quiet)

    raise typer.Exit(common.run_safely(action))


def _run(
    inputs: list[str],
    output: Path,
    loading: EstimatorOptions,
    writing: CloudFileOptions,
    running: JobOptions,
    report_path: Path | None,
    quiet: bool,
) -> int:
    from depth_anything_v2.jobs.clouds import CloudFiles
    from depth_anything_v2.jobs.plan import plan_job
    from depth_anything_v2.jobs.stored import PICTURES_AND_DEPTH, StoredDepth

    stored = StoredDepth(writing.images, writing.depth_scale)
    plan = plan_job(
        inputs,
        output,
        CloudFiles(writing, output),
        running,
        report=report_path,
        looked_for=PICTURES_AND_DEPTH,
        read_stdin=sys.stdin.buffer.read,
    )
    estimator = None
    if any(stored.needs_model(item.input) for item in plan.items):
        estimator = common.load_estimator(loading, quiet=quiet)
        writing.cloud.check_kind(estimator.config.kind)
    return run_plan(plan, estimator, quiet=quiet, stored=stored)
