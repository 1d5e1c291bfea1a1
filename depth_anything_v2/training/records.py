"""What a run leaves to be read: tables of numbers, and TensorBoard's files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import MissingExtraError
from depth_anything_v2.io.atomic import atomic_path, output_error


class Table:
    """A CSV whose first column is the step. Opening cuts off the rows after `step`, which a resumed run writes again.

    Raises OutputError.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._columns: list[str] = []
        if path.is_file():
            self._keep(step)

    def _keep(self, step: int) -> None:
        text = self.path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]  # a killed run may have left half a line
        rows = list(csv.reader(io.StringIO(complete)))
        if not rows:
            return
        self._columns = rows[0]
        kept = [rows[0], *(row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step)]
        with atomic_path(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row; the columns are those of the first row."""
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if not self._columns:
                    self._columns = ["step", *values]
                    writer.writerow(self._columns)
                writer.writerow([step, *(f"{values.get(name, float('nan')):.8g}" for name in self._columns[1:])])
        except OSError as error:
            raise output_error(self.path, error) from error


class Records:
    """log.csv (the loss), held_out.csv (the judgements), and the same in TensorBoard's files, of one run."""

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        """Raises MissingExtraError, OutputError."""
        self.log, self.held_out = Table(folder / "log.csv", step), Table(folder / "held_out.csv", step)
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise MissingExtraError("tensorboard", "train", "a log for TensorBoard (run.tensorboard)") from None
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def trained(self, step: int, values: Mapping[str, float]) -> None:
        """Note the loss and what belongs to it."""
        self.log.add(step, values)
        self._scalars("train", step, values)

    def judged(self, step: int, values: Mapping[str, float], picture: npt.NDArray[np.uint8] | None) -> None:
        """Note the metrics on held-out samples, and their picture."""
        self.held_out.add(step, values)
        self._scalars("held-out", step, values)
        if self._board is not None and picture is not None:
            self._board.add_image("held-out", picture, step, dataformats="HWC")

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()
