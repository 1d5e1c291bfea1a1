"""A job before it runs: its inputs, the names of its outputs, and every reason not to begin."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import OptionError, OutputExistsError
from depth_anything_v2.io.atomic import output_error
from depth_anything_v2.jobs.inputs import Input, expand_inputs
from depth_anything_v2.jobs.naming import output_stems, overwritten_input
from depth_anything_v2.jobs.options import JobOptions
from depth_anything_v2.jobs.outputs import Product


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


def plan_job(
    arguments: Sequence[str],
    folder: Path,
    product: Product,
    options: JobOptions,
    *,
    report: Path | None = None,
    flat: bool = False,
    read_stdin: Callable[[], bytes] | None = None,
) -> JobPlan:
    """Expand the inputs, name the outputs, check that the job may begin, and make the output folder.

    product: what is written for each input. report: a file that will be written at the end. flat: see
    `output_stems`. read_stdin: gives the bytes that the argument '-' stands for.

    Raises InputError when there are no inputs, OptionError when a file to be written is an input or the
    output folder is an input folder, OutputExistsError when outputs exist and options.existing is
    'refuse', OutputError when the folder cannot be written.
    """
    for argument in arguments:
        if Path(argument).is_dir() and folder.exists() and Path(argument).samefile(folder):
            raise OptionError(
                f"the output folder '{folder}' is the input folder itself: choose another, '{Path(argument, 'depth')}' "
                "for example"
            )
    inputs = expand_inputs(arguments, output_folder=folder, read_stdin=read_stdin)
    stems = output_stems(inputs, lambda stem: list(product.files(stem)), flat=flat)
    items = tuple(PlannedInput(item, stem, product.files(stem)) for item, stem in zip(inputs, stems, strict=True))
    outputs = [folder / name for item in items for name in item.outputs]
    _check_written_files(outputs, inputs, report)
    if options.existing == "refuse":
        _refuse_existing(outputs, folder)
    _check_folder(folder, report)
    return JobPlan(folder, items, product, options)


def _check_written_files(outputs: Sequence[Path], inputs: Sequence[Input], report: Path | None) -> None:
    lost = overwritten_input(outputs, inputs)
    if lost is not None:
        raise OptionError(
            f"the output '{lost}' is one of the inputs and would overwrite it: choose another output folder"
        )
    if report is None:
        return
    if overwritten_input([report], inputs) is not None or report in outputs:
        raise OptionError(f"the report '{report}' would overwrite an input or an output: choose another name")
    if report.is_dir():
        raise OptionError(f"the report '{report}' is a folder: name a file")


def _refuse_existing(outputs: Sequence[Path], folder: Path) -> None:
    existing = [path for path in outputs if os.path.lexists(path)]
    if existing:
        raise OutputExistsError(
            f"{len(existing)} of {len(outputs)} output files exist already in '{folder}', the first is "
            f"'{existing[0].name}': resume (--resume), overwrite (--overwrite) or choose another output folder"
        )


def _check_folder(folder: Path, report: Path | None) -> None:
    for needed in (folder, *([report.parent] if report is not None else [])):
        try:
            needed.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(needed, error) from error
        if not os.access(needed, os.W_OK | os.X_OK):
            raise output_error(needed, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
