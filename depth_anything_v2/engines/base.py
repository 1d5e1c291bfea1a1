"""The protocol that every engine keeps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Engine(Protocol):
    """A network ready to run, safe to call from several threads.

    name: 'torch', ...; device: where it runs ('cpu', 'cuda:0', 'mps'); precision: 'float32', 'bfloat16',
    'float16'.
    """

    name: str
    device: str
    precision: str

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (N, H, W) float32 depth of normalised pictures (N, 3, H, W) float32."""
        ...
