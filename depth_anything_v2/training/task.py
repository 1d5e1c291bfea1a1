"""What relative and metric training differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from depth_anything_v2.config import Kind
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.evaluation.benchmark import Benchmark
from depth_anything_v2.training.config import TrainConfig

Target = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]


class Task(ABC):
    """Targets, loss and judgement of one kind of depth. Picklable, for the processes that read.

    A unit is what has one loss: `unit_pictures` pictures that follow each other in a batch.
    """

    name: ClassVar[Kind]
    unit_pictures = 1

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    @abstractmethod
    def target(self, sample: Sample) -> Target:
        """Return what the network should say (H, W), and where that is known.

        Raises DepthKindError for a sample of the other kind.
        """

    @abstractmethod
    def from_teacher(self, answer: torch.Tensor, kind: Kind) -> tuple[torch.Tensor, torch.Tensor]:
        """Return target and mask (N, H, W) from a teacher's answer. Raises DepthKindError."""

    @abstractmethod
    def losses(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor,
        drop: torch.Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, torch.Tensor]:
        """Return the parts of the loss of each unit, and 'loss', their weighted sum.

        prediction, target, valid: (N, H, W). drop: (N,), the share of each picture to leave out. A part is 0 with a
        zero gradient where a unit does not count.
        """

    @abstractmethod
    def counted(self, valid: torch.Tensor) -> torch.Tensor:
        """Return which units have enough valid pixels, bool, for a mask (N, H, W)."""

    @abstractmethod
    def benchmark(self) -> Benchmark:
        """Return the protocol that judges on held-out samples."""

    def describe(self) -> dict[str, Any]:
        """Return in words how it was judged, for the checkpoint."""
        return self.benchmark().describe()
