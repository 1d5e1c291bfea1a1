"""Small real videos, made by PyAV, whose frames can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from depth_anything_v2.prediction import DepthPrediction

FILM = Fraction(24000, 1001)
RED, BLUE = (200, 30, 30), (30, 30, 200)


def level(index: int) -> int:
    """Grey level of frame `index` of a clip."""
    return 40 + 5 * (index % 40)


def frame(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Grey, with a red quarter at the top left and a blue one at the top right."""
    rgb = np.full((height, width, 3), level(index), np.uint8)
    rgb[: height // 2, : width // 2] = RED
    rgb[: height // 2, width - width // 2 :] = BLUE
    return rgb


def make_clip(
    path: Path,
    *,
    count: int = 12,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    rate: Fraction = FILM,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    pixel_format: str = "yuv420p",
    rotation: tuple[int, bool] | None = None,
    tags: dict[str, int] | None = None,
    container_options: dict[str, str] | None = None,
    audio: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Write `count` frames at `rate`, or at `times` (units of time_base); rotation: (degrees, mirrored)."""
    time_base = time_base or 1 / rate
    times = range(count) if times is None else times
    tags = tags or {}
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if rotation is not None:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.set_display_rotation(rotation[0], hflip=rotation[1])
        sound = container.add_stream("aac", rate=16000) if audio else None
        for index, pts in enumerate(times):
            picture = av.VideoFrame.from_ndarray(frame(index, *size), format="rgb24").reformat(
                format=pixel_format,
                dst_colorspace=tags.get("colorspace", 5),
                dst_color_range=tags.get("color_range", 1),
            )
            picture.pts, picture.time_base = pts, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound is not None:
            _add_silence(container, sound)
    return path


def _add_silence(container: Any, sound: Any) -> None:
    for start in range(0, 8192, 1024):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts, silence.time_base = 16000, start, Fraction(1, 16000)
        container.mux(sound.encode(silence))
    container.mux(sound.encode(None))


def sound_only(path: Path) -> Path:
    """Write a file with audio and no picture."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=16000))
    return path


def decode(path: Path) -> list[Any]:
    """Return the frames of a file as PyAV decodes them by itself."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


class Brightness:
    """A stand-in for an estimator: depth is the brightness of each pixel, 0 to 255."""

    batch_size = 1

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> DepthPrediction:
        return DepthPrediction(rgb.astype(np.float32).mean(axis=2), "relative")

    def predict_arrays(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> list[DepthPrediction]:
        self.calls.append(len(pictures))
        return [self(picture) for picture in pictures]
