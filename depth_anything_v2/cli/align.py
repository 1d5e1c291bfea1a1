"""`depth-anything align`: a prediction and measured distances in, depth in metres out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    CheckpointOption,
    DeviceOption,
    EngineOption,
    ExactOption,
    InputSizeOption,
    OfflineOption,
    OverwriteOption,
    PrecisionOption,
    QuietOption,
    RelativeOption,
)
from depth_anything_v2.cli.measured import Measured
from depth_anything_v2.cli.targets import check_target
from depth_anything_v2.errors import InputError, OptionError

if TYPE_CHECKING:
    from depth_anything_v2.alignment import Alignment, Samples
    from depth_anything_v2.camera import Camera
    from depth_anything_v2.config import Geometry
    from depth_anything_v2.io.camera_files import CameraOptions
    from depth_anything_v2.io.colmap import ColmapView
    from depth_anything_v2.io.decode import RgbArray
    from depth_anything_v2.jobs.options import EstimatorOptions
    from depth_anything_v2.prediction import DepthPrediction

    _Picture = tuple[RgbArray, Camera | None, tuple[str, ...]]  # with notes

_LISTED = 20  # points up to which each one's residual is printed


def align(
    prediction: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTION",
            help="A depth file of this program (npz, exr, tiff, npy, pfm, 16-bit png), or a picture to predict first: "
            "a file, an http(s) address, or - for one on stdin.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="The depth file to write, or a folder for NAME.npz."),
    ],
    points: Annotated[
        Path | None,
        typer.Option("--points", metavar="FILE", help="Measured points: CSV, text, JSON or NPY of x, y, metres."),
    ] = None,
    depth: Annotated[
        Path | None,
        typer.Option("--depth", metavar="MAP", help="A measured depth map of the same picture; 0 and NaN mean none."),
    ] = None,
    depth_scale: Annotated[
        float | None,
        typer.Option("--depth-scale", metavar="METRES", help="Of one count of an integer MAP: 0.001 for millimetres."),
    ] = None,
    colmap: Annotated[
        Path | None, typer.Option("--colmap", metavar="DIR", help="A COLMAP model, text or binary, with the picture.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="NAME", help="Of the picture in the model. [default: the prediction's source]"),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale", metavar="METRES", help="Of one unit of the COLMAP model, which is arbitrary. [default: 1]"
        ),
    ] = None,
    distance: Annotated[
        list[str] | None,
        typer.Option("--distance", metavar="X,Y,METRES", help="One measured point; repeat it for others."),
    ] = None,
    along_ray: Annotated[
        bool,
        typer.Option(
            "--along-ray",
            help="Distances are from the camera itself (tape, laser), not along its axis; takes a camera.",
        ),
    ] = False,
    fit: Annotated[
        str,
        typer.Option("--fit", metavar="NAME", help="affine, scale (no shift), or auto: scale for metric or one point."),
    ] = "auto",
    max_depth: Annotated[
        float | None,
        typer.Option(
            "--max-depth",
            metavar="METRES",
            help="What comes out farther is invalid; inf: nothing is. [default: 10 times the farthest point]",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw points and fit, as png, pdf or svg.")
    ] = None,
    overwrite: OverwriteOption = False,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="NAME", help="relative or metric: of a depth file that doesn't say so."),
    ] = None,
    checkpoint: CheckpointOption = "auto",
    relative: RelativeOption = False,
    offline: OfflineOption = False,
    input_size: InputSizeOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    exact: ExactOption = False,
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
    quiet: QuietOption = False,
) -> None:
    """Bring a prediction to metres by measured distances.

    A robust fit of scale and shift in inverse depth; points that contradict the others are left out.
    """

    def action() -> int:
        from depth_anything_v2.io.camera_files import CameraOptions
        from depth_anything_v2.jobs.options import EstimatorOptions

        loading = EstimatorOptions(
            checkpoint,
            relative=relative,
            offline=offline,
            engine=engine,
            device=device,
            precision=precision,
            exact=exact,
            input_size=input_size,
        )
        if along_ray and colmap is not None:
            raise OptionError("--along-ray is not about --colmap, whose depths are along the axis: leave it out")
        measured = Measured(points, depth, depth_scale, colmap, image, scale, tuple(distance or ()))
        cameras = CameraOptions(camera, fx, fy, cx, cy, focal_mm, sensor_width_mm, fov, vertical_fov, diagonal_fov)
        targets = _targets([prediction, points, depth], output, plot, overwrite)
        fitting: dict[str, Any] = {"fit": fit, "max_depth_m": max_depth}
        return _run(prediction, kind, loading, measured, cameras, along_ray, fitting, targets, quiet)

    raise typer.Exit(common.run_safely(action))


def _run(
    source: str,
    kind: str | None,
    loading: EstimatorOptions,
    measured: Measured,
    cameras: CameraOptions,
    along_ray: bool,
    fitting: dict[str, Any],
    targets: tuple[Path, Path | None],
    quiet: bool,
) -> int:
    from depth_anything_v2.alignment import fit_alignment
    from depth_anything_v2.io.atomic import make_folder
    from depth_anything_v2.io.colmap import ColmapView
    from depth_anything_v2.prediction import DepthPrediction

    output, plot = targets
    opened, source = _open(source, kind)
    name = (opened.provenance.source if isinstance(opened, DepthPrediction) else None) or source
    found = measured.load(name, stem_suffices=isinstance(opened, DepthPrediction))
    # The model comes last: what can be wrong with files is said without waiting for it.
    prediction = opened if isinstance(opened, DepthPrediction) else _predict(opened, source, loading, quiet)
    notes: tuple[str, ...] = ()
    if isinstance(found, ColmapView):
        prediction, samples, notes = _seen_by_colmap(found, prediction, cameras, measured.metres_per_unit)
        geometry: Geometry | None = "planar"
    else:
        prediction = cameras.applied(prediction, needed=along_ray)
        samples, geometry = found, "ray" if along_ray else None
    alignment = fit_alignment(prediction, samples, geometry=geometry, notes=notes, **fitting)
    result = alignment.apply(prediction)
    make_folder(output.parent)
    result.save(output)
    if plot is not None:
        from depth_anything_v2.io.alignment_plot import plot_alignment

        plot_alignment(alignment, plot)
    _summarise(alignment, result, output, along_ray, quiet)
    return common.OK


def _predict(picture: _Picture, source: str, loading: EstimatorOptions, quiet: bool) -> DepthPrediction:
    rgb, camera, notes = picture
    prediction = common.load_estimator(loading, quiet=quiet).predict_arrays([rgb], [source])[0].replace(camera=camera)
    for note in notes:
        prediction = prediction.noted(note)
    return prediction


def _open(source: str, kind: str | None) -> tuple[DepthPrediction | _Picture, str]:
    """Return what a depth file or a picture holds, and its name; '-' is a picture on standard input."""
    from depth_anything_v2.io.depth_files import read_depth
    from depth_anything_v2.io.exif import read_picture
    from depth_anything_v2.io.recognise import recognise

    if source == "-":
        try:
            return read_picture(sys.stdin.buffer.read()), "standard input"
        except InputError as error:
            raise InputError(str(error).replace("the bytes given", "standard input")) from error
    if recognise(source) == "picture":
        return read_picture(source), source
    if kind not in (None, "relative", "metric"):
        raise OptionError(f"unknown kind '{kind}': choose relative or metric")
    return read_depth(source, kind=kind), source  # type: ignore[arg-type]


def _seen_by_colmap(
    view: ColmapView, prediction: DepthPrediction, cameras: CameraOptions, metres_per_unit: float | None
) -> tuple[DepthPrediction, Samples, tuple[str, ...]]:
    """Return the prediction with COLMAP's camera unless another was given, the points seen, and what to note."""
    width, height = prediction.width, prediction.height
    samples = view.samples(width, height, metres_per_unit or 1.0)
    if not cameras.given and view.camera is not None:
        prediction = prediction.replace(camera=view.camera.fitted(width, height))
    unit = (
        "distances are in COLMAP's unit, which is arbitrary: metres only if the model was scaled"
        if metres_per_unit is None
        else f"distances from COLMAP, {metres_per_unit:g} m per unit"
    )
    return cameras.applied(prediction), samples, (unit,)


