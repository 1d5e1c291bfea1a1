"""The original's `run_video.py`: the same options and file names, and a choice of range and checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from depth_anything_v2.cli import common
from depth_anything_v2.cli.original import ENCODERS, checkpoint_for
from depth_anything_v2.errors import DepthAnythingError, InputError, OptionError
from depth_anything_v2.io.atomic import make_folder

if TYPE_CHECKING:
    from depth_anything_v2.estimator import DepthEstimator
    from depth_anything_v2.jobs.inputs import Input
    from depth_anything_v2.jobs.options import EstimatorOptions
    from depth_anything_v2.video.render import RenderOptions

PROGRAM = "run_video.py"
LINE_EVERY_S = 10.0  # where progress goes to a file; a terminal sees every half second
TERMINAL_LINE_EVERY_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """`python run_video.py`: return the exit status (0 all done, 1 some videos failed, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    return common.run_safely(lambda: _run(options), PROGRAM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Depth Anything V2 on video")
    parser.add_argument("--video-path", required=True, help="a video, a folder or a .txt list of videos")
    parser.add_argument("--input-size", type=int, default=None, help="default: the model's, 518")
    parser.add_argument("--outdir", type=Path, default=Path("vis_video_depth"))
    parser.add_argument("--encoder", choices=ENCODERS, help="default: vitl if its file is in checkpoints/, else auto")
    parser.add_argument("--pred-only", action="store_true", help="only the depth, not the frame beside it")
    parser.add_argument("--grayscale", action="store_true", help="grey instead of colours")
    parser.add_argument(
        "--range",
        default="frame",
        metavar="frame|clip|LOW,HIGH",
        help="what the colours span: each frame's own values (default), the whole video's (two passes), or these "
        "numbers (--range=-1,2 where the first is negative)",
    )
    parser.add_argument("--checkpoint", help="registry name, file, folder or Hub repository, instead of --encoder")
    parser.add_argument("--relative", action="store_true", help="the checkpoint answers inverse depth")
    parser.add_argument("--max-depth", type=float, help="the checkpoint answers in metres, up to this many")
    common.add_engine_options(parser)
    return parser


def _run(options: argparse.Namespace) -> int:
    from depth_anything_v2.jobs.inputs import LookedFor, expand_inputs
    from depth_anything_v2.jobs.naming import output_stems, overwritten_input
    from depth_anything_v2.video.frames import import_av
    from depth_anything_v2.video.reader import VIDEO_SUFFIXES
    from depth_anything_v2.video.render import RenderOptions, parse_range

    shown = RenderOptions(parse_range(options.range), options.pred_only, options.grayscale)
    import_av()
    videos = LookedFor(VIDEO_SUFFIXES, "a video", "videos", addresses=False)
    inputs = expand_inputs([options.video_path], output_folder=options.outdir, looked_for=videos)
    outputs = [options.outdir / f"{stem}.mp4" for stem in output_stems(inputs, lambda stem: [f"{stem}.mp4"], flat=True)]
    if taken := overwritten_input(outputs, inputs):
        raise OptionError(f"'{taken}' would be overwritten, and it is one of the videos: choose another --outdir")
    estimator = common.load_estimator(_loading(options))
    make_folder(options.outdir)
    shown = dataclasses.replace(shown, batch_size=estimator.batch_size)
    failures = 0
    for number, (item, output) in enumerate(zip(inputs, outputs, strict=True), start=1):
        common.say(f"Progress {number}/{len(inputs)}: {item.source}")
        failures += not _one(item, output, estimator, shown)
    if failures:
        common.say(f"{failures} of {len(inputs)} videos failed", sys.stderr)
    return common.FAILED if failures else common.OK


def _loading(options: argparse.Namespace) -> EstimatorOptions:
    from depth_anything_v2.jobs.options import EstimatorOptions

    return EstimatorOptions(
        checkpoint=options.checkpoint or checkpoint_for(options.encoder),
        encoder=options.encoder,
        max_depth_m=options.max_depth,
        relative=options.relative,
        input_size=options.input_size,
        **common.engine_options(options),
    )


def _one(item: Input, output: Path, estimator: DepthEstimator, options: RenderOptions) -> bool:
    """Render one video, say how it went, and return whether all of it went well."""
    from depth_anything_v2.video.render import render_video

    began = time.monotonic()
    try:
        if item.problem:
            raise InputError(item.problem)
        make_folder(output.parent)  # deeper than outdir where equal names need their folders
        with FrameProgress() as progress:
            result = render_video(item.source, output, estimator, options, on_frame=progress.on_frame)
    except DepthAnythingError as error:
        common.say(f"failed: {error}", sys.stderr)
        return False
    spread = f", range {result.value_range[0]:.6g},{result.value_range[1]:.6g}" if result.value_range else ""
    common.say(f"{output}: {result.frames} frames at {result.rate} fps{spread} ({time.monotonic() - began:.1f} s)")
    for note in result.notes:
        common.say(f"note: {item.source}: {note}", sys.stderr)
    if result.problem:
        common.say(f"failed: {result.problem}; '{output}' holds these", sys.stderr)
    return result.problem is None


class FrameProgress:
    """Frames done, of how many, and the time left: one line that is renewed on a terminal, else now and then one."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage, self._began, self._shown = "", 0.0, 0.0

    def __enter__(self) -> FrameProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def on_frame(self, stage: str, done: int, total: int | None) -> None:
        """Show the state, if the last time is long enough ago; for `render_video`."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._shown = stage, now, now
        if now - self._shown < (TERMINAL_LINE_EVERY_S if self._terminal else LINE_EVERY_S):
            return
        self._shown = now
        text = f"  {stage}: frame {done}" + (f" of {total}" if total else "")
        if total and done > 1:
            left = round((now - self._began) / (done - 1) * max(0, total - done))
            text += f", {left // 60}:{left % 60:02d} left"
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            common.say(text, sys.stderr)
