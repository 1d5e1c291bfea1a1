"""`depth-anything dataset`: look at a dataset before hours are spent on training with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depth_anything_v2.cli import common

if TYPE_CHECKING:
    from depth_anything_v2.datasets.doctor import DatasetReport
    from depth_anything_v2.datasets.reader import DepthDataset

dataset_app = typer.Typer(
    name="dataset",
    help="Check datasets of pictures with depth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_NAMES_SHOWN = 3


@dataset_app.callback()
def _commands() -> None:
    """Check datasets of pictures with depth."""


@dataset_app.command("check")
def check_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Manifests (.csv, .tsv, .jsonl), or a dataset's folder."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="hypersim, vkitti2, kitti, nyuv2, diode, eth3d, sintel, tum, "
            "scannet or manifest. [default: what it looks like]",
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", metavar="FILE", help="File list of lines 'picture depth', one for each split."),
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Only this split. [default: all]")] = "",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where report, histogram and contact sheet go.")
    ] = Path("dataset-check"),
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", help="Look at N pairs of each path or list, spread evenly.")
    ] = None,
    resize_image: Annotated[
        bool, typer.Option("--resize-image", help="Pictures of another size than their depth are resized to it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing where nothing is wrong.")] = False,
) -> None:
    """Read all pairs and say what would spoil a training: exit status 1 when something would, otherwise 0."""
    from depth_anything_v2.datasets.doctor import check_dataset

    datasets = _open(paths, name, lists or [], split, resize_image)
    with _Progress(quiet) as progress:
        report = check_dataset(
            datasets, name=" + ".join(path.name for path in paths), limit=limit, progress=progress.on_pair
        )
    written = report.write(out)
    if as_json:
        common.say_text(json.dumps(report.to_dict(), indent=2))
    elif not (quiet and report.ok):
        _print_report(report)
    if not quiet:
        for path in written:
            common.say(f"written: {path}", sys.stderr)
    if not report.ok:
        raise typer.Exit(common.FAILED)


def _open(paths: list[Path], name: str | None, lists: list[Path], split: str, resize_image: bool) -> list[DepthDataset]:
    """Return a dataset for each path, or for each file list; several manifests are one split each."""
    from depth_anything_v2.datasets.readers import open_dataset, recognise
    from depth_anything_v2.errors import OptionError

    if lists and len(paths) > 1:
        raise OptionError("file lists are of one folder: give one path with --list")
    options: dict[str, Any] = {"split": split, "resize_image": resize_image}
    if lists:
        kind = name or recognise(paths[0])
        return [open_dataset(kind, paths[0], file_list=path, **options) for path in lists]
    opened = []
    for path in paths:
        kind = name or recognise(path)
        more = {"label": path.stem} if kind == "manifest" and len(paths) > 1 else {}
        opened.append(open_dataset(kind, path, **options, **more))
    return opened


def _print_report(report: DatasetReport) -> None:
    data = report.to_dict()
    common.say(f"{report.dataset}: {data['looked_at']:,} of {data['pairs']:,} pairs looked at")
    for split, numbers in data["splits"].items():
        common.say(f"  {split or 'all'}: {_described(numbers, data['kinds'])}")
    geometry = data["geometry"]
    declared = ", ".join(geometry["declared"]) or "nothing"
    votes = f"{geometry['votes_planar']} flat surfaces for planar, {geometry['votes_ray']} for ray"
    common.say(f"  geometry: taken for {declared}; looks {geometry['seen']} ({votes})")
    for finding in report.findings:
        common.say(f"{finding.severity}: {finding.message}")
        shown = finding.items[:_NAMES_SHOWN]
        for item in shown:
            common.say(f"    {item}")
        if finding.count > len(shown) > 0:
            common.say(f"    and {finding.count - len(shown):,} more")
    errors = sum(finding.severity == "error" for finding in report.findings)
    common.say(f"{errors} of these would spoil a training" if errors else "nothing that would spoil a training")


def _described(numbers: dict[str, Any], kinds: list[str]) -> str:
    parts = [f"{numbers['readable']:,} of {numbers['pairs']:,} readable"]
    if numbers["scenes"]:
        parts.append(f"{numbers['scenes']:,} scene{'s' * (numbers['scenes'] != 1)}")
    parts += [size for size, _ in list(numbers["sizes"].items())[:2]]
    if "percentiles" in numbers:
        unit = " m" if kinds == ["metric"] else ""
        low, median, high = (numbers["percentiles"][key] for key in ("p1", "p50", "p99"))
        parts.append(f"{100 * numbers['valid_share']:.1f} % valid")
        parts.append(f"{low:g} to {high:g}{unit}, median {median:g}{unit}")
    return ", ".join(parts)


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            label = TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, label, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_pair(self, done: int, total: int, name: str) -> None:
        """Show how far it is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=common.printable(name, sys.stderr))
