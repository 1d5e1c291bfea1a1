"""What is exported, and into which file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depth_anything_v2.errors import OptionError

SUFFIX_OF = {"onnx": ".onnx", "openvino": ".xml"}
PRECISIONS = ("float32", "float16")


@dataclass(frozen=True)
class ExportOptions:
    """What an exported file is to be.

    format: 'onnx' or 'openvino'. precision: of the stored weights, 'float32' or 'float16', which halves the file.
    static: the one (height, width) of network input that it takes; None: every size, and any batch. int8: quantise
    with the photographs in `calibration` (files, folders, patterns or lists).

    Raises OptionError for an unknown name, a size below 1, or int8 without photographs or with half weights.
    """

    format: str
    precision: str = "float32"
    static: tuple[int, int] | None = None
    int8: bool = False
    calibration: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in SUFFIX_OF:
            raise OptionError(f"unknown export format '{self.format}': {' or '.join(SUFFIX_OF)}")
        if self.precision not in PRECISIONS:
            raise OptionError(f"unknown precision of an export '{self.precision}': {' or '.join(PRECISIONS)}")
        if self.static is not None and min(self.static) < 1:
            raise OptionError(f"a static size of {self.static[0]} x {self.static[1]}: both sides must be positive")
        if self.int8 and not self.calibration:
            raise OptionError("int8 needs photographs to measure with: give a folder with --calibration")
        if self.calibration and not self.int8:
            raise OptionError("calibration photographs are for --int8: give it, or leave --calibration out")
        if self.int8 and self.precision != "float32":
            raise OptionError("int8 and float16 weights exclude each other: give one of them")

    def check_static(self, multiple_of: int) -> None:
        """Raise OptionError when the static size is none that a network with this multiple takes."""
        if self.static and (self.static[0] % multiple_of or self.static[1] % multiple_of):
            raise OptionError(
                f"a static size of {self.static[0]} x {self.static[1]}: both sides must be multiples of {multiple_of}"
            )

    @property
    def stored(self) -> str:
        """The precision that the file tells: 'float32', 'float16' or 'int8'."""
        return "int8" if self.int8 else self.precision

    def file_name(self, checkpoint: str) -> str:
        """Return the usual name of the file that is exported from a checkpoint of this name or path."""
        parts = [Path(checkpoint).stem or "model"]
        parts += [self.stored] if self.stored != "float32" else []
        parts += [f"{self.static[0]}x{self.static[1]}"] if self.static else []
        return "-".join(parts) + SUFFIX_OF[self.format]
