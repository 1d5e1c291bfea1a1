"""The original's `run.py` and `metric_depth/run.py`: the same options, defaults, pictures and file names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from depth_anything_v2.cli import common
from depth_anything_v2.errors import OptionError

if TYPE_CHECKING:
    from depth_anything_v2.camera import Camera
    from depth_anything_v2.jobs.options import EstimatorOptions
    from depth_anything_v2.jobs.outputs import Product
    from depth_anything_v2.jobs.report import ItemResult
    from depth_anything_v2.prediction import DepthPrediction

ENCODERS = ("vits", "vitb", "vitl", "vitg")
CHECKPOINTS = Path("checkpoints")
METRIC_NAMES = {20.0: "metric-indoor", 80.0: "metric-outdoor"}


class OriginalFiles:
    """What the original writes: <name>.png, and <name>_raw_depth_meter.npy (float32, metres) with save_numpy.

    Relative depth is shown in Spectral_r, metric depth in Spectral, so that near is warm in both.
    """

    def __init__(self, *, pred_only: bool, grayscale: bool, save_numpy: bool = False) -> None:
        self.pred_only, self.grayscale, self.save_numpy = pred_only, grayscale, save_numpy
        self.needs_picture = not pred_only

    def files(self, stem: str) -> dict[str, Any]:
        """Return the picture and, if asked for, the array."""
        return {f"{stem}.png": self.describe()} | ({f"{stem}_raw_depth_meter.npy": None} if self.save_numpy else {})

    def write(self, prediction: DepthPrediction, rgb: Any, base: Path) -> Camera | None:
        """Write the picture, pixel for pixel the original's for the same depth."""
        import numpy as np

        from depth_anything_v2.io import atomic_path, original_picture, to_uint8, write_image
        from depth_anything_v2.io.formats.stored import METADATA_KEY, metadata_json

        colormap: Literal["spectral", "spectral_r"] = "spectral" if prediction.kind == "metric" else "spectral_r"
        bgr = to_uint8(rgb)[:, :, ::-1]
        shown = original_picture(
            bgr, prediction.depth, pred_only=self.pred_only, grayscale=self.grayscale, colormap=colormap
        )
        encoding = {"type": "uint8", "note": "a picture for looking at", **self.describe()}
        text = {"Description": prediction.quantity, METADATA_KEY: metadata_json(prediction, encoding)}
        write_image(base.with_name(f"{base.name}.png"), np.ascontiguousarray(shown[:, :, ::-1]), text)
        if self.save_numpy:
            with (
                atomic_path(base.with_name(f"{base.name}_raw_depth_meter.npy")) as temporary,
                temporary.open("wb") as file,
            ):
                np.save(file, prediction.depth)
        return prediction.camera

    def describe(self) -> dict[str, Any]:
        """Return its options."""
        return {"pred_only": self.pred_only, "grayscale": self.grayscale}


def checkpoint_for(encoder: str | None) -> str:
    """Return the encoder that was named, else vitl, the original's default, if its file is there, else 'auto'."""
    return encoder or ("vitl" if (CHECKPOINTS / "depth_anything_v2_vitl.pth").is_file() else "auto")


def run_main(arguments: Sequence[str] | None = None) -> int:
    """`python run.py`: return the exit status (0 all done, 1 some pictures failed, 2 wrong usage)."""
    parser = _parser("Depth Anything V2")
    parser.add_argument("--encoder", choices=ENCODERS, help="default: vitl if its file is in checkpoints/, else auto")
    options = parser.parse_args(arguments)

    def action() -> int:
        from depth_anything_v2.jobs.options import EstimatorOptions

        files = OriginalFiles(pred_only=options.pred_only, grayscale=options.grayscale)
        loading = EstimatorOptions(
            checkpoint=checkpoint_for(options.encoder),
            input_size=options.input_size,
            **common.engine_options(options),
        )
        return run_original(options, loading, files)

    return common.run_safely(action, "run.py")


def metric_main(arguments: Sequence[str] | None = None) -> int:
    """`python metric_depth/run.py`: return the exit status, as `run_main`."""
    parser = _parser("Depth Anything V2 Metric Depth Estimation")
    parser.add_argument("--encoder", default="vitl", choices=ENCODERS)
    parser.add_argument("--load-from", help="default: checkpoints/depth_anything_v2_metric_hypersim_vitl.pth")
    parser.add_argument("--max-depth", type=float, default=20.0, help="metres: 20 indoors (default), 80 outdoors")
    parser.add_argument("--save-numpy", action="store_true", help="save the depth in metres as .npy, too")
    options = parser.parse_args(arguments)

    def action() -> int:
        files = OriginalFiles(pred_only=options.pred_only, grayscale=options.grayscale, save_numpy=options.save_numpy)
        return run_original(options, metric_checkpoint(options), files)

    return common.run_safely(action, "metric_depth/run.py")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--img-path", required=True, help="a picture, a folder or a .txt list of pictures")
    parser.add_argument("--input-size", type=int, default=None, help="default: the model's, 518")
    parser.add_argument("--outdir", type=Path, default=Path("vis_depth"))
    parser.add_argument("--pred-only", action="store_true", help="only the depth, not the picture beside it")
    parser.add_argument("--grayscale", action="store_true", help="grey instead of colours")
    common.add_engine_options(parser)
    return parser


def metric_checkpoint(options: argparse.Namespace) -> EstimatorOptions:
    """Return the file named, else the published checkpoint for the encoder and the maximum depth."""
    from depth_anything_v2.jobs.options import EstimatorOptions

    limit: float = options.max_depth
    name = options.load_from
    default = CHECKPOINTS / f"depth_anything_v2_metric_hypersim_{options.encoder}.pth"
    if name is None and limit in METRIC_NAMES:
        name = f"{METRIC_NAMES[limit]}-{options.encoder}"
    elif name is None:
        name = str(default)
        if not default.is_file():
            raise OptionError(
                f"no checkpoint is published for a maximum depth of {limit:g} m: give --load-from FILE, or "
                "--max-depth 20 (indoors) or 80 (outdoors)"
            )
    return EstimatorOptions(
        checkpoint=name,
        encoder=options.encoder,
        max_depth_m=limit,
        input_size=options.input_size,
        **common.engine_options(options),
    )


def run_original(options: argparse.Namespace, loading: EstimatorOptions, product: Product) -> int:
    """Run options.img_path into options.outdir, say the progress as the original does, and return the exit status."""
    from depth_anything_v2.jobs.options import JobOptions
    from depth_anything_v2.jobs.plan import plan_job
    from depth_anything_v2.jobs.runner import run_job

    plan = plan_job([options.img_path], options.outdir, product, JobOptions("overwrite", journal=False), flat=True)
    estimator = common.load_estimator(loading)

    def show(result: ItemResult, finished: int, total: int) -> None:
        common.say(f"Progress {finished}/{total}: {result.source}")
        if result.status == "failed" and not result.ended_job:
            common.say(f"failed: {result.message}", sys.stderr)
        for note in result.notes:
            common.say(f"note: {result.source}: {note}", sys.stderr)

    report = run_job(plan, estimator, on_result=show)
    if report.stopped:
        common.say(f"error: {report.stopped}", sys.stderr)
    if report.failures:
        rest = f", {waiting} not run" if (waiting := report.count("not run")) else ""
        common.say(f"{len(report.failures)} of {len(report.results)} pictures failed{rest}", sys.stderr)
    return common.OK if report.ok else common.FAILED
