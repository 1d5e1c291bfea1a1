"""A job before it runs: its inputs, the names of its outputs, and every reason not to begin."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import OptionError, OutputExistsError
from depth_anything_v2.io.atomic import make_folder, output_error
from depth_anything_v2.io.images import is_url
from depth_anything_v2.jobs.inputs import PICTURES, STDIN, Input, LookedFor, expand_inputs, identity, is_folder
from depth_anything_v2.jobs.journal import JOURNAL, owners
from depth_anything_v2.jobs.naming import output_stems, overwritten_input, real_path
from depth_anything_v2.jobs.options import JobOptions
from depth_anything_v2.jobs.outputs import Product
from depth_anything_v2.jobs.report import is_report


@dataclass(frozen=True)
class PlannedInput:
    """One input, its output stem and the files of its result, below the output folder with '/' between
    folders; each file with the options that shape it (see `Product.files`)."""

    input: Input
    stem: str
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class JobPlan:
    """Everything a job will read and write; see `plan_job`."""

    folder: Path
    items: tuple[PlannedInput, ...]
    product: Product
    options: JobOptions
    report: Path | None = None


def plan_job(
    arguments: Sequence[str],
    folder: Path,
    product: Product,
    options: JobOptions,
    *,
    report: Path | None = None,
    flat: bool = False,
    looked_for: LookedFor = PICTURES,
    read_stdin: Callable[[], bytes] | None = None,
) -> JobPlan:
    """Expand the inputs, name the outputs, and check that the job may begin; nothing is left on the disk.

    product: what is written for each input. report: a file that will be written at the end. flat: see
    `output_stems`. looked_for: what folders are searched for. read_stdin: gives the bytes that the argument
    '-' stands for.

    Raises NoInputError when there are no inputs, OptionError when a file to be written is an input or the
    output folder is an input folder, OutputExistsError when outputs exist and options.existing is
    'refuse', or 'resume' and the journal does not know that they are of their inputs, or when the report
    would replace a file that is none, OutputError when the folder cannot be written.
    """
    for argument in arguments:
        if is_folder(Path(argument)) and is_folder(folder) and Path(argument).samefile(folder):
            raise OptionError(
                f"the output folder '{folder}' is the input folder itself: choose another, '{Path(argument, 'depth')}' "
                "for example"
            )
    inputs = expand_inputs(arguments, output_folder=folder, looked_for=looked_for, read_stdin=read_stdin)
    stems = output_stems(inputs, lambda stem: list(product.files(stem)), flat=flat)
    items = tuple(PlannedInput(item, stem, product.files(stem)) for item, stem in zip(inputs, stems, strict=True))
    outputs = [folder / name for item in items for name in item.outputs]
    _check_written_files(outputs, inputs)
    if report is not None:
        _check_report(report, arguments, inputs, outputs, folder)
        if options.existing != "overwrite":
            _refuse_lost_report(report)
    if options.existing == "refuse":
        _refuse_existing(outputs, folder)
    elif options.existing == "resume":
        _refuse_foreign(items, folder)
    for needed in _folders(folder, report):
        _probe_folder(needed)
    return JobPlan(folder, items, product, options, report)


def make_folders(plan: JobPlan) -> None:
    """Make the output folder and that of the report. Raises OutputError."""
    for folder in _folders(plan.folder, plan.report):
        make_folder(folder)


def _folders(folder: Path, report: Path | None) -> tuple[Path, ...]:
    return (folder, report.parent) if report is not None else (folder,)


def _check_written_files(outputs: Sequence[Path], inputs: Sequence[Input]) -> None:
    lost = overwritten_input(outputs, inputs)
    if lost is not None:
        raise OptionError(
            f"the output '{lost}' is one of the inputs and would overwrite it: choose another output folder"
        )


def _check_report(
    report: Path, arguments: Sequence[str], inputs: Sequence[Input], outputs: Sequence[Path], folder: Path
) -> None:
    """Raise OptionError where a report can never be, whatever may be overwritten."""
    if is_folder(report) or real_path(report) == real_path(folder):
        raise OptionError(f"the report '{report}' is a folder: name a file")
    given = {real_path(Path(argument)) for argument in arguments if not is_url(argument)}
    written = {real_path(path) for path in (*outputs, folder / JOURNAL)}
    around = {real_path(parent) for parent in report.absolute().parents}
    if (
        overwritten_input([report], inputs) is not None
        or real_path(report) in given | written
        or not around.isdisjoint(written)
    ):
        raise OptionError(f"the report '{report}' would overwrite an input or an output: choose another name")


def _refuse_lost_report(report: Path) -> None:
    if os.path.lexists(report) and not is_report(report):
        raise OutputExistsError(
            f"'{report}' exists and is no report of an earlier job: choose another name for the report, or overwrite "
            "(--overwrite)"
        )


def _refuse_existing(outputs: Sequence[Path], folder: Path) -> None:
    existing = [path for path in outputs if os.path.lexists(path)]
    if existing:
        raise OutputExistsError(
            f"{len(existing)} of {len(outputs)} output files exist already in '{folder}', the first is "
            f"'{existing[0].name}': resume (--resume), overwrite (--overwrite) or choose another output folder"
        )


def _refuse_foreign(items: Sequence[PlannedInput], folder: Path) -> None:
    """Raise OutputExistsError for an output that the journal does not know as made, or begun, from its own input."""
    known = owners(folder)
    for item in items:
        for name in item.outputs:
            path = folder / name
            if item.input.problem or not os.path.lexists(path):
                continue
            what_to_do = "choose another output folder, or overwrite (--overwrite)"
            if name not in known:
                raise OutputExistsError(
                    f"cannot resume: '{path}' exists, but not by a job that the journal of '{folder}' knows: "
                    f"move it away, {what_to_do}"
                )
            this = {"source": item.input.source} if item.input.path is not None else identity(item.input)
            if _owner(known[name]) != _owner(this):
                raise OutputExistsError(
                    f"cannot resume: '{path}' was made from {_named(known[name])}, not from '{item.input.label}': "
                    f"{what_to_do}"
                )


def _owner(source: Any) -> Any:
    """Return what stays the same when an input changes: its real path, its address, or its bytes from stdin."""
    if not isinstance(source, dict) or not isinstance(source.get("source"), str):
        return None
    name = source["source"]
    return (name, source.get("sha256")) if name == STDIN or is_url(name) else real_path(Path(name))


def _named(source: Any) -> str:
    name = source.get("source") if isinstance(source, dict) else None
    return "another picture on standard input" if name == STDIN else f"'{name}'"


def _probe_folder(folder: Path) -> None:
    """Raise OutputError when a folder can neither be made nor written to; it is not left behind."""
    made: list[Path] = []
    try:
        for part in reversed((folder, *folder.parents)):
            if not part.exists():
                part.mkdir()
                made.append(part)
        if not folder.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        for part in reversed(made):
            with suppress(OSError):  # another process has begun to use it
                part.rmdir()
