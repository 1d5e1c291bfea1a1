"""Names of outputs: they mirror the inputs, and no two inputs ever share one."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from depth_anything_v2.jobs.inputs import Input

FilesOf = Callable[[str], Sequence[str]]  # the file names that an output stem ('sub/x') leads to


@dataclass
class _Name:
    """How specific the name of one output is by now."""

    parts: tuple[str, ...]
    outer: tuple[str, ...]
    keeps_suffix: bool = False
    taken: int = 0  # folders around the input that its name shows
    number: int = 1

    def stem(self) -> str:
        *folders, name = self.parts
        shown = name if self.keeps_suffix else PurePosixPath(name).stem
        around = self.outer[len(self.outer) - self.taken :]
        return "/".join([*around, *folders, shown if self.number == 1 else f"{shown}-{self.number}"])

    def place(self) -> str:
        """Return what tells this input's folder from others, whatever their case."""
        return _key("/".join([*self.outer, *self.parts[:-1]]))


def output_stems(inputs: Sequence[Input], files_of: FilesOf, *, flat: bool = False) -> list[str]:
    """Return for each input the path of its outputs below the output folder, without a suffix.

    Normally the input's own path without its suffix ('sub/x' for sub/x.jpg). Where two inputs would write
    the same file (also one that differs in case or Unicode form only, or is a folder of the other), both
    keep their suffix ('x.jpg', 'x.png'); files of one name take the folders around them ('a/x', 'b/x');
    what still clashes takes a number. flat: begin with the bare file name, as the original's scripts do.
    The answer does not depend on the order of the inputs, numbers apart.
    """
    names = [_Name(item.parts, item.outer) for item in inputs]
    if flat:
        names = [_Name(item.parts[-1:], item.outer + item.parts[:-1]) for item in inputs]
    stems = [name.stem() for name in names]
    while groups := _clashes(stems, files_of):
        for group in groups:
            _tell_apart([names[index] for index in group])
        stems = [name.stem() for name in names]
    return stems


def _tell_apart(names: Sequence[_Name]) -> None:
    """Make the names of a group that clashes one step more specific."""
    numbered = [name for name in names if name.number > 1]
    same_name = len({_key(name.parts[-1]) for name in names}) == 1
    same_place = len({name.place() for name in names}) == 1
    if numbered:
        for step, name in enumerate(numbered, start=1):
            name.number += step
    elif not all(name.keeps_suffix for name in names) and not (len(names) > 1 and same_name and not same_place):
        for name in names:
            name.keeps_suffix = True
    elif not (same_place and len(names) > 1) and any(name.taken < len(name.outer) for name in names):
        for name in names:
            name.taken = min(name.taken + 1, len(name.outer))
    else:
        for number, name in enumerate(names[1:] or names, start=2):
            name.number = number


def _clashes(stems: Sequence[str], files_of: FilesOf) -> list[list[int]]:
    """Return groups of inputs, no input in two of them, that would write the same file or into each other."""
    writers: dict[str, list[int]] = defaultdict(list)
    folders: set[str] = set()
    for index, stem in enumerate(stems):
        for name in files_of(stem):
            key = _key(name)
            if index not in writers[key]:
                writers[key].append(index)
            folders.update(str(parent) for parent in PurePosixPath(key).parents)
    groups: list[list[int]] = []
    grouped: set[int] = set()
    for key, indices in writers.items():
        if (len(indices) > 1 or key in folders) and grouped.isdisjoint(indices):
            groups.append(indices)
            grouped.update(indices)
    return groups


def _key(name: str) -> str:
    """Return what a file system that ignores case and Unicode form would compare."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def overwritten_input(outputs: Sequence[Path], inputs: Sequence[Input]) -> Path | None:
    """Return an output that is one of the input files (through links, too), or None."""
    sources = {real_path(item.path) for item in inputs if item.path is not None}
    return next((path for path in outputs if real_path(path) in sources), None)


def real_path(path: Path) -> str:
    """Return what two paths of the same file share: absolute, links followed, in the system's own case."""
    return os.path.normcase(os.path.realpath(path))
