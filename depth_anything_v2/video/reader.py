"""Read a video as a stream of upright RGB frames with exact times, in constant memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from depth_anything_v2.errors import InputError
from depth_anything_v2.video.frames import Frame, Orientation, import_av, to_rgb

_SUFFIXES = ("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "webm", "wmv")
VIDEO_SUFFIXES: frozenset[str] = frozenset(f".{name}" for name in _SUFFIXES)

# Cameras and containers count in these; a coarse time base (milliseconds in Matroska) can only round them.
_BASE_RATES = (24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
STANDARD_RATES: frozenset[Fraction] = frozenset(
    [Fraction(n) for n in _BASE_RATES] + [Fraction(n * 1000, 1001) for n in _BASE_RATES if n not in (25, 50, 100)]
)
_FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True)
class VideoInfo:
    """What a file says about its first video stream.

    width, height: in pixels, after the rotation of the metadata. rate: frames per second, exact; an
    average where the rate varies. time_base: seconds per unit of `Frame.pts`. frame_count and
    duration_s: as declared by the container, None where it doesn't; only reading tells the truth.
    turned: the metadata turned or mirrored the picture. pixel_aspect: width of a pixel over its
    height. has_audio: there is an audio stream beside the pictures.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frame_count: int | None
    duration_s: float | None
    codec: str
    turned: bool
    pixel_aspect: Fraction
    has_audio: bool


