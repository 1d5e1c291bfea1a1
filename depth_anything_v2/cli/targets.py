"""What commands that write one file check before they begin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from depth_anything_v2.errors import OptionError, OutputExistsError


def check_target(path: Path, sources: Iterable[str | Path], *, overwrite: bool) -> None:
    """Raise OptionError for an output that is one of the inputs, OutputExistsError for one that is there already."""
    from depth_anything_v2.jobs.naming import real_path

    if not path.exists():
        return
    if real_path(path) in {real_path(Path(source)) for source in sources}:
        raise OptionError(f"the output '{path}' is one of the inputs and would overwrite it: choose another name")
    if not overwrite:
        raise OutputExistsError(f"'{path}' is already there: choose another name, or add --overwrite")
