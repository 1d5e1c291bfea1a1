"""The journal of an output folder: which outputs are done, from which source and with which options.

Two JSON lines per input in `<output folder>/.depth-anything/journal.jsonl`: one before its outputs are
written, which says whose they are, and one after they are in place, a promise that they are complete. A
torn last line (the process was killed while writing it) is ignored, and its input done again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from depth_anything_v2.io.atomic import output_error

JOURNAL = Path(".depth-anything", "journal.jsonl")


def digest(data: Any) -> str:
    """Return a short digest of JSON data that is the same for equal data in every process."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:20]


def owners(folder: Path) -> dict[str, Any]:
    """Return the source identity of every output below `folder` that its journal knows; writes nothing.

    Raises OutputError when there is a journal that cannot be read.
    """
    try:
        content = (folder / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise output_error(folder / JOURNAL, error) from error
    return {name: source for source, names, _ in _entries(content) for name in names}


def _entries(content: bytes) -> Iterator[tuple[Any, list[str], dict[str, str]]]:
    """Yield source identity, output names and recipes (none before the outputs were in place) of each whole line."""
    for line in content.splitlines():
        try:
            entry = json.loads(line)
            outputs = dict(entry.get("outputs", {}))
            yield entry["source"], [str(name) for name in entry.get("started", outputs)], outputs
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


class Journal:
    """Read once when opened; appended to from any thread; a context manager.

    An entry is {'source': identity, 'started': [file name below the folder, ...]} or {'source': identity,
    'outputs': {file name: recipe digest}}: `source` is JSON data that tells one version of an input from
    another, a recipe all that shapes an output. Raises OutputError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / JOURNAL
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what did not fit on the disk would come back as an error when closing.
            self._file: FileIO = self.path.open("ab+", buffering=0)
            self._load()
        except OSError as error:
            raise output_error(self.path, error) from error

    def _load(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        self._torn = bool(content) and not content.endswith(b"\n")
        for source, names, outputs in _entries(content):
            self._known.update({name: (digest(source), outputs.get(name, "")) for name in names})

    def is_done(self, source: Any, outputs: Mapping[str, str]) -> bool:
        """Say whether every output exists and was made from `source` by its recipe."""
        wanted = digest(source)
        return all(
            self._known.get(name) == (wanted, recipe) and (self.folder / name).is_file()
            for name, recipe in outputs.items()
        )

    def start(self, source: Any, names: Iterable[str]) -> None:
        """Record that the outputs of one input are about to be written. Raises OutputError when the disk is full."""
        self._append({"source": source, "started": list(names)})

    def add(self, source: Any, outputs: Mapping[str, str]) -> None:
        """Record that the outputs of one input are in place. Raises OutputError when the disk is full."""
        self._append({"source": source, "outputs": dict(outputs)})

    def _append(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            line = ("\n" if self._torn else "") + json.dumps(entry) + "\n"
            try:
                self._torn = True
                if self._file.write(line.encode()) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._torn = False
            except OSError as error:
                raise output_error(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise output_error(self.path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
