"""What a student learns from beside labels: a teacher's answers, and the encoder it started with."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn import functional

from depth_anything_v2.config import Preprocessing
from depth_anything_v2.dpt import build_model
from depth_anything_v2.training.losses import feature_alignment
from depth_anything_v2.training.network import EncoderTokens, Parent, open_checkpoint


class Teacher:
    """A checkpoint that labels pictures as they are before the student's are disturbed."""

    def __init__(self, checkpoint: str, device: torch.device) -> None:
        """Raises CheckpointError."""
        loaded = open_checkpoint(checkpoint)
        self.config = loaded.config
        network: Any = build_model(loaded.config)
        network.load_state_dict(loaded.state)
        self._network = network.to(device).requires_grad_(False)
        self.parent = Parent(loaded.resolved.name, "teacher", loaded.licence, loaded.resolved.sha256)

    @torch.no_grad()
    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the teacher's answer (N, H, W) float32 to (N, 3, H, W) uint8 RGB pictures."""
        steps: Preprocessing = self.config.preprocessing
        height, width = pictures.shape[-2:]
        size = [max(1, round(side / steps.multiple_of)) * steps.multiple_of for side in (height, width)]
        unit = pictures.float() / 255
        if size != [height, width]:
            unit = functional.interpolate(unit, size, mode="bicubic", align_corners=False).clamp(0, 1)
        mean, std = (unit.new_tensor(values)[None, :, None, None] for values in (steps.mean, steps.std))
        answer = self._network((unit - mean) / std)
        full = functional.interpolate(answer[:, None].float(), (height, width), mode="bilinear", align_corners=True)
        return full[:, 0]


class FrozenEncoder:
    """The encoder as training started, whose features the student is kept near."""

    def __init__(self, network: Any, margin: float) -> None:
        frozen = copy.deepcopy(network).requires_grad_(False)
        self._encoder, self._frozen, self._student = frozen.pretrained, EncoderTokens(frozen), EncoderTokens(network)
        self._taps = network.config.taps
        self.margin = margin

    def loss(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return `feature_alignment` (N,) of the student's pass through these pictures, which came just before."""
        with torch.no_grad():
            if self._taps:
                self._encoder.get_intermediate_layers(pictures, [max(self._taps)])
            else:
                self._encoder(pictures)
        return feature_alignment(self._student.take(), self._frozen.take(), self.margin)