class VideoReader:
    """An open video: `info`, and its frames by iterating once; a context manager.

    The first video stream that is not a cover picture is read; every frame of it comes, those that the
    decoder holds back until the end included. Frames are turned upright as the metadata says. A frame
    whose size differs from the first one's is resized to it, so all have one size. Times strictly increase:
    a missing or repeated time is replaced by the next one that fits, and a clock that begins anew goes on.

    A file that is damaged or ends early gives the frames that can be decoded; then, with strict=True,
    iterating raises InputError; with strict=False it ends, and `problem` holds the sentence.
    `frames_read` counts the frames given so far.

    Raises InputError when the file is missing, is no video or holds no frame that can be decoded, and
    MissingExtraError without PyAV.
    """

    def __init__(self, path: str | Path, *, strict: bool = True) -> None:
        self._av = import_av()
        self.path = Path(path)
        self.problem: str | None = None
        self.frames_read = 0
        self._strict = strict
        self._undecodable = 0
        self._cut: str | None = None
        self._container = _open(self._av, self.path)
        try:
            self._stream = _video_stream(self._container, self.path)
            self._pictures = self._decode()
            self._first: Any = next(self._pictures, None)
            if self._first is None:
                raise InputError(f"'{self.path}' has a video stream, but none of its frames can be decoded")
            self._orientation = Orientation.of(self._first)
            self._size = (self._first.width, self._first.height)
            self.info, self._grid = self._describe()
        except BaseException:
            self.close()
            raise
        self._frames = self._timed()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def close(self) -> None:
        """Close the file; iterating afterwards is an error."""
        self._container.close()

    def _describe(self) -> tuple[VideoInfo, Fraction | None]:
        stream = self._stream
        ticks = Fraction(stream.time_base)
        rate = Fraction(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
        time_base, grid = exact_grid(ticks, rate)
        width, height = self._size
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if self._orientation.transpose:
            width, height, aspect = height, width, 1 / aspect if aspect else aspect
        if stream.duration:
            duration_s: float | None = float(stream.duration * ticks)
        else:
            duration_s = self._container.duration / self._av.time_base if self._container.duration else None
        info = VideoInfo(
            path=self.path,
            width=width,
            height=height,
            rate=rate,
            time_base=time_base,
            frame_count=stream.frames or None,
            duration_s=duration_s,
            codec=str(stream.codec_context.name),
            turned=self._orientation != Orientation(),
            pixel_aspect=aspect or Fraction(1),
            has_audio=bool(self._container.streams.audio),
        )
        return info, grid

    def _decode(self) -> Iterator[Any]:
        """Yield PyAV frames; note undecodable packets and an early end instead of raising."""
        failure = self._av.error.FFmpegError
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except failure as error:
                self._cut = str(error)
                break
            if packet is None:
                break
            if packet.size == 0:  # the end, or "frame dropped" in AVI: given to a decoder it would end the stream
                continue
            if packet.is_corrupt and self._stream.frames:
                self._cut = "the last packet is not complete"
            yield from self._decode_packet(packet)
        yield from self._decode_packet(None)

    def _decode_packet(self, packet: Any) -> list[Any]:
        try:
            return list(self._stream.decode(packet))
        except self._av.error.FFmpegError:
            # What precedes the first key frame of a broadcast can never be decoded and is no damage.
            self._undecodable += 1 if self.frames_read else 0
            return []

    def _timed(self) -> Iterator[Frame]:
        ticks = Fraction(self._stream.time_base)
        step = max(1, round(1 / (self.info.rate * ticks)))
        first: int | None = None
        last = previous = -1
        end = shift = 0
        picture, self._first = self._first, None
        while picture is not None:
            pts = picture.pts if picture.pts is not None else picture.dts
            pts = last + step if pts is None and first is not None else (pts or 0) + shift
            if first is not None and pts < last - 1 / ticks:  # the clock began anew: files that were joined
                shift += last + step - pts
                pts = last + step
            length = int(getattr(picture, "duration", 0) or 0)
            end = max(end, pts + (length or step))
            exact, exact_length = self._exact(pts, length, pts if first is None else first, ticks)
            if first is not None:
                exact = max(exact, previous + 1)
            first = pts if first is None else first
            last, previous = pts, exact
            self.frames_read += 1
            rgb = self._orientation.apply(to_rgb(picture, self._size))
            yield Frame(rgb, exact, self.info.time_base, exact_length)
            del rgb
            picture = next(self._pictures, None)
        self.problem = self._verdict(end, ticks)
        if self.problem and self._strict:
            raise InputError(self.problem)

    def _exact(self, pts: int, length: int, anchor: int, ticks: Fraction) -> tuple[int, int | None]:
        time_base = self.info.time_base
        begin, stop = (
            round((anchor * ticks + _snap((t - anchor) * ticks, ticks, self._grid)) / time_base)
            for t in (pts, pts + length)
        )
        return begin, stop - begin if length else None

    def _verdict(self, end: int, ticks: Fraction) -> str | None:
        declared = self._stream.frames
        short = _declared_end(self._container, self._stream)
        missing_s = 0.0 if short is None else float(short - end * ticks)
        frame_s = float(1 / self.info.rate)
        if declared:
            early = self.frames_read < declared and missing_s > 1.5 * frame_s
        else:  # durations without a count are rough
            early = missing_s > max(0.5, 2 * frame_s)
        if not (early or self._undecodable or self._cut):
            return None
        amount = f"{self.frames_read} of {declared}" if declared else f"{self.frames_read}"
        return f"'{self.path}' is damaged or cut off: {amount} frames could be read"


def read_frames(path: str | Path, *, strict: bool = True) -> Iterator[Frame]:
    """Yield the frames of a video and close it at the end; see `VideoReader` for the rules and errors."""
    with VideoReader(path, strict=strict) as reader:
        yield from reader


def exact_grid(ticks: Fraction, rate: Fraction) -> tuple[Fraction, Fraction | None]:
    """Return the time base that holds both the file's ticks and its frames, and the frame's length in seconds.

    A container that counts milliseconds stores 24000/1001 frames per second as 0, 42, 83, 125 ms. Where the
    rate is a standard one that the ticks can't express, times within one tick of a whole number of frames after
    the first are moved onto it, and the rate stays exact. Otherwise the ticks remain, and there is no length.
    """
    length = 1 / rate
    if rate not in STANDARD_RATES or (length / ticks).denominator == 1 or length < 4 * ticks:
        return ticks, None
    return Fraction(1, math.lcm(ticks.denominator, length.denominator)), length


def _snap(time_s: Fraction, ticks: Fraction, grid: Fraction | None) -> Fraction:
    if grid is None:
        return time_s
    nearest = round(time_s / grid) * grid
    return nearest if abs(nearest - time_s) <= ticks else time_s


def _open(av: Any, path: Path) -> Any:
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, not a video")
    if not path.exists():
        raise InputError(f"there is no video '{path}'")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"'{path}' is empty (0 bytes)")
    try:
        # Only local bytes: a play list named .mp4 must not make the demuxer open addresses.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except PermissionError as error:
        raise InputError(f"no permission to read '{path}'") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"'{path}' can't be read as a video: it is another kind of file, damaged, or was never finished"
        ) from error


def _video_stream(container: Any, path: Path) -> Any:
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        kinds = sorted({str(s.type) for s in container.streams})
        raise InputError(f"'{path}' has no video stream (only {', '.join(kinds) or 'nothing'})")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(f"the video in '{path}' is coded in a way that the installed PyAV can't decode")
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in str(getattr(stream, "disposition", "")).lower()


def _declared_end(container: Any, stream: Any) -> Fraction | None:
    """Time in seconds at which the stream should end, None where nothing says so."""
    ticks = Fraction(stream.time_base)
    begin = (stream.start_time or 0) * ticks
    if stream.duration:
        return Fraction(begin + stream.duration * ticks)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    if tag:  # Matroska, as FFmpeg and mkvmerge write it
        hours, minutes, seconds = (Fraction(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds
    if container.duration and len(container.streams) == 1:
        return Fraction(begin + Fraction(container.duration, 1_000_000))
    return None
