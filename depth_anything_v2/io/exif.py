"""What a photograph says about the camera that took it: EXIF tags, turned as the picture is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.exif_camera import exif_camera
from depth_anything_v2.io import decode, images

if TYPE_CHECKING:
    from depth_anything_v2.io.decode import RgbArray

_EXIF_IFD = 0x8769
_TURNED = (("ExifImageWidth", "ExifImageHeight"), ("FocalPlaneXResolution", "FocalPlaneYResolution"))


def read_exif(source: images.ImageSource) -> dict[str, Any]:
    """Return the EXIF tags of a picture by name, {} where it has none or they are damaged; nothing is decoded.

    source: as for `read_image`; an array has none, and an address is not fetched for this. Rationals become
    floats, bytes are left out. The orientation is applied, as `read_image` applies it to the pixels: what is
    said of width and height changes places in a turned picture, and Orientation becomes 1.

    Raises InputError when a path cannot be read.
    """
    if isinstance(source, np.ndarray) or (isinstance(source, str) and images.is_url(source)):
        return {}
    file = images.encoded(source)
    return _tags(source) if file is None else _of_bytes(file[0])


def read_picture(
    source: images.ImageSource, *, max_pixels: int = images.MAX_PIXELS, timeout_s: float = 20.0
) -> tuple[RgbArray, Camera | None, tuple[str, ...]]:
    """Return the pixels as `read_image` does, the camera that EXIF tells, and where that is None, why; read only once.

    The last are notes on EXIF that was not believed, () where it says nothing of the camera.

    Raises what `read_image` raises.
    """
    file = images.encoded(source, timeout_s)
    if file is None:
        rgb, exif = images.read_image(source, max_pixels=max_pixels), read_exif(source)
    else:
        rgb, exif = decode.decode(*file, max_pixels), _of_bytes(file[0])
    camera, notes = exif_camera(exif, rgb.shape[1], rgb.shape[0])
    return rgb, camera, () if camera is not None else notes


def _of_bytes(data: bytes) -> dict[str, Any]:
    kind = decode.sniff(data[: decode.HEADER_BYTES])
    # Pillow decodes a whole PNG to look for a chunk behind its pixels.
    absent = kind == "png" and b"eXIf" not in data and b"Raw profile type" not in data
    if kind in (None, "exr", "heif") or absent:
        return {}
    try:
        with decode.open_picture(data, str(kind), "the picture") as picture:
            return _tags(picture)
    except (*decode.DECODE_ERRORS, Warning):
        return {}


def _tags(picture: Any) -> dict[str, Any]:
    from PIL.ExifTags import TAGS

    try:
        exif = picture.getexif()
        found = {**exif, **exif.get_ifd(_EXIF_IFD)}
    except (*decode.DECODE_ERRORS, Warning):
        return {}
    tags = {TAGS[key]: _plain(value) for key, value in found.items() if key in TAGS}
    tags = {name: value for name, value in tags.items() if value is not None}
    if tags.get("Orientation") in (5, 6, 7, 8):
        for across, down in _TURNED:
            turned = {across: tags.get(down), down: tags.get(across)}
            tags |= {name: value for name, value in turned.items() if value is not None}
            for name in turned:
                if turned[name] is None:
                    tags.pop(name, None)
    return tags | ({"Orientation": 1} if "Orientation" in tags else {})


def _plain(value: Any) -> Any:
    """Return a number, a text or a list of them; None for bytes and others."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
