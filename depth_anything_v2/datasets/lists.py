"""File lists: one pair of picture and depth per line, as those that come with the original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from depth_anything_v2.errors import InputError

_TRIED = 50  # lines looked at for one whose files are there


def read_text(path: Path) -> str:
    """Return the text of a small file. Raises InputError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"cannot read '{path}': it is a folder, not a file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read '{path}': it is not a text file (UTF-8)") from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error


def read_file_list(path: Path, root: Path) -> list[tuple[Path, Path]]:
    """Return (picture, depth) of every line 'picture depth', separated by white space.

    What follows on a line (the focal length, in KITTI lists) is left out, as are empty lines, those that begin
    with '#', and those whose depth is 'None'. Paths of another machine are taken below `root`: leading folders
    are dropped until a file is there. Raises InputError with the number of a line that has only one path.
    """
    images, depths = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 2:
            raise InputError(f"'{path}', line {number}: 'picture depth' is expected, not '{line.strip()}'")
        if fields[1] != "None":
            images.append(fields[0])
            depths.append(fields[1])
    return list(zip(_below(root, images), _below(root, depths), strict=True))


def _below(root: Path, paths: Sequence[str]) -> list[Path]:
    """Return the paths as they are found on this machine; those that are not, as if they were like the first."""
    dropped = 0
    for text in paths[:_TRIED]:
        found = _dropped(root, text)
        if found is not None:
            dropped = found
            break
    return [root.joinpath(*PurePosixPath(text).parts[dropped:]) for text in paths]


def _dropped(root: Path, text: str) -> int | None:
    """Return how many leading parts a path must lose so that a file is there below `root`."""
    parts = PurePosixPath(text).parts
    return next((n for n in range(len(parts)) if root.joinpath(*parts[n:]).is_file()), None)
