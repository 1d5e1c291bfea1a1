"""Plain arrays from files: NumPy's own, and raw numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError


def read_array(path: Path) -> npt.NDArray[Any]:
    """Return the array of a .npy file; nothing pickled is loaded. Raises InputError."""
    try:
        with path.open("rb") as file:
            values = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read '{path}': it is not an array of numbers in NumPy's format") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"cannot read '{path}': it is an archive, not an array")
    return values


def read_bytes(path: Path) -> bytes:
    """Return what is in a file. Raises InputError."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error
