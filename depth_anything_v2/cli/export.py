"""`depth-anything export`: a checkpoint as an ONNX or OpenVINO file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.errors import OptionError

if TYPE_CHECKING:
    from depth_anything_v2.export import ExportReport

export_app = typer.Typer(
    name="export",
    help="Write a checkpoint as an ONNX or OpenVINO file that says what it is, compared with the checkpoint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _export(format: str) -> Callable[..., None]:
    """Return the command for one format: both have the same options."""

    def command(
        checkpoint: common.CheckpointOption = "auto",
        output: Annotated[
            Path | None,
            typer.Option(
                "--output", "-o", metavar="FILE", help="File, or folder for one. [default: named after the checkpoint]"
            ),
        ] = None,
        precision: Annotated[
            str,
            typer.Option("--precision", metavar="NAME", help="Of the stored weights: float32 or float16."),
        ] = "float32",
        static: Annotated[
            tuple[int, int] | None,
            typer.Option("--static", metavar="H W", help="The only network input it takes. [default: any size]"),
        ] = None,
        int8: Annotated[bool, typer.Option("--int8", help="Quantise weights and activations to 8 bits.")] = False,
        calibration: Annotated[
            list[str] | None,
            typer.Option(
                "--calibration", metavar="DIR", help="Photographs like those it will see, for --int8: about 100 to 300."
            ),
        ] = None,
        max_depth: common.MaxDepthOption = None,
        relative: common.RelativeOption = False,
        v1: common.V1Option = False,
        offline: common.OfflineOption = False,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
        quiet: common.QuietOption = False,
    ) -> None:
        def action() -> None:
            import warnings

            from depth_anything_v2.checkpoints import resolve_checkpoint
            from depth_anything_v2.export import ExportOptions, export_checkpoint

            if relative and max_depth is not None:
                raise OptionError("a model is relative or has a maximum depth, not both: give one of them")
            options = ExportOptions(format, precision, static, int8, tuple(calibration or ()))
            resolved = resolve_checkpoint(checkpoint, offline=offline, progress=not quiet and sys.stderr.isatty())
            name = options.file_name(resolved.name)
            path = Path(name) if output is None else output / name if output.is_dir() else output
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the same sentences come as notes
                report = export_checkpoint(
                    resolved,
                    path,
                    options,
                    max_depth_m=max_depth,
                    relative=relative,
                    v1=v1,
                    overwrite=overwrite,
                    on_step=None if quiet else lambda sentence: common.say(f"note: {sentence} ...", sys.stderr),
                )
            _tell(report, quiet=quiet)

        raise typer.Exit(common.run_safely(action))

    return command


for _format, _name in (("onnx", "ONNX"), ("openvino", "OpenVINO")):
    export_app.command(_format, help=f"Write an {_name} file, compared with the checkpoint.")(_export(_format))


def _tell(report: ExportReport, *, quiet: bool) -> None:
    for sentence in (*report.notes, *(f"skipped: {problem}" for problem in report.skipped)):
        if not quiet:
            common.say(f"note: {sentence}", sys.stderr)
    for path in report.files:
        common.say(str(path))
    if not quiet:
        exported = report.exported
        about = {
            "name": exported.source,
            "kind": exported.config.kind,
            "max_depth_m": exported.config.max_depth_m,
            "licence": exported.licence,
        }
        common.say(common.describe_model(about))
        common.say(report.summary())
