"""What became of each sample, kept in a file so that an interrupted evaluation goes on where it was."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from depth_anything_v2.errors import OutputError
from depth_anything_v2.io.atomic import output_error

FORMAT = 1
Status = Literal["scored", "skipped", "failed"]


@dataclass(frozen=True)
class Record:
    """One sample's outcome. index: its place in the set; group: a kind of scene; weight: in means (pairs of points).

    metrics: {name: value}, empty unless scored; alignment: the one used; upside_down: the best scale was negative;
    ties: undecided pairs; message: why it was skipped or failed.
    """

    index: int
    name: str
    scene: str
    group: str = ""
    status: Status = "scored"
    metrics: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    alignment: str | None = None
    upside_down: bool = False
    ties: int = 0
    seconds: float = 0.0
    message: str | None = None


def results_key(parts: Mapping[str, Any]) -> str:
    """Return a short digest of JSON data that names a file of results."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, default=str).encode()).hexdigest()[:16]


class RecordFile:
    """Lines of JSON: a header that says what was evaluated on what, then one record per sample; a context manager.

    Opening reads what is there: `known` holds the record of each index that is done (failures are tried
    again). A torn last line, of a process that was killed while it wrote, is ignored.

    Raises OutputError when the file cannot be read or written, or holds results of something else.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.known: dict[int, Record] = {}
        self._header = {"format": FORMAT, **json.loads(json.dumps(dict(header), default=str))}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: each line is on its way to the disk before the next sample is begun.
            self._file: FileIO = path.open("ab+", buffering=0)
            self._file.seek(0)
            content = self._file.read()
        except OSError as error:
            raise output_error(path, error) from error
        self._torn = bool(content) and not content.endswith(b"\n")
        lines = [entry for entry in map(_parse, content.splitlines()) if entry is not None]
        if lines and "format" in lines[0] and lines[0] != self._header:
            self._file.close()
            raise OutputError(f"'{path}' holds results of another evaluation: delete it, or choose another folder")
        if not any("format" in entry for entry in lines[:1]):
            self._append(self._header)
        for entry in lines:
            record = _record(entry)
            if record is not None:
                self.known[record.index] = record
        self.known = {index: record for index, record in self.known.items() if record.status != "failed"}

    def add(self, record: Record) -> None:
        """Append one record. Raises OutputError when the disk is full."""
        self._append(dataclasses.asdict(record))

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = (("\n" if self._torn else "") + json.dumps(entry) + "\n").encode()
        try:
            self._torn = True
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._torn = False
        except OSError as error:
            raise output_error(self.path, error) from error

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _record(entry: dict[str, Any]) -> Record | None:
    names = {f.name for f in dataclasses.fields(Record)}
    if not {"index", "name", "scene", "status"} <= entry.keys() <= names:
        return None
    return Record(**entry)
