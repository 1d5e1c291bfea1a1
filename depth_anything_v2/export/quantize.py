"""Weights and activations in 8 bits, by NNCF, from what calibration photographs make of them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines import accuracy
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.engines.onnx_engine import quiet
from depth_anything_v2.engines.openvino_engine import import_openvino
from depth_anything_v2.errors import CheckpointError, InputError, MissingExtraError
from depth_anything_v2.export.report import PhotographDrift
from depth_anything_v2.io.images import read_image
from depth_anything_v2.jobs.inputs import expand_inputs
from depth_anything_v2.util.transform import network_size, preprocess

MAX_PHOTOGRAPHS = 300  # that are calibrated with, of more than that evenly chosen
MAX_MEASURED = 30  # of those, whose drift is measured
ALLOWED_MEDIAN = 0.1  # relative error on the calibration photographs
# OpenVINO 2026.4 computes nonsense where these convolutions, which have no bias and feed a sum, have 8-bit inputs.
_NOT_IN_OPENVINO = r".*scratch\.layer._rn.*"


@dataclass(frozen=True)
class Photographs:
    """Calibration photographs that can be read; skipped: sentences on the others."""

    sources: tuple[str, ...]
    skipped: tuple[str, ...]

    def measured(self) -> tuple[str, ...]:
        """Return those whose drift is measured."""
        return _evenly(self.sources, MAX_MEASURED)


def import_nncf() -> Any:
    """Return the module nncf, kept from reporting its use to its makers. Raises MissingExtraError."""
    import_openvino()  # keeps the package away through which both report
    try:
        with quiet():
            import nncf
    except ImportError as error:
        raise MissingExtraError("nncf", "quantize", "quantising a model to int8") from error
    return nncf


def find_photographs(arguments: Sequence[str]) -> Photographs:
    """Return the photographs that files, folders, patterns and lists name; each is read once to see that it can be.

    Raises NoInputError when they name none, InputError when none of them can be read.
    """
    found = expand_inputs(arguments)
    good: list[str] = []
    skipped = [item.problem for item in found if item.problem is not None]
    for item in _evenly([item for item in found if item.problem is None], MAX_PHOTOGRAPHS):
        try:
            read_image(item.source)
            good.append(item.source)
        except InputError as error:
            skipped.append(str(error))
    if not good:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise InputError(f"no calibration photograph can be read: {skipped[0]}{more}")
    return Photographs(tuple(good), tuple(skipped))


def quantize(
    model: Any, config: ModelConfig, photographs: Photographs, static: tuple[int, int] | None, *, openvino: bool
) -> Any:
    """Return an `openvino.Model` (openvino=True) or an `onnx.ModelProto` with 8-bit weights and activations.

    The transformer's own scheme for DINOv2, symmetric weights with asymmetric activations for the small model; the
    position embedding, which no photograph changes, stays as it is. Raises MissingExtraError.
    """
    nncf = import_nncf()
    data = nncf.Dataset(photographs.sources, lambda source: {"image": network_input(source, config, static)})
    how: dict[str, Any] = {"subset_size": len(photographs.sources)}
    if config.family == "dinov2":
        how["model_type"] = nncf.ModelType.TRANSFORMER
    else:
        how["preset"] = nncf.QuantizationPreset.MIXED
    if openvino:
        how["ignored_scope"] = nncf.IgnoredScope(patterns=[_NOT_IN_OPENVINO])
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        return nncf.quantize(model, data, **how)


def network_input(source: str, config: ModelConfig, static: tuple[int, int] | None) -> npt.NDArray[np.float32]:
    """Return a photograph as the (1, 3, H, W) network input that prediction would make of it, or one of `static`."""
    rgb = read_image(source)
    steps = config.preprocessing
    size = static or network_size(rgb.shape[0], rgb.shape[1], steps.input_size, steps.multiple_of)
    return preprocess(rgb, steps, size)[None]


def measure(
    reference: Engine,
    candidate: Engine,
    config: ModelConfig,
    photographs: Photographs,
    static: tuple[int, int] | None,
) -> tuple[PhotographDrift, ...]:
    """Return the drift on calibration photographs; raises CheckpointError where its median is over ALLOWED_MEDIAN."""
    found = []
    for source in photographs.measured():
        batch = network_input(source, config, static)
        error, order = accuracy.compare(reference(batch), candidate(batch))
        found.append(PhotographDrift(Path(source).name, batch.shape[2], batch.shape[3], error, order))
    middle = median(drift.relative_error for drift in found)
    if not middle <= ALLOWED_MEDIAN:
        raise CheckpointError(
            f"the quantised model was refused, and no file is left: on {len(found)} calibration photographs the median "
            f"of its relative error is {middle:.1%}, and {ALLOWED_MEDIAN:.0%} is allowed"
        )
    return tuple(found)


def _evenly(items: Sequence[Any], most: int) -> tuple[Any, ...]:
    if len(items) <= most:
        return tuple(items)
    return tuple(items[index * len(items) // most] for index in range(most))
