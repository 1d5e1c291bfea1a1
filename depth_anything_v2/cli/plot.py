"""`depth-anything plot`: depth files in, one diagram out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.common import ColormapOption, DepthScaleOption, QuietOption
from depth_anything_v2.cli.targets import check_target
from depth_anything_v2.errors import InputError, OptionError

if TYPE_CHECKING:
    from depth_anything_v2.prediction import DepthPrediction

_MOST_MAPS = 12


def plot(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="DEPTHFILE", help="Depth files of this program: npz, exr, tiff, npy, pfm, 16-bit png."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The diagram to write: png, pdf or svg.")
    ],
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="X1,Y1,X2,Y2", help="Also the cross-section along this line, in pixels."),
    ] = None,
    histogram: Annotated[bool, typer.Option("--histogram", help="Also how often which depth occurs.")] = False,
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range", metavar="NEAR,FAR", help="Metres at the ends of colours and axes. [default: all valid values]"
        ),
    ] = None,
    depth_scale: DepthScaleOption = None,
    colormap: ColormapOption = "spectral",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing diagram.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Draw depth maps side by side on one scale, a cross-section, a histogram.

    Relative maps have no scale in common: the others are fitted to the first, and the diagram says so.
    """

    def action() -> int:
        from depth_anything_v2.io.atomic import make_folder
        from depth_anything_v2.io.plots import PlotOptions, check_plot, plot_maps
        from depth_anything_v2.io.recognise import recognise

        check_plot(output)
        options = PlotOptions(_line(profile), histogram, _range(value_range), colormap)
        check_target(output, files, overwrite=overwrite)
        if len(files) > _MOST_MAPS:
            raise OptionError(f"a diagram shows up to {_MOST_MAPS} maps, not {len(files)}: choose some")
        for file in files:
            if file.exists() and recognise(file) != "depth":
                raise InputError(f"'{file}' holds no depth but a picture: predict it first (depth-anything predict)")
        predictions = [_read(file, depth_scale) for file in files]
        make_folder(output.parent)
        plot_maps(predictions, _names(files), output, options)
        if not quiet:
            common.say(f"{len(files)} {'map' if len(files) == 1 else 'maps'} -> {output}")
        return common.OK

    raise typer.Exit(common.run_safely(action))


def _read(file: Path, scale: float | None) -> DepthPrediction:
    """Return the depth in a file; scale: metres of one count where the file does not say what its numbers are."""
    from depth_anything_v2.io.depth_files import read_depth

    try:
        return read_depth(file)
    except InputError:
        if scale is None:
            raise
        return read_depth(file, kind="metric", scale=scale)


def _line(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split(","))
    except ValueError as error:
        raise OptionError(f"--profile is X1,Y1,X2,Y2 in pixels, such as 0,240,639,240, not '{text}'") from error
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        raise OptionError(f"--profile is four finite numbers, not '{text}'")
    return x1, y1, x2, y2


def _range(text: str | None) -> tuple[float, float] | None:
    from depth_anything_v2.io.legend import parse_range

    if text is None:
        return None
    chosen = parse_range(text)
    if isinstance(chosen, str):
        raise OptionError("a diagram shows all valid values, or a range in metres: give NEAR,FAR")
    return chosen


def _names(files: list[Path]) -> list[str]:
    """Return file names, with as many folders as tell them apart."""
    for parts in range(1, max(len(file.parts) for file in files) + 1):
        names = [str(Path(*file.parts[-parts:])) for file in files]
        if len(set(names)) == len(set(files)):
            break
    return names
