"""Depth from one ordinary picture: Depth Anything V2.

    from depth_anything_v2 import DepthEstimator
    prediction = DepthEstimator.from_pretrained("vits")("photo.jpg")
    prediction.depth, prediction.kind, prediction.save("photo.npz")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    from depth_anything_v2.alignment import align
    from depth_anything_v2.camera import Camera
    from depth_anything_v2.checkpoints import CheckpointSpec, list_checkpoints
    from depth_anything_v2.errors import (
        AlignmentError,
        CheckpointDigestError,
        CheckpointDownloadError,
        CheckpointError,
        CheckpointFormatError,
        CheckpointNotFoundError,
        CheckpointUnsafeError,
        DepthAnythingError,
        DepthKindError,
        ImageTooLargeError,
        InputError,
        MissingExtraError,
        NoInputError,
        OptionError,
        OutOfMemoryError,
        OutputError,
        OutputExistsError,
    )
    from depth_anything_v2.estimator import DepthEstimator
    from depth_anything_v2.point_cloud import PointCloud
    from depth_anything_v2.prediction import DepthPrediction, Provenance

_HOMES = {
    "Camera": "camera",
    "CheckpointSpec": "checkpoints",
    "DepthEstimator": "estimator",
    "DepthPrediction": "prediction",
    "PointCloud": "point_cloud",
    "Provenance": "prediction",
    "align": "alignment",
    "list_checkpoints": "checkpoints",
}

__all__ = [
    "AlignmentError",
    "Camera",
    "CheckpointDigestError",
    "CheckpointDownloadError",
    "CheckpointError",
    "CheckpointFormatError",
    "CheckpointNotFoundError",
    "CheckpointSpec",
    "CheckpointUnsafeError",
    "DepthAnythingError",
    "DepthEstimator",
    "DepthKindError",
    "DepthPrediction",
    "ImageTooLargeError",
    "InputError",
    "MissingExtraError",
    "NoInputError",
    "OptionError",
    "OutOfMemoryError",
    "OutputError",
    "OutputExistsError",
    "PointCloud",
    "Provenance",
    "__version__",
    "align",
    "list_checkpoints",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
