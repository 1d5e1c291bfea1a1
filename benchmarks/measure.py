"""How the scripts of this folder measure: as `depth-anything benchmark` does, see depth_anything_v2/speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depth_anything_v2.speed.machine import PACKAGES
from depth_anything_v2.speed.machine import machine as machine_with
from depth_anything_v2.speed.measure import Finished, in_turns, run_process, times_faster
from depth_anything_v2.speed.report import lay_out

__all__ = ["Finished", "in_turns", "machine", "print_table", "run_process", "times_faster"]


def machine() -> dict[str, Any]:
    """Return what the figures depend on, the version of transformers with it."""
    return machine_with((*PACKAGES, "transformers"))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, the first of them the heads; the first column to the left, the others to the right."""
    print(lay_out(rows))
