"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depth_anything_v2.errors import OutputError

TEMPORARY_PREFIX = ".depth-anything-"  # a killed process leaves such files behind; they are safe to delete
TEMPORARY_SUFFIX = ".part"

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "it would be larger than the system allows: raise its limit (ulimit -f) or choose another disk",
    errno.EACCES: "there is no permission to write there: choose another folder",
    errno.EPERM: "there is no permission to write there: choose another folder",
    errno.EROFS: "that disk is read-only: choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
    errno.ENOENT: "its folder does not exist: create it first",
    errno.EEXIST: "it is a file, not a folder: choose another output folder",  # of making a folder
    errno.ENOTDIR: "a part of its path is a file, not a folder: choose another output folder",
    errno.EISDIR: "a folder of that name is already there: choose another name",
}


def output_error(path: Path, error: OSError) -> OutputError:
    """Return the error that tells a user why `path` could not be written."""
    reason = _REASONS.get(error.errno or 0) or f"the system says '{error.strerror or error}'"
    return OutputError(f"cannot write '{path}': {reason}")


def make_folder(folder: Path) -> None:
    """Make a folder and those around it, if they are not there. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a hidden temporary path in the same folder, which becomes `path` when the block ends well.

    The block writes the file; on any exception, Ctrl-C included, the temporary file is removed and
    whatever was at `path` before stays as it was. Not flushed to the disk itself: proof against a
    killed process, not against a power cut.

    Raises OutputError (disk full, no permission, no such folder, name too long) instead of any OSError
    of the block.
    """
    path = Path(path)
    # A short name of its own, not the target's with something added: that could be too long by a few bytes.
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        _refuse_early(path)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):  # its folder may be a file, or gone
            temporary.unlink()


def _refuse_early(path: Path) -> None:
    """Raise OSError for what would fail anyway, before a large map is encoded."""
    try:
        path.lstat()
    except FileNotFoundError:
        path.parent.stat()
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
