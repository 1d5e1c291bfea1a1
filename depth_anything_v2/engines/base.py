"""The protocol that every engine keeps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.errors import InputError


class Engine(Protocol):
    """A network ready to run, safe to call from several threads.

    name: 'torch', ...; device: where it runs ('cpu', 'cuda:0', 'mps'); precision: 'float32', 'bfloat16',
    'float16'.
    """

    name: str
    device: str
    precision: str

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (N, H, W) float32 depth of normalised pictures (N, 3, H, W) float32.

        Raises InputError when H or W is not a multiple of the model's `multiple_of`.
        """
        ...


def check_axes(batch: npt.NDArray[np.float32]) -> None:
    """Raise InputError when `batch` is not (N, 3, H, W)."""
    if batch.ndim != 4 or batch.shape[1] != 3 or 0 in batch.shape:
        raise InputError(f"the network input has axes (N, 3, H, W), not shape {batch.shape}")


def check_batch(batch: npt.NDArray[np.float32], config: ModelConfig) -> None:
    """Raise InputError when `batch` is not (N, 3, H, W) with sides that the network can take."""
    check_axes(batch)
    multiple = config.preprocessing.multiple_of
    height, width = batch.shape[2:]
    if height % multiple or width % multiple:
        raise InputError(f"the network input is {height} x {width}; both sides must be multiples of {multiple}")
