"""From a video to the video of its depth: frames, predictions, pictures, all as streams."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from depth_anything_v2.errors import InputError, OptionError, OutputError
from depth_anything_v2.io.colormaps import GAP_COLUMNS, apply_table, table, to_levels
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.video.frames import RGB, Frame
from depth_anything_v2.video.reader import VideoReader
from depth_anything_v2.video.writer import write_video

ValueRange = Literal["frame", "clip"] | tuple[float, float]
Estimator = Callable[[RGB], DepthPrediction]  # one that has `predict_arrays`, too, is given batches
OnFrame = Callable[[str, int, int | None], None]

CLIP_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class RenderOptions:
    """How the depth of a video is shown.

    value_range: what the two ends of the colours mean: 'frame' (smallest and largest value of each frame, as
    the original does), 'clip' (one range for the whole video, see `clip_range`) or (low, high) in the
    depth's own numbers. pred_only: the depth without the frame beside it. grayscale: grey instead of
    Spectral. batch_size: frames per pass through the network. crf: quality of the H.264, see `VideoWriter`.

    Raises OptionError for a range, a batch size or a quality that makes no sense.
    """

    value_range: ValueRange = "frame"
    pred_only: bool = False
    grayscale: bool = False
    batch_size: int = 1
    crf: int = 18

    def __post_init__(self) -> None:
        _check_range(self.value_range)
        if self.batch_size < 1:
            raise OptionError(f"the batch size must be at least 1, not {self.batch_size}")
        if not 0 <= self.crf <= 51:
            raise OptionError(f"the quality (crf) is a number from 0 to 51, not {self.crf}")


@dataclass(frozen=True)
class RenderResult:
    """What came of one video.

    frames: read, and as many written. value_range: (low, high) in use for all frames, None for 'frame'.
    problem: a sentence when the video was damaged or cut off and `output` holds what could be read. notes: what to
    know of how the frames were predicted, each once.
    """

    source: Path
    output: Path
    frames: int
    rate: Fraction
    value_range: tuple[float, float] | None
    problem: str | None = None
    notes: tuple[str, ...] = ()


def parse_range(text: str) -> ValueRange:
    """Return what 'frame', 'clip' or 'LOW,HIGH' means; raises OptionError for anything else."""
    if text in ("frame", "clip"):
        return "frame" if text == "frame" else "clip"
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"a range is 'frame', 'clip' or two numbers LOW,HIGH, not '{text}'") from error
    _check_range((low, high))
    return low, high


def _check_range(value_range: ValueRange) -> None:
    if isinstance(value_range, str):
        if value_range not in ("frame", "clip"):
            raise OptionError(f"a range is 'frame', 'clip' or two numbers, not '{value_range}'")
        return
    low, high = value_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(f"a range is two finite numbers, the smaller first, not {low:g},{high:g}")


def depth_frames(
    frames: Iterable[Frame], estimator: Estimator, *, batch_size: int = 1
) -> Iterator[tuple[Frame, DepthPrediction]]:
    """Yield each frame with its depth, in order; what is held is bounded.

    With an estimator that has `predict_many`, such as `DepthEstimator`, the network and the caller work at the same
    time, a few frames apart; with others `batch_size` frames are held.

    Raises InputError when the estimator answers another number of maps or another size than it was given.
    """
    stream: Any = getattr(estimator, "predict_many", None)
    if stream is not None:
        yield from _streamed(frames, stream, batch_size)
        return
    many: Any = getattr(estimator, "predict_arrays", None)
    iterator = iter(frames)
    while batch := list(itertools.islice(iterator, batch_size)):
        pictures = [frame.rgb for frame in batch]
        answers = list(many(pictures)) if many is not None else [estimator(picture) for picture in pictures]
        if [answer.depth.shape for answer in answers] != [picture.shape[:2] for picture in pictures]:
            raise InputError(f"the estimator answered {len(answers)} depth maps to {len(batch)} frames, or other sizes")
        yield from zip(batch, answers, strict=True)


def _streamed(frames: Iterable[Frame], stream: Any, batch_size: int) -> Iterator[tuple[Frame, DepthPrediction]]:
    waiting: collections.deque[Frame] = collections.deque()

    def pictures() -> Iterator[RGB]:
        for frame in frames:
            waiting.append(frame)
            yield frame.rgb

    with contextlib.closing(stream(pictures(), batch_size=batch_size)) as predictions:
        for prediction in predictions:
            frame = waiting.popleft()
            if prediction.depth.shape != frame.rgb.shape[:2]:
                raise InputError("the estimator answered a depth map of another size than its frame")
            yield frame, prediction
    if waiting:
        raise InputError(f"the estimator answered nothing to the last {len(waiting)} frames")


def clip_range(predictions: Iterable[DepthPrediction]) -> tuple[float, float]:
    """Return one range for a video: the lowest 1st and the highest 99th percentile of any of its frames.

    Percentiles are of the finite values of a frame, so that single pixels don't decide; two numbers are
    kept, no depth. A video without contrast gets a range of length one.
    """
    low, high = math.inf, -math.inf
    for prediction in predictions:
        finite = prediction.depth[np.isfinite(prediction.depth)]
        if finite.size:
            first, last = np.percentile(finite, CLIP_PERCENTILES)
            low, high = min(low, float(first)), max(high, float(last))
    if not low <= high:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)


def depth_picture(
    rgb: RGB, prediction: DepthPrediction, options: RenderOptions, value_range: tuple[float, float] | None = None
) -> RGB:
    """Return [frame | 50 white columns | depth] or the depth alone, (H, W', 3) uint8 RGB.

    Without a range the picture is the original's, as `io.colormaps.original_picture` gives it; with one, values are
    clipped to it and scaled in the same way. Near is warm for both kinds of depth; NaN has level 0.
    """
    levels = to_levels(prediction.depth, value_range)
    name = "grey" if options.grayscale else "spectral" if prediction.kind == "metric" else "spectral_r"
    shown = apply_table(levels, table(name))
    if options.pred_only:
        return shown
    gap = np.full((rgb.shape[0], GAP_COLUMNS, 3), 255, np.uint8)
    return np.concatenate([rgb, gap, shown], axis=1)


def render_video(
    source: str | Path,
    output: str | Path,
    estimator: Estimator,
    options: RenderOptions = RenderOptions(),
    *,
    on_frame: OnFrame | None = None,
) -> RenderResult:
    """Write the depth of a video as MP4, frame for frame with the same times, in constant memory.

    on_frame(stage, done, total) is called after each frame: stage 'range' (first pass of 'clip') or 'depth';
    total is what the file declares, or None. 'clip' reads the video and runs the network twice: nothing but
    the range is kept between the passes. An existing output is replaced, when the new one is complete.

    Raises InputError when the source can't be read, OutputError when the output can't be written or isn't
    complete; then no output is left or changed.
    """
    source, output = Path(source), Path(output)
    if output.exists() and source.exists() and output.samefile(source):
        raise OutputError(f"'{output}' is the video itself: choose another output folder")
    value_range = None if isinstance(options.value_range, str) else options.value_range
    if options.value_range == "clip":
        if source.exists() and not source.is_file():
            raise InputError(f"'{source}' can be read only once, and the range 'clip' needs two passes: give LOW,HIGH")
        value_range = clip_range(_first_pass(source, estimator, options, on_frame))
    with VideoReader(source, strict=False) as reader:
        info = reader.info
        notes: dict[str, None] = {}
        frames = write_video(
            output,
            _pictures(reader, estimator, options, value_range, on_frame, notes),
            rate=info.rate,
            crf=options.crf,
            pixel_aspect=info.pixel_aspect,
        )
        return RenderResult(source, output, frames, info.rate, value_range, reader.problem, tuple(notes))


def _first_pass(
    source: Path, estimator: Estimator, options: RenderOptions, on_frame: OnFrame | None
) -> Iterator[DepthPrediction]:
    with VideoReader(source, strict=False) as reader:
        pairs = depth_frames(reader, estimator, batch_size=options.batch_size)
        for done, (_, prediction) in enumerate(pairs, start=1):
            yield prediction
            if on_frame is not None:
                on_frame("range", done, reader.info.frame_count)


def _pictures(
    reader: VideoReader,
    estimator: Estimator,
    options: RenderOptions,
    value_range: tuple[float, float] | None,
    on_frame: OnFrame | None,
    notes: dict[str, None],
) -> Iterator[Frame]:
    shown = 0
    for frame, prediction in depth_frames(reader, estimator, batch_size=options.batch_size):
        notes |= dict.fromkeys(prediction.provenance.notes)
        yield dataclasses.replace(frame, rgb=depth_picture(frame.rgb, prediction, options, value_range))
        shown += 1
        if on_frame is not None:
            on_frame("depth", shown, reader.info.frame_count)
    if shown != reader.frames_read:
        raise OutputError(f"{reader.frames_read} frames of '{reader.path}' were read and {shown} were shown")
