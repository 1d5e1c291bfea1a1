"""The original's `metric_depth/train.py`: the same options, and where the data are."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_anything_v2.cli import common
from depth_anything_v2.cli.original import ENCODERS
from depth_anything_v2.errors import OptionError

if TYPE_CHECKING:
    from depth_anything_v2.training.config import TrainConfig

_PRESETS = {"hypersim": "metric-indoor", "vkitti": "metric-outdoor"}


def train_main(arguments: Sequence[str] | None = None) -> int:
    """`python metric_depth/train.py`: return the exit status."""
    parser = argparse.ArgumentParser(description="Depth Anything V2 for Metric Depth Estimation")
    parser.add_argument("--encoder", default="vitl", choices=ENCODERS)
    parser.add_argument("--dataset", default="hypersim", choices=tuple(_PRESETS))
    parser.add_argument("--img-size", default=518, type=int)
    parser.add_argument("--min-depth", default=0.001, type=float, help="metres")
    parser.add_argument("--max-depth", default=20.0, type=float, help="metres: 20 for hypersim, 80 for vkitti")
    parser.add_argument("--epochs", default=40, type=int)
    parser.add_argument("--bs", default=2, type=int, help="pictures of a step, for each process")
    parser.add_argument("--lr", default=5e-6, type=float, help="of the encoder; ten times as much for the head")
    parser.add_argument("--pretrained-from", help="a checkpoint (file or name) whose encoder training starts from")
    parser.add_argument("--save-path", type=Path, required=True, help="folder of the run; one that is there goes on")
    parser.add_argument("--local-rank", default=0, type=int, help="set by old launchers")
    parser.add_argument("--port", default=None, type=int, help="where the processes meet")
    data = parser.add_argument_group("where the data are")
    data.add_argument("--data-root", type=Path, required=True, help="folder of Hypersim or Virtual KITTI 2")
    data.add_argument("--train-list", type=Path, help="lines 'picture depth', as the original's splits")
    data.add_argument("--val-root", type=Path, help="folder to judge on: Hypersim (default: the same), or KITTI")
    data.add_argument("--val-list", type=Path, help="lines 'picture depth' to judge on")
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="change another setting")
    parser.add_argument("--cpu", action="store_true", help="on the processor, even where there is a GPU")
    options = parser.parse_args(arguments)

    def action() -> int:
        from depth_anything_v2.cli.train import run_training

        if options.port is not None:
            os.environ.setdefault("MASTER_PORT", str(options.port))
        if options.local_rank:
            os.environ.setdefault("LOCAL_RANK", str(options.local_rank))
        return run_training(original_config(options), options.save_path, options.cpu)

    return common.run_safely(action, "metric_depth/train.py")


def original_config(options: argparse.Namespace) -> TrainConfig:
    """Return the original's recipe with these options. Raises OptionError."""
    from depth_anything_v2.training.schema import load_config

    preset = _PRESETS[options.dataset]
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    values: dict[str, Any] = {
        "model.encoder": options.encoder,
        "model.checkpoint": options.pretrained_from or "",
        "model.max_depth": options.max_depth,
        "data.min_depth": options.min_depth,
        "data.sizes": [[options.img_size, options.img_size]],
        "data.batch_size": options.bs * processes,
        "data.train.0.root": str(options.data_root),
        "loss.silog_pictures": options.bs,
        "optimiser.encoder_rate": options.lr,
        "optimiser.head_rate": 10 * options.lr,
        "schedule.epochs": options.epochs,
    }
    if options.train_list is not None:
        values |= {"data.train.0.file_list": str(options.train_list), "data.train.0.split": ""}
    val_root = options.val_root or (options.data_root if options.dataset == "hypersim" else None)
    if val_root is not None:
        values["data.val.0.root"] = str(val_root)
        if options.val_list is not None:
            values |= {"data.val.0.file_list": str(options.val_list), "data.val.0.split": ""}
    elif options.val_list is not None:
        raise OptionError("--val-list needs --val-root: the folder of KITTI")
    else:
        values["data.val"] = []
    changes = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    return load_config(preset, "metric", changes=[*changes, *options.set])
