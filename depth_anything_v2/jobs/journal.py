"""The journal of an output folder: which outputs are done, from which source and with which options.

One JSON line per finished input in `<output folder>/.depth-anything/journal.jsonl`, written after its
outputs are in place: a line is a promise that they are complete. A torn last line (the process was killed
while writing it) is ignored, and its input done again.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from depth_anything_v2.io.atomic import output_error

JOURNAL = Path(".depth-anything", "journal.jsonl")


def digest(data: Any) -> str:
    """Return a short digest of JSON data that is the same for equal data in every process."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:20]


class Journal:
    """Read once when opened; appended to from any thread; a context manager.

    An entry is {'source': identity, 'outputs': {file name below the folder: recipe digest}}: `source` is
    JSON data that tells one version of an input from another, a recipe all that shapes an output.
    Raises OutputError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / JOURNAL
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("ab+")
            self._load()
        except OSError as error:
            raise output_error(self.path, error) from error

    def _load(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")
            self._file.flush()
        for line in content.splitlines():
            try:
                entry = json.loads(line)
                source = digest(entry["source"])
                self._known.update({name: (source, recipe) for name, recipe in entry["outputs"].items()})
            except (ValueError, TypeError, KeyError, AttributeError):
                continue

    def is_done(self, source: Any, outputs: Mapping[str, str]) -> bool:
        """Say whether every output exists and was made from `source` by its recipe."""
        wanted = digest(source)
        return all(
            self._known.get(name) == (wanted, recipe) and (self.folder / name).is_file()
            for name, recipe in outputs.items()
        )

    def add(self, source: Any, outputs: Mapping[str, str]) -> None:
        """Record that the outputs of one input are in place. Raises OutputError when the disk is full."""
        line = json.dumps({"source": source, "outputs": dict(outputs)}) + "\n"
        with self._lock:
            try:
                self._file.write(line.encode())
                self._file.flush()
            except OSError as error:
                raise output_error(self.path, error) from error

    def close(self) -> None:
        """Close the file; what could not be flushed was reported by `add`."""
        try:
            self._file.close()
        except OSError as error:
            raise output_error(self.path, error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
