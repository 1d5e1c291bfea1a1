"""Converted models beside the checkpoints: made once per checkpoint, engine, version, precision and processor.

Everything here is a convenience: a folder that can't be written, or an entry that is damaged, costs the time of
converting again, never an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from depth_anything_v2.checkpoints import cache
from depth_anything_v2.errors import OutputError
from depth_anything_v2.io.atomic import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, atomic_path, make_folder, output_error

LAYOUT = 2  # raised when what an entry holds changes; older entries are then made anew
RECORD = "entry.json"
_MAKERS = ("version", "package")  # parts of a key: other values make other files of the same checkpoint
_LEFT_S = 86_400.0  # after which a conversion that has not ended is one that was killed

Key = Mapping[str, Any]  # JSON data; 'checkpoint' (SHA-256), 'engine', 'version', 'precision', ...


def folder() -> Path:
    """Return the folder of converted models, inside the cache folder of the checkpoints."""
    return cache.cache_dir() / "converted"


def find(key: Key) -> Path | None:
    """Return the folder of an entry whose files are as they were written; a damaged entry is removed.

    Its time of change becomes now, for `offer`.
    """
    place = folder() / _name(key)
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        whole = all(_checksum(place / name) == known for name, known in record["files"].items())
    except FileNotFoundError:
        whole = False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if whole:
        with contextlib.suppress(OSError):
            os.utime(place)
        return place
    if place.exists():
        discard(place)
    return None


def discard(place: Path) -> None:
    """Remove an entry, first under another name, so that nobody finds half of it."""
    aside = place.with_name(_temporary())
    with contextlib.suppress(OSError):
        place.rename(aside)
        shutil.rmtree(aside)


def add(key: Key, build: Callable[[Path], None]) -> tuple[Path, str | None]:
    """Return the folder of a new entry that `build` fills, and None; or one for this process only, and why.

    The entry appears complete or not at all; of two processes that make it at once, the first to finish wins.
    A folder for this process only is removed when the process ends.
    """
    try:
        return _make(key, build), None
    except (OSError, OutputError) as error:
        return _passing(build, error)


def offer(key: Key, build: Callable[[Path], None], most: int, most_bytes: int) -> None:
    """Keep what can be made again in a moment, where the folder can be written.

    Of the entries that differ from this one in their 'shape' alone, the `most` that were used last stay, and of
    those as many as `most_bytes` hold, but at least one.
    """
    with contextlib.suppress(OSError, OutputError):
        place = _make(key, build)
        alike = _without(key, "shape")
        others = [
            (path, size) for path, known, size in entries() if "shape" in known and _without(known, "shape") == alike
        ]
        others.sort(key=lambda entry: (entry[0] == place, entry[0].stat().st_mtime), reverse=True)
        held = 0
        for position, (path, size) in enumerate(others):
            held += size
            if position and (position >= most or held > most_bytes):
                discard(path)


def _make(key: Key, build: Callable[[Path], None]) -> Path:
    place, work = folder() / _name(key), folder() / _temporary()
    make_folder(folder())
    work.mkdir()
    try:
        build(work)
        _finish(work, key)
        try:
            work.rename(place)
        except OSError:
            if not (place / RECORD).is_file():  # nobody was faster: the folder itself refuses
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _tidy(key)
    return place


def recall(key: Key) -> dict[str, Any] | None:
    """Return what `remember` kept under this key, or None."""
    try:
        data = json.loads((folder() / f"{_name(key)}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def remember(key: Key, data: Mapping[str, Any]) -> None:
    """Keep a JSON object for later processes, where the folder can be written."""
    with contextlib.suppress(OutputError):
        make_folder(folder())
        with atomic_path(folder() / f"{_name(key)}.json") as temporary:
            temporary.write_text(json.dumps(dict(data)), encoding="utf-8")


def entries() -> Iterator[tuple[Path, dict[str, Any], int]]:
    """Yield every entry: its folder, its key and its size in bytes."""
    for record in sorted(folder().glob(f"*/{RECORD}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(record.read_text(encoding="utf-8"))
            yield record.parent, dict(data["key"]), sum(int(size) for size, _ in data["files"].values())


def _name(key: Key) -> str:
    text = json.dumps({"layout": LAYOUT, **key}, sort_keys=True)
    said = [str(key[part]) for part in ("engine", "version", "precision") if part in key]
    return "-".join([str(key["checkpoint"])[:12], *said, hashlib.sha256(text.encode()).hexdigest()[:12]])


def _temporary() -> str:
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"


def _checksum(path: Path) -> list[int]:
    size, value = 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            size, value = size + len(block), zlib.crc32(block, value)
    return [size, value]


def _finish(work: Path, key: Key) -> None:
    files = {path.name: _checksum(path) for path in sorted(work.iterdir())}
    (work / RECORD).write_text(json.dumps({"key": dict(key), "files": files}, indent=1), encoding="utf-8")


def _passing(build: Callable[[Path], None], error: Exception) -> tuple[Path, str]:
    reason = str(error if isinstance(error, OutputError) else output_error(folder(), error))  # type: ignore[arg-type]
    try:
        work = Path(tempfile.mkdtemp(prefix="depth-anything-"))
        weakref.finalize(_kept, shutil.rmtree, work, ignore_errors=True)
        build(work)
    except OSError as again:
        raise output_error(Path(tempfile.gettempdir()), again) from again
    return work, f"the converted model is not kept, so that every start converts it again: {reason}"


class _Kept:
    """What lives as long as the process: folders made for it are removed with it."""


_kept = _Kept()


def _tidy(key: Key) -> None:
    """Remove entries that differ from this one in what made them, and what killed processes left half made."""
    alike = _without(key, "shape", *_MAKERS)
    for other, known, _ in entries():
        replaced = any(known.get(part) != key.get(part) for part in _MAKERS) or other.name != _name(known)
        if replaced and _without(known, "shape", *_MAKERS) == alike:
            discard(other)
    for left in folder().glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            if left.is_dir() and time.time() - left.stat().st_mtime > _LEFT_S:
                shutil.rmtree(left)


def _without(key: Key, *parts: str) -> dict[str, Any]:
    """Return a key as a record holds it, lists for tuples, less some of its parts."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(key)))
    return {name: value for name, value in plain.items() if name not in parts}
