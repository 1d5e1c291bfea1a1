"""One array out of an HDF5 file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError, MissingExtraError


def require_h5py(feature: str) -> Any:
    """Return the library h5py. Raises MissingExtraError, which names the feature, without it."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise MissingExtraError("h5py", "train", feature) from error


def open_hdf5(path: Path) -> Any:
    """Return the open file, to be closed by the caller. Raises InputError, MissingExtraError."""
    h5py = require_h5py(f"reading '{path}'")
    try:
        return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': it is not an HDF5 file, or it is damaged") from error


def read_hdf5(path: Path, key: str) -> npt.NDArray[Any]:
    """Return the dataset `key` of a file. Raises InputError, MissingExtraError."""
    with open_hdf5(path) as file:
        if key not in file:
            raise InputError(f"cannot read '{path}': it has no dataset '{key}', only {', '.join(file) or 'none'}")
        try:
            return np.asarray(file[key])
        except OSError as error:
            raise InputError(f"cannot read '{path}': its dataset '{key}' is damaged") from error
