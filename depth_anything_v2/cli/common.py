"""What commands share: their options, declared once, and how errors and signals become exit statuses."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from depth_anything_v2.engines.choose import ENGINES, PRECISIONS
from depth_anything_v2.errors import (
    CheckpointNotFoundError,
    DepthAnythingError,
    NoInputError,
    OptionError,
    OutputExistsError,
)

if TYPE_CHECKING:
    import argparse

    from depth_anything_v2.estimator import DepthEstimator
    from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions

BUILTIN = "builtin"  # the name of the checkpoint that comes with the package
OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

CheckpointOption = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="NAME",
        help="Registry name (see 'depth-anything checkpoints list'), file, folder or Hub repository.",
    ),
]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", metavar="NAME", help="The encoder the checkpoint must hold: vits, vitb, ...")
]
MaxDepthOption = Annotated[
    float | None,
    typer.Option("--max-depth", metavar="METRES", help="The checkpoint is metric and answers up to this depth."),
]
RelativeOption = Annotated[
    bool, typer.Option("--relative", help="The checkpoint is relative: it answers inverse depth.")
]
V1Option = Annotated[bool, typer.Option("--v1", help="The checkpoint is of Depth Anything V1.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never touch the network for weights.")]
InputSizeOption = Annotated[
    int | None,
    typer.Option(
        "--input-size", metavar="PIXELS", help="Shorter side of what the network sees. [default: the model's]"
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="auto (torch on a GPU, OpenVINO on a processor), torch, torch-compile, openvino or onnx.",
    ),
]
ExactOption = Annotated[bool, typer.Option("--exact", help="Float32 through torch: the reference, and slower.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", metavar="NAME", help="auto (the fastest within 1 % of float32), float32, bfloat16 or float16."
    ),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size", metavar="N", help="Pictures per pass. [default: 1 on a CPU, on a GPU up to 8 as memory allows]"
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        help="Shrink what the network sees of a picture that would have more, of 14 x 14 pixels each. "
        "[default: 32768; 8192 with onnx]",
    ),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option("--max-pixels", metavar="N", help="Refuse to decode larger pictures. [default: 300000000]"),
]
TileOption = Annotated[
    bool,
    typer.Option("--tile", help="Do large pictures in overlapping tiles as well, for finer edges (many passes)."),
]
TileSizeOption = Annotated[
    int | None,
    typer.Option("--tile-size", metavar="PIXELS", help="Side of a tile; includes --tile. [default: chosen]"),
]
ColormapOption = Annotated[
    str,
    typer.Option(
        "--colormap", metavar="NAME", help="spectral, inferno, magma, plasma, viridis, turbo or grey: of the picture."
    ),
]
MaskOption = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="PATH",
        help="A picture whose white pixels do not count (sky), or a folder of them, named as the outputs.",
    ),
]
FocalCorrectionOption = Annotated[
    bool,
    typer.Option("--focal-correction", help="Scale metric depth by this camera's focal length: see docs/cameras.md."),
]
DepthScaleOption = Annotated[
    float | None,
    typer.Option("--depth-scale", metavar="METRES", help="Of one count in depth files of other programs."),
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Skip what is done: same source, checkpoint and options.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first input that fails.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.json", help="Write what became of each input as JSON.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors and which weights stand in for others.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Also say what the model runs on.")]


class _Terminated(KeyboardInterrupt):
    """SIGTERM: ends like Ctrl-C, with another exit status."""


def run_safely(action: Callable[[], int | None], program: str = "depth-anything") -> int:
    """Run a command and return its exit status; the errors of this package become one line on stderr.

    2 for wrong usage (OptionError, no input, outputs that exist, an unknown checkpoint), 1 for other errors of the
    package, 130 after Ctrl-C, 143 after SIGTERM. Other exceptions are defects and pass through.
    """
    try:
        with _sigterm_as_interrupt(), warnings.catch_warnings():
            # What Pillow thinks of damaged metadata; a picture that cannot be read is said in a sentence.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return action() or OK
    except DepthAnythingError as error:
        say(f"{program}: error: {error}", sys.stderr)
        usage = isinstance(error, (OptionError, NoInputError, OutputExistsError, CheckpointNotFoundError))
        return USAGE if usage else FAILED
    except KeyboardInterrupt as interrupt:
        terminated = was_terminated(interrupt)
        how = "terminated" if terminated else "interrupted"
        say(f"{program}: {how}: {interrupt}" if str(interrupt) else f"{program}: {how}", sys.stderr)
        return TERMINATED if terminated else INTERRUPTED
    except BrokenPipeError:
        silence(sys.stdout)
        return FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK if end.code is None else FAILED


def was_terminated(interrupt: BaseException) -> bool:
    """Say whether an interrupt is, or was raised from, SIGTERM."""
    cause: BaseException | None = interrupt
    while cause is not None:
        if isinstance(cause, _Terminated):
            return True
        cause = cause.__cause__
    return False


def job_options(*, resume: bool, overwrite: bool, strict: bool) -> JobOptions:
    """Return what --resume, --overwrite and --strict ask for. Raises OptionError for two that contradict."""
    from depth_anything_v2.jobs.options import JobOptions

    if resume and overwrite:
        raise OptionError("--resume keeps what is done and --overwrite does not: give one of them")
    return JobOptions("resume" if resume else "overwrite" if overwrite else "refuse", strict)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine, --device, --precision and --exact to a command that keeps the original's way of parsing."""
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="default: torch on a GPU, else OpenVINO")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="default: the fastest within 1 %% of float32"
    )
    parser.add_argument("--exact", action="store_true", help="float32 through torch: the reference, and slower")


