"""Which files hold depth, and which are pictures: several suffixes can be either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from depth_anything_v2.io.formats.stored import FORMAT_NAME, METADATA_KEY

Content = Literal["depth", "drawing", "picture"]

DEPTH_SUFFIXES: frozenset[str] = frozenset({".npz", ".npy", ".pfm", ".exr", ".png", ".tif", ".tiff"})

_NEVER_PICTURES = (".npz", ".npy", ".pfm")
_EXR_HEADER = 1 << 16
_TIFF_DESCRIPTION = 270


def recognise(path: str | Path) -> Content:
    """Return what a file holds: 'depth', a 'drawing' of depth (our 8-bit pictures of it), or a 'picture'.

    By suffix, and where that leaves a choice by what is written in the file: our own description, or one channel of
    16 bits and more, which cameras don't write and depth sensors do. What cannot be read is a 'picture': reading it
    as one says what is wrong.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _NEVER_PICTURES:
        return "depth"
    if suffix not in DEPTH_SUFFIXES or not path.is_file():
        return "picture"
    try:
        if suffix == ".exr":
            with path.open("rb") as file:
                return "depth" if METADATA_KEY.encode() in file.read(_EXR_HEADER) else "picture"
        return _of_raster(path)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError):
        return "picture"


def _of_raster(path: Path) -> Content:
    from PIL import Image

    with Image.open(path) as picture:
        text: Any = picture.info.get(METADATA_KEY)
        tags: Any = getattr(picture, "tag_v2", None)
        if tags is not None:
            text = tags.get(_TIFF_DESCRIPTION)
        one_deep_channel = picture.mode.startswith(("I", "F"))
    if isinstance(text, str) and FORMAT_NAME in text:
        encoding = json.loads(text).get("encoding", {})
        return "drawing" if encoding.get("type") == "uint8" else "depth"
    return "depth" if one_deep_channel else "picture"