def _targets(
    sources: Sequence[str | Path | None], output: Path, plot: Path | None, overwrite: bool
) -> tuple[Path, Path | None]:
    """Return the files to write: none of the sources, and not there yet unless they may be replaced."""
    from depth_anything_v2.io.depth_files import check_format
    from depth_anything_v2.io.images import IMAGE_SUFFIXES
    from depth_anything_v2.io.recognise import DEPTH_SUFFIXES

    suffix = output.suffix.lower()
    if suffix == ".exr":
        check_format("exr")  # its library, before the work and not after it
    elif suffix in IMAGE_SUFFIXES - DEPTH_SUFFIXES:
        raise OptionError(f"'{output.name}' has no suffix of a depth file: {', '.join(sorted(DEPTH_SUFFIXES))}")
    elif suffix not in DEPTH_SUFFIXES:
        output = output / ("stdin.npz" if sources[0] == "-" else f"{Path(str(sources[0])).stem}.npz")
    if output == plot:
        raise OptionError(f"'{plot}' cannot be both the depth file and the plot: choose another name for one")
    if plot is not None:
        from depth_anything_v2.io.plots import check_plot

        check_plot(plot)
    for path in (output, plot):
        if path is not None:
            check_target(path, [source for source in sources if source is not None], overwrite=overwrite)
    return output, plot


def _summarise(alignment: Alignment, result: DepthPrediction, output: Path, along_ray: bool, quiet: bool) -> None:
    """Say what was found on stdout; what speaks against it on stderr."""
    notes = [*alignment.notes]
    if alignment.skipped:
        notes.append(f"{alignment.skipped} points lie where the prediction is invalid and were left out")
    if alignment.kind == "relative" and not alignment.fit.shift:
        notes.append(
            "only the scale was fitted: relative depth has an unknown shift, too, so that other distances may be far "
            "off; measure a second point"
        )
    elif alignment.fit.shift and alignment.x.size == 2:
        notes.append("any two points can be fitted: only a third one shows a mistake")
    if along_ray:
        notes.append("distances along the ray were converted to distances along the optical axis")
        if result.camera is not None and result.camera.assumed:
            notes.append(f"the camera is not known and was assumed: {result.camera}")
    weak = [alignment.weak] if alignment.weak else []
    for note in weak if quiet else notes + weak:
        common.say(f"note: {note}", sys.stderr)
    if quiet:
        return
    if alignment.x.size <= _LISTED:
        rows = zip(
            alignment.x, alignment.y, alignment.measured_m, alignment.aligned_m, alignment.fit.inliers, strict=True
        )
        for x, y, measured, aligned, good in rows:
            verdict = f"{aligned / measured - 1:+.1%}" + ("" if good else ", left out")
            common.say(f"  {x:g},{y:g}: measured {measured:.4g} m, aligned {aligned:.4g} m ({verdict})")
    common.say(alignment.describe())
    about = f"{output}: {result.quantity}, {result.valid.mean():.1%} of the pixels valid"
    camera = describe_cameras([result.camera.describe()] if result.camera is not None else [])
    common.say("; ".join((about, camera) if camera else (about,)))
