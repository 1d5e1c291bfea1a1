"""Metric depth: metres, by the recipe of the original."""

from __future__ import annotations

import torch

from depth_anything_v2.config import Kind
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.errors import DepthKindError
from depth_anything_v2.evaluation.benchmark import Benchmark
from depth_anything_v2.training.config import TrainConfig
from depth_anything_v2.training.losses import enough, silog, without_largest
from depth_anything_v2.training.task import Target, Task


class MetricTask(Task):
    """SiLog on the pixels between the smallest and the largest depth."""

    name = "metric"

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.unit_pictures = config.loss.silog_pictures
        self.limits = config.data.min_depth, float(config.model.max_depth or 0)

    def target(self, sample: Sample) -> Target:
        if sample.kind != "metric":
            raise DepthKindError(
                f"'{sample.name}' holds relative depth, and metric training needs metres: leave it out"
            )
        low, high = self.limits
        return sample.depth, sample.valid & (sample.depth >= low) & (sample.depth <= high)

    def from_teacher(self, answer: torch.Tensor, kind: Kind) -> tuple[torch.Tensor, torch.Tensor]:
        if kind != "metric":
            raise DepthKindError("the teacher answers in relative depth, and metric training needs a metric teacher")
        low, high = self.limits
        return answer, (answer >= low) & (answer <= high)

    def losses(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor,
        drop: torch.Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, torch.Tensor]:
        del generator  # nothing is drawn
        counted = self.counted(valid).repeat_interleave(self.unit_pictures)
        valid = valid & counted[:, None, None]
        if drop is not None:
            error = (prediction.detach().clamp_min(1e-6) / target.clamp_min(1e-6)).log().abs()
            valid = without_largest(error, valid, drop)
        focus = self.config.loss.silog_lambda
        value = silog(prediction, target, valid, variance_focus=focus, pictures=self.unit_pictures)
        return {"silog": value, "loss": value}

    def counted(self, valid: torch.Tensor) -> torch.Tensor:
        return enough(valid.reshape(-1, self.unit_pictures, *valid.shape[1:]))

    def benchmark(self) -> Benchmark:
        low, high = self.limits
        metrics = ("delta1", "delta2", "delta3", "abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog")
        return Benchmark("validation", "held-out samples", min_depth_m=low, max_depth_m=high, metrics=metrics)
