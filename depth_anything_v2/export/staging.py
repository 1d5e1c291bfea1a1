"""Several files that appear together or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from depth_anything_v2.errors import OutputExistsError
from depth_anything_v2.io.atomic import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, output_error


@contextmanager
def staged(target: Path, companions: Sequence[Path], *, overwrite: bool) -> Iterator[Path]:
    """Yield a hidden folder beside `target`; the files made in it move beside `target` when the block ends well.

    companions: files that may belong to `target`; those of an earlier target are removed. On any exception, Ctrl-C
    included, the folder is removed and what was there before stays. Raises OutputExistsError before the block runs,
    and OutputError instead of any OSError.
    """
    existing = [path for path in (target, *companions) if path.exists()]
    if existing and not overwrite:
        raise OutputExistsError(f"{existing[0]} is already there: give --overwrite or another output")
    work = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        work.mkdir()
        yield work
        made = [path for path in sorted(work.iterdir()) if path.name != target.name] + [work / target.name]
        aside = work / "before"
        aside.mkdir()
        _move(made, existing, target.parent, aside)
    except OSError as error:
        raise output_error(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(made: Sequence[Path], existing: Sequence[Path], folder: Path, aside: Path) -> None:
    """Move old files aside and new ones into place; on any exception the old ones are back."""
    moved: list[tuple[Path, Path]] = []
    steps = [(path, aside / path.name) for path in existing] + [(path, folder / path.name) for path in made]
    try:
        for source, destination in steps:
            source.rename(destination)
            moved.append((source, destination))
    except BaseException:
        for source, destination in reversed(moved):
            destination.rename(source)
        raise
