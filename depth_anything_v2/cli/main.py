"""`depth-anything`: the program that holds all commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.align import align
from depth_anything_v2.cli.benchmark import benchmark
from depth_anything_v2.cli.checkpoints import checkpoints_app
from depth_anything_v2.cli.dataset import dataset_app
from depth_anything_v2.cli.evaluate import evaluate
from depth_anything_v2.cli.export import export_app
from depth_anything_v2.cli.plot import plot
from depth_anything_v2.cli.pointcloud import pointcloud
from depth_anything_v2.cli.predict import predict
from depth_anything_v2.cli.train import train_app
from depth_anything_v2.version import __version__

PROGRAM = "depth-anything"

app = typer.Typer(
    name=PROGRAM,
    help="Depth from one ordinary picture, with Depth Anything V2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("predict")(predict)
app.command("evaluate")(evaluate)
app.command("benchmark")(benchmark)
app.command("align")(align)
app.command("pointcloud")(pointcloud)
app.command("plot")(plot)
app.add_typer(checkpoints_app, name="checkpoints")
app.add_typer(dataset_app, name="dataset")
app.add_typer(train_app, name="train")
app.add_typer(export_app, name="export")


def _print_version(wanted: bool) -> None:
    if wanted:
        common.say(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Depth from one ordinary picture, with Depth Anything V2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process when None) and return the exit status; see `run_safely`."""
    return common.run_safely(lambda: app(args=None if arguments is None else list(arguments), prog_name=PROGRAM))
