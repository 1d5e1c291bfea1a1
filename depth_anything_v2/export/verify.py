"""Whether an exported file computes what the checkpoint does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines import accuracy
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.errors import CheckpointError
from depth_anything_v2.export.report import SizeDrift

ALLOWED = {"float32": 1e-4, "float16": 1e-2, "int8": 0.2}  # relative error at each size
# Rows and columns of patches (dinov2) or of the coarsest features; 37 is the size of training, where the position
# embedding is taken as it is, and the sizes beside it are where conversions go wrong.
_SIZES = {
    "dinov2": ((1, 1), (18, 24), (37, 1), (19, 79), (37, 37), (37, 56), (39, 43), (78, 37)),
    "efficientnet": ((1, 1), (8, 8), (8, 12), (12, 8), (5, 17), (9, 10)),
}
_FEW_PIXELS = 20_000  # too few to be a picture: int8 is not measured there

Batch = npt.NDArray[np.float32]
Opener = Callable[[], Engine]


def inputs(config: ModelConfig, static: tuple[int, int] | None, precision: str) -> Iterator[Batch]:
    """Yield (N, 3, H, W) batches of the example photographs in the sizes to verify: single ones, and two together.

    For int8, whose error depends on the photograph, all of them are in every batch.
    """
    unit = config.preprocessing.multiple_of
    sizes = [(rows * unit, columns * unit) for rows, columns in _SIZES[config.family]]
    if static is not None:
        sizes = [static]
    for index, size in enumerate(sizes):
        pictures = list(accuracy.inputs(config, size))
        if precision == "int8" and (static is not None or size[0] * size[1] >= _FEW_PIXELS):
            yield np.concatenate(pictures)
        elif precision != "int8":
            yield pictures[index % len(pictures)]
    if precision != "int8":
        yield np.concatenate(list(accuracy.inputs(config, static or (5 * unit, 7 * unit)))[:2])


def verify(
    reference: Engine, openers: Sequence[Opener], batches: Iterator[Batch], precision: str
) -> tuple[SizeDrift, ...]:
    """Return the drift from the float32 `reference` in each batch, the worst of the engines that are opened for it.

    Raises CheckpointError, naming the size, where it is more than `ALLOWED` for this precision of the weights.
    """
    found = []
    for batch in batches:
        number, _, height, width = batch.shape
        exact = reference(batch)
        error = max(accuracy.compare(exact, opener()(batch))[0] for opener in openers)
        found.append(SizeDrift(number, height, width, error))
        if not error <= ALLOWED[precision]:
            raise CheckpointError(
                f"the exported model was refused, and no file is left: with {number} x {width} x {height} pixels its "
                f"relative error is {error:.1e}, and {ALLOWED[precision]:.0e} is allowed for {precision}"
            )
    return tuple(found)
