"""The options that say which camera took a picture, declared once for all commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help)


CameraOption = Annotated[
    str,
    _option("--camera", "FILE|auto", "Camera file (JSON, or a 3 x 3 matrix K as text, JSON or .npy); auto: by EXIF."),
]
FxOption = Annotated[float | None, _option("--fx", "PIXELS", "Focal length in pixels of the picture.")]
FyOption = Annotated[float | None, _option("--fy", "PIXELS", "The vertical one. [default: as --fx]")]
CxOption = Annotated[
    float | None, _option("--cx", "PIXELS", "Principal point; 0 is the middle of the first pixel. [default: centre]")
]
CyOption = Annotated[float | None, _option("--cy", "PIXELS", "The vertical one. [default: centre]")]
FocalMmOption = Annotated[
    float | None, _option("--focal-mm", "MM", "Focal length in millimetres, with --sensor-width-mm.")
]
SensorWidthOption = Annotated[
    float | None, _option("--sensor-width-mm", "MM", "Width of the sensor as the picture lies; 36 for '35 mm' lenses.")
]
FovOption = Annotated[float | None, _option("--fov", "DEGREES", "Horizontal field of view.")]
VerticalFovOption = Annotated[float | None, _option("--vertical-fov", "DEGREES", "Vertical field of view.")]
DiagonalFovOption = Annotated[float | None, _option("--diagonal-fov", "DEGREES", "Field of view corner to corner.")]


def describe_cameras(cameras: Sequence[Mapping[str, Any] | None]) -> str | None:
    """Return the summary line about the cameras of results, each as `Camera.describe` or None; None where all are.

    With what is to be known of them (`Camera.notes`) where one camera stands for all.
    """
    from depth_anything_v2.camera import Camera

    known = [Camera.from_dict(data) for data in cameras if data is not None]
    if not known:
        return None
    if len(known) == len(cameras) and len({str(camera) for camera in known}) == 1:
        notes = dict.fromkeys(note for camera in known for note in camera.notes)
        return "; ".join((f"camera: {known[0]}", *notes))
    counts = Counter(camera.source for camera in known)
    parts = [f"{count} by {source}" if source != "assumed" else f"{count} assumed" for source, count in counts.items()]
    parts += [f"{missing} not known"] if (missing := len(cameras) - len(known)) else []
    return f"cameras: {', '.join(parts)}"
