"""`depth-anything checkpoints`: what there is, fetch it, check it, convert it, look inside."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depth_anything_v2.cli import common

if TYPE_CHECKING:
    from depth_anything_v2.checkpoints import CheckpointReport, CheckpointSpec

checkpoints_app = typer.Typer(
    name="checkpoints",
    help="List, download, verify, convert and inspect checkpoints.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

NAME_HELP = "Registry name, file (.pth, .safetensors), folder or Hub repository (org/name)."


class ConvertTarget(str, Enum):
    """Formats that `convert` writes."""

    NATIVE = "native"
    TRANSFORMERS = "transformers"


def _size(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def _kind(kind: str, max_depth_m: float | None) -> str:
    return kind if max_depth_m is None else f"{kind}, {max_depth_m:g} m"


def _place(spec: CheckpointSpec) -> str:
    """Return where a checkpoint is on disk, without hashing anything."""
    from depth_anything_v2.checkpoints.resolve import file_on_disk

    found = file_on_disk(spec)
    if found is not None:
        return "in the package" if spec.builtin else str(found)
    if spec.builtin:
        return "missing"
    return "-" if spec.downloadable else "never published: local file only"


def _print_pairs(pairs: dict[str, Any]) -> None:
    width = max(len(key) for key in pairs)
    for key, value in pairs.items():
        if value not in (None, "", ()):
            common.say(f"{key + ':':<{width + 1}} {value}")


@checkpoints_app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every checkpoint that has a name: kind, size, licence, and whether it is on disk."""
    import dataclasses

    from depth_anything_v2.checkpoints import list_checkpoints

    specs = list_checkpoints()
    if as_json:
        common.say_text(json.dumps([dataclasses.asdict(spec) for spec in specs], indent=2))
        return
    rows = [("NAME", "KIND", "SIZE", "LICENCE", "ON DISK")]
    rows += [
        (s.name, _kind(s.kind, s.max_depth_m), _size(s.bytes), s.licence or "see its page", _place(s)) for s in specs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        common.say("  ".join(cells).rstrip())


@checkpoints_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Registry name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything known of one checkpoint."""
    import dataclasses

    from depth_anything_v2.checkpoints import find_spec

    spec = find_spec(name)
    if as_json:
        common.say_text(json.dumps(dataclasses.asdict(spec), indent=2))
        return
    _print_pairs(
        {
            "name": spec.name,
            "what": spec.summary,
            "encoder": spec.encoder,
            "kind": _kind(spec.kind, spec.max_depth_m),
            "licence": spec.licence or "not known here: see the page of its repository",
            "size": _size(spec.bytes),
            "sha256": spec.sha256,
            "repository": f"{spec.repo} ({spec.repo_type})" if spec.repo and spec.repo_type != "model" else spec.repo,
            "file": spec.hub_path,
            "status": spec.status,
            "on disk": _place(spec),
        }
    )


@checkpoints_app.command("download")
def download_command(
    names: Annotated[list[str], typer.Argument(help="Registry names or Hub repositories (org/name).")],
    quiet: common.QuietOption = False,
) -> None:
    """Fetch checkpoints into the cache; a download that was cut off goes on where it stopped."""
    from depth_anything_v2.checkpoints import list_checkpoints, resolve_checkpoint

    specs = {spec.name: spec for spec in list_checkpoints()}
    for name in names:
        if (spec := specs.get(name)) is not None and spec.downloadable and not quiet:
            licence = spec.licence or "licence: see its page"
            kind = _kind(spec.kind, spec.max_depth_m)
            common.say(f"{spec.name}: {kind}, {_size(spec.bytes)}, {licence}", sys.stderr)
        resolved = resolve_checkpoint(name, progress=not quiet and sys.stderr.isatty())
        for note in resolved.notes:
            common.say(f"note: {note}", sys.stderr)
        common.say(str(resolved.path))


@checkpoints_app.command("verify")
def verify_command(name: Annotated[str, typer.Argument(help=NAME_HELP)]) -> None:
    """Compare a file with the published digest; exit status 1 when it differs or there is none to compare with."""
    from depth_anything_v2.checkpoints import verify_checkpoint

    spec, path, digest, same = verify_checkpoint(name)
    common.say(f"{digest}  {path}")
    if same:
        common.say(f"this is {spec.name if spec else name}, as published" if spec else "unchanged since its download")
        return
    if same is None:
        common.say("no digest is known to compare it with", sys.stderr)
    else:
        expected = f" ({spec.sha256})" if spec and spec.sha256 else ""
        common.say(f"this is not the published {spec.name if spec else name}{expected}", sys.stderr)
    raise typer.Exit(1)


@checkpoints_app.command("convert")
def convert_command(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .safetensors file; a folder with --to transformers.")],
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    to: Annotated[ConvertTarget, typer.Option("--to", help="Format to write.")] = ConvertTarget.NATIVE,
    max_depth: common.MaxDepthOption = None,
    relative: common.RelativeOption = False,
    v1: common.V1Option = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    offline: common.OfflineOption = False,
) -> None:
    """Write a checkpoint as safetensors that say what they are, or as transformers reads them."""
    import warnings

    from depth_anything_v2.checkpoints import convert_checkpoint, load_checkpoint, resolve_checkpoint
    from depth_anything_v2.errors import OutputExistsError

    target = out / "model.safetensors" if to is ConvertTarget.TRANSFORMERS else out
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} is already there: give --overwrite or another output")
    resolved = resolve_checkpoint(name, offline=offline, progress=sys.stderr.isatty())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same sentences come as notes
        loaded = load_checkpoint(resolved, max_depth_m=max_depth, relative=relative, v1=v1)
    for note in loaded.notes:
        common.say(f"note: {note}", sys.stderr)
    for path in convert_checkpoint(loaded, out, half=half, to=to.value):
        common.say(str(path))


@checkpoints_app.command("inspect")
def inspect_command(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a file is, how that is known and what is wrong with it; exit status 1 when something is."""
    from depth_anything_v2.checkpoints import inspect_checkpoint

    report = inspect_checkpoint(name)
    if as_json:
        common.say_text(json.dumps(report.to_dict(), indent=2))
    else:
        _print_report(report)
    if report.problems:
        raise typer.Exit(1)


def _print_report(report: CheckpointReport) -> None:
    kind = _kind(report.kind, report.max_depth_m)
    _print_pairs(
        {
            "file": report.path,
            "size": _size(report.bytes),
            "sha256": report.sha256,
            "known as": report.known_as or "not a published file",
            "format": f"{report.format}, {report.names} names" if report.names else report.format,
            "encoder": report.encoder,
            "kind": f"{kind} (from its {report.kind_from})" if report.kind_from else kind,
            "taps": ", ".join(map(str, report.taps)),
            "parameters": f"{report.parameters:,}" if report.parameters else None,
            "stored as": ", ".join(report.dtypes),
            "licence": report.licence or "not known",
        }
    )
    for note in report.notes:
        common.say(f"note: {note}")
    for problem in report.problems:
        common.say(f"problem: {problem}")
