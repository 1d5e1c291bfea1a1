"""What became of a job: one result per input, counts, and the JSON file that machines read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from depth_anything_v2.version import __version__

REPORT_FORMAT = "depth_anything_v2 job report"  # by this our own files are known

Status = Literal["done", "skipped", "failed", "not run"]


@dataclass(frozen=True)
class ItemResult:
    """What became of one input.

    status: 'done', 'skipped' (resumed: it was done before), 'failed' (then `error` is a sentence), or
    'not run' (the job ended before). outputs: the files that hold its result. seconds: spent on it.
    ended_job: it failed and nothing was begun after it; the report's `stopped` has its error, too. camera: what
    `Camera.describe` says of the one in its outputs, None without. notes: what to know of how it was predicted.
    """

    source: str
    status: Status
    outputs: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    ended_job: bool = False
    camera: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The error with the name of the input in it."""
        error = self.error or ""
        return error if self.source in error else f"{self.source}: {error}"


@dataclass(frozen=True)
class JobReport:
    """Results in the order of the inputs, and what produced them.

    stopped: why the job ended before all inputs were run, None when it did not. started: ISO 8601 with
    time zone; seconds: of the whole job, without loading the model.
    """

    results: tuple[ItemResult, ...]
    folder: str
    checkpoint: Mapping[str, Any]
    options: Mapping[str, Any]
    started: str
    seconds: float
    stopped: str | None = None
    version: str = field(default=__version__)

    def count(self, status: Status) -> int:
        """Return how many inputs have this status."""
        return sum(result.status == status for result in self.results)

    @property
    def failures(self) -> tuple[ItemResult, ...]:
        """The inputs that failed, in order."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether every input was done, now or before."""
        return all(result.status in ("done", "skipped") for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        statuses: tuple[Status, ...] = ("done", "skipped", "failed", "not run")
        return {
            "format": REPORT_FORMAT,
            "version": self.version,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "folder": self.folder,
            "stopped": self.stopped,
            "checkpoint": dict(self.checkpoint),
            "options": dict(self.options),
            "counts": {"inputs": len(self.results)}
            | {status.replace(" ", "_"): self.count(status) for status in statuses},
            "inputs": [
                {
                    "source": result.source,
                    "status": result.status,
                    "outputs": list(result.outputs),
                    "error": result.error,
                    "seconds": round(result.seconds, 3),
                    "camera": None if result.camera is None else dict(result.camera),
                    "notes": list(result.notes),
                }
                for result in self.results
            ],
        }

    def write(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all. Raises OutputError when it cannot be written."""
        from depth_anything_v2.io.atomic import atomic_path

        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def is_report(path: Path) -> bool:
    """Say whether a file is a report that this package wrote."""
    try:
        data = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("format") == REPORT_FORMAT
