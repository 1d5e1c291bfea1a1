"""How the position embedding of DINOv2 is sampled: the numbers that torch and NumPy share, and the way in NumPy.

Engines without torch sample in NumPy and give the result to the network as an input: inside a network that runs in
half precision the places to sample at would be rounded, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

GRID = 37  # tokens per side at the training size
OFFSET = 0.1  # added to the target grid before dividing, as in the published models
CUBIC = -0.75  # the coefficient of the kernel that torch has

Array = npt.NDArray[np.float32]


def cubic_pieces(distance: Any) -> tuple[Any, Any]:
    """Return the kernel of bicubic sampling at a distance up to 1, and from 1 to 2, of a NumPy array or a tensor.

    Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981; a as torch has it.
    """
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance * distance + 1
    far = ((CUBIC * distance - 5 * CUBIC) * distance + 8 * CUBIC) * distance - 4 * CUBIC
    return near, far


def sample_positions(embedding: Array, rows: int, columns: int) -> Array:
    """Return the (1, 1 + rows * columns, dim) position embedding of a grid of patches.

    embedding: (1, 1 + 37 * 37, dim), the trained one. It is taken as it is for 37 x 37, otherwise bicubic by
    scale factor (n + 0.1) / 37, like `DinoVisionTransformer.interpolate_pos_encoding`.
    """
    if rows == columns == GRID:
        return embedding
    grid = embedding[0, 1:].reshape(GRID, GRID, -1)
    across = np.matmul(_weights(columns), grid)
    both = np.tensordot(_weights(rows), across, axes=1)
    return np.concatenate((embedding[:, :1], both.reshape(1, rows * columns, -1)), axis=1)


def _weights(count: int) -> Array:
    """Return the (count, GRID) weights of sampling along one axis; what lies outside counts for the edge."""
    step = np.float32(GRID / (count + OFFSET))
    place = step * (np.arange(count, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    first = np.floor(place).astype(np.intp)
    weights = np.zeros((count, GRID), np.float32)
    for tap in range(-1, 3):
        column = np.clip(first + tap, 0, GRID - 1)
        np.add.at(weights, (np.arange(count), column), _kernel(np.abs(place - (first + tap))))
    return weights


def _kernel(distance: npt.NDArray[np.float64]) -> Array:
    near, far = cubic_pieces(distance)
    weight: Array = np.where(distance <= 1, near, far).astype(np.float32)
    return weight