def engine_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_engine_options` parsed, as fields of EstimatorOptions."""
    return {name: getattr(options, name) for name in ("engine", "device", "precision", "exact")}


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def say(message: str, stream: TextIO | None = None) -> None:
    """Print one line to `stream` (stdout); a reader that went away is no reason to stop."""
    stream = stream or sys.stdout
    _print(printable(message, stream), stream)


def say_text(text: str, stream: TextIO | None = None) -> None:
    """Print text of several lines, as `say` prints one."""
    stream = stream or sys.stdout
    _print(_encodable(text, stream), stream)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        silence(stream)


# Line ends, terminal commands and marks that turn the direction of writing: file names may hold them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(message: str, stream: TextIO) -> str:
    """Return the text as one line, with control characters and what `stream` cannot show as escapes."""
    shown = _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), message)
    return _encodable(shown, stream)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def silence(stream: TextIO) -> None:
    """Point a stream whose reader is gone at nothing, so that flushing it at exit does not fail, either."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def load_estimator(options: EstimatorOptions, *, quiet: bool = False) -> DepthEstimator:
    """Return the estimator, its notes said on stderr, one line each.

    quiet: only where 'auto' fell back to the built-in checkpoint, which changes what the numbers are.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same sentences are in the notes
        estimator = options.load(
            progress=not quiet and sys.stderr.isatty(),
            on_wait=None if quiet else lambda sentence: say(f"note: {sentence} ...", sys.stderr),
        )
    if not quiet or (options.checkpoint == "auto" and estimator.name == BUILTIN):
        for note in estimator.notes:
            say(f"note: {note}", sys.stderr)
    return estimator


def describe_model(checkpoint: dict[str, Any]) -> str:
    """Return name, kind, unit and licence of a checkpoint, as in `JobReport.checkpoint`, in a few words."""
    stand_in = " (the small built-in stand-in, not Depth Anything V2 Small)" if checkpoint["name"] == BUILTIN else ""
    if checkpoint["kind"] == "metric":
        reach = f", up to {checkpoint['max_depth_m']:g} m" if checkpoint["max_depth_m"] else ""
        what = f"metric depth in metres{reach}"
    else:
        what = "relative inverse depth, larger = nearer, no unit"
    return f"{checkpoint['name']}{stand_in}: {what}; licence {checkpoint['licence'] or 'not known'}"
