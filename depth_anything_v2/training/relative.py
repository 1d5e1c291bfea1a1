"""Relative depth: inverse depth, free of scale and shift."""

from __future__ import annotations

import numpy as np
import torch

from depth_anything_v2.config import Kind
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.evaluation.benchmark import Benchmark
from depth_anything_v2.training.losses import enough, relative_loss
from depth_anything_v2.training.task import Target, Task


class RelativeTask(Task):
    """Scale-and-shift-invariant and gradient-matching losses in inverse depth, on any dataset."""

    name = "relative"

    def target(self, sample: Sample) -> Target:
        """Return inverse depth, 0 for what is known to be infinitely far."""
        if sample.kind == "relative":
            return sample.depth, sample.valid
        valid = sample.valid & (sample.depth >= self.config.data.min_depth)
        inverse = np.where(valid, 1 / np.where(valid, sample.depth, 1), 0).astype(np.float32)
        return inverse, valid if sample.sky is None else valid | sample.sky

    def from_teacher(self, answer: torch.Tensor, kind: Kind) -> tuple[torch.Tensor, torch.Tensor]:
        inverse = answer if kind == "relative" else 1 / answer.clamp_min(self.config.data.min_depth)
        return inverse, torch.isfinite(inverse)

    def losses(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor,
        drop: torch.Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, torch.Tensor]:
        loss = self.config.loss
        weights = {"ssi": loss.ssi, "gradient": loss.gradient, "ranking": loss.ranking, "anchor": loss.anchor}
        return relative_loss(prediction, target, valid, weights, generator, drop)

    def counted(self, valid: torch.Tensor) -> torch.Tensor:
        return enough(valid)

    def benchmark(self) -> Benchmark:
        metrics = ("delta1", "abs_rel", "order", "rmse", "silog")
        return Benchmark("validation", "held-out samples", limits="scene", metrics=metrics)
