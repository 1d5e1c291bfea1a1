"""What an export found out about its file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from depth_anything_v2.checkpoints.exported import Exported
from depth_anything_v2.version import __version__


@dataclass(frozen=True)
class SizeDrift:
    """The relative error of a batch of example photographs at one network input, against float32 torch."""

    pictures: int
    height: int
    width: int
    relative_error: float


@dataclass(frozen=True)
class PhotographDrift:
    """What quantisation does to one photograph; the measures are those of `engines.accuracy.Accuracy`."""

    photograph: str
    height: int
    width: int
    relative_error: float
    order: float


@dataclass(frozen=True)
class ExportReport:
    """A file that was exported, and how far it is from the checkpoint run in float32 through torch.

    files: the file to name first, then those that belong to it; sizes: drift per network input, at most `allowed`;
    photographs: of int8, on those of the calibration, `skipped`: sentences on those that could not be read;
    notes: on the checkpoint.
    """

    files: tuple[Path, ...]
    exported: Exported
    sizes: tuple[SizeDrift, ...]
    allowed: float
    photographs: tuple[PhotographDrift, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def largest_error(self) -> float:
        """The largest relative error of a network input."""
        return max(size.relative_error for size in self.sizes)

    def summary(self) -> str:
        """Return the drift in a line."""
        several = f"at {len(self.sizes)} sizes" if len({(s.height, s.width) for s in self.sizes}) > 1 else "at its size"
        line = f"relative error {several} at most {self.largest_error:.1e} (allowed: {self.allowed:.0e})"
        if not self.photographs:
            return line
        errors, orders = [p.relative_error for p in self.photographs], [p.order for p in self.photographs]
        return (
            f"{line}; on {len(errors)} calibration photographs median {median(errors):.1%}, largest {max(errors):.1%}, "
            f"order of pixel pairs median {median(orders):.2%}, smallest {min(orders):.2%}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data: what stands beside an int8 file."""
        errors = [photograph.relative_error for photograph in self.photographs]
        orders = [photograph.order for photograph in self.photographs]
        return {
            "file": self.files[0].name,
            "source": {"name": self.exported.source, "sha256": self.exported.source_sha256},
            "precision": self.exported.precision,
            "version": __version__,
            "relative_error": {"median": median(errors), "largest": max(errors)} if errors else None,
            "order": {"median": median(orders), "smallest": min(orders)} if orders else None,
            "photographs": [dataclasses.asdict(photograph) for photograph in self.photographs],
            "skipped": list(self.skipped),
            "sizes": [dataclasses.asdict(size) for size in self.sizes],
        }
