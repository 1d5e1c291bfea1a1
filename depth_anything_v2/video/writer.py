"""Write a stream of RGB frames as H.264 that browsers play, with exact times, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from depth_anything_v2.errors import InputError, OutputError
from depth_anything_v2.io.atomic import atomic_path, output_error
from depth_anything_v2.video.frames import RGB, Frame, import_av

_FINEST_TIME_BASE = Fraction(1, 1_000_000)  # MP4 and x264 hold it as 32-bit numbers
_H264_MAX_SIDE = 16384  # of libx264
_BT709 = 1  # primaries, transfer and matrix alike (ITU-T H.273)
_LIMITED_RANGE = 1


class VideoWriter:
    """An MP4 file being written: a context manager; `write` takes the frames in order.

    H.264 (libx264), 8-bit yuv420p, BT.709 and tagged so, index before the data (it plays while it loads).
    rate: frames per second, or its average; it only guides the encoder and the length of the last frame: the
    times come from `write`. time_base: seconds per unit of pts, kept exactly if it is one microsecond or more.
    crf: quality, 0 (lossless) to 51; pixel_aspect: width over height of a pixel.

    yuv420p needs even sides: an odd picture gets one more column or row, a copy of its last one.

    The file appears under its name when the block ends without an error; otherwise nothing is left of it.
    Every frame given is in the file, or leaving the block raises OutputError.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: Fraction,
        time_base: Fraction,
        crf: int = 18,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        self._av = import_av()
        self.path = Path(path)
        self.frames_written = 0
        self._rate, self._crf, self._aspect = rate, crf, pixel_aspect
        self._time_base = max(time_base, _FINEST_TIME_BASE)
        self._units = time_base / self._time_base
        self._size: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._durations: dict[int, int] = {}
        self._packets = 0
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            options = {"movflags": "+faststart"}
            try:
                self._container = self._av.open(f"file:{temporary}", "w", format="mp4", options=options)
            except (self._av.error.FFmpegError, OSError) as error:
                raise self._failure(error) from error
            stack.callback(self._abandon)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, tb)
            return
        with self._stack:
            self._finish()

    def write(self, rgb: RGB, pts: int, duration: int | None = None) -> None:
        """Add one (H, W, 3) uint8 frame, shown from `pts` on, for `duration` where that is known.

        Raises InputError when its shape or type differs from the first frame's or pts doesn't grow, and
        OutputError when the disk doesn't take it.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise InputError(f"a video frame is an (H, W, 3) uint8 array, not {rgb.shape} {rgb.dtype}")
        size = (rgb.shape[1], rgb.shape[0])
        if self._size is None:
            self._configure(*size)
        elif size != self._size:
            raise InputError(f"all frames of a video have one size, {self._size}, not {size}")
        pts = round(pts * self._units)
        if self._last_pts is not None and pts <= self._last_pts:
            raise InputError(f"frame {self.frames_written + 1} of '{self.path}' is not later than the one before it")
        self._last_pts = pts
        if duration:
            self._durations[pts] = max(1, round(duration * self._units))
        padded = np.pad(rgb, ((0, size[1] % 2), (0, size[0] % 2), (0, 0)), mode="edge")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE)
        picture.pts, picture.time_base = pts, self._time_base
        self._encode(picture)
        self.frames_written += 1

    def _configure(self, width: int, height: int) -> None:
        if max(width, height) > _H264_MAX_SIDE:
            raise OutputError(
                f"'{self.path}' would be {width} x {height} pixels, and H.264 ends at {_H264_MAX_SIDE}: "
                "write the depth alone or use a smaller video"
            )
        self._size = (width, height)
        # veryfast looks ahead few frames, so 4K stays in memory, and leaves the cores to the network.
        options = {"crf": str(self._crf), "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._time_base
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED_RANGE
        if self._aspect != 1:
            context.sample_aspect_ratio = self._aspect

    def _encode(self, picture: Any) -> None:
        try:
            for packet in self._stream.encode(picture):
                # Encoders leave the duration out; MP4 needs it for the last frame.
                length = self._durations.pop(packet.pts, None)
                packet.duration = length or max(1, round(1 / (self._rate * self._time_base)))
                self._container.mux(packet)
                self._packets += 1
        except (self._av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _finish(self) -> None:
        if self._stream is None:
            raise OutputError(f"'{self.path}' was not written: there was no frame")
        self._encode(None)
        try:
            self._container.close()
        except (self._av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        if self._packets != self.frames_written:
            raise OutputError(
                f"'{self.path}' was not written: {self.frames_written} frames went in and {self._packets} came out"
            )

    def _abandon(self) -> None:
        """Close what an error left open; its file is removed next, so a second failure says nothing new."""
        try:
            self._container.close()
        except (self._av.error.FFmpegError, OSError, ValueError):
            self._container = None

    def _failure(self, error: Exception) -> OutputError:
        if isinstance(error, OSError):
            return output_error(self.path, error)
        return OutputError(f"cannot write '{self.path}': the video encoder says '{error}'")


def write_video(
    path: str | Path,
    frames: Iterable[Frame],
    *,
    rate: Fraction,
    crf: int = 18,
    pixel_aspect: Fraction = Fraction(1),
) -> int:
    """Write frames as they come, the first at time 0, and return how many; see `VideoWriter` for rules and errors.

    An exception of `frames` passes through, and leaves no file.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise OutputError(f"'{path}' was not written: there was no frame")
    origin = first.pts
    with VideoWriter(path, rate=rate, time_base=first.time_base, crf=crf, pixel_aspect=pixel_aspect) as writer:
        writer.write(first.rgb, 0, first.duration)
        del first
        for frame in iterator:
            writer.write(frame.rgb, frame.pts - origin, frame.duration)
    return writer.frames_written
