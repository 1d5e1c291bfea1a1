"""Losses for relative depth, in inverse depth: what they compare is free of scale and shift.

All take prediction and target (N, H, W) and a bool mask of the same shape; pictures without enough valid
pixels contribute nothing.
"""

from __future__ import annotations

import torch
from torch.nn import functional

MINIMUM_PIXELS = 32


def normalise(x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return (x - median) / mean absolute deviation per picture, over its valid pixels.

    Source: Ranftl et al., 'Towards Robust Monocular Depth Estimation', section 5.
    """
    return normalise_and_tell(x, valid)[0]


def normalise_and_tell(x: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what `normalise` does, and the median and mean absolute deviation (N, 1) it divided out."""
    empty = ~valid.flatten(1).any(dim=1, keepdim=True)
    # A picture without valid pixels would put NaN into the gradient, masked or not.
    flat = torch.where(valid, x, torch.nan).flatten(1).masked_fill(empty, 0.0)
    median = flat.nanmedian(dim=1, keepdim=True).values
    deviation = (flat - median).abs().nanmean(dim=1, keepdim=True)
    scaled = (x.flatten(1).masked_fill(empty, 0.0) - median) / deviation.clamp_min(1e-6)
    return scaled.nan_to_num().reshape(x.shape), median, deviation


def scale_and_shift_invariant(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of two maps that were both brought through `normalise`."""
    error = (prediction - target).abs() * valid
    return error.sum() / valid.sum().clamp_min(1)


def anchor(median: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Hold median and mean absolute deviation of the predictions near 1 and 0.3.

    No other part says how large the numbers should be. Without this one they grow without end, the coarse
    path of the decoder drowns the fine one, and half precision overflows.
    """
    scale = (deviation.clamp_min(1e-6) / 0.3).log().abs()
    return (scale + (median - 1).abs()).mean()


def gradient_matching(
    prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, scales: int = 4
) -> torch.Tensor:
    """Mean absolute gradient of the difference of two normalised maps, summed over halved scales.

    Source: Li and Snavely, 'MegaDepth', section 4; here on maps brought through `normalise`.
    """
    total = prediction.new_zeros(())
    difference, mask = (prediction - target) * valid, valid
    for scale in range(scales):
        step = 2**scale
        d, m = difference[:, ::step, ::step], mask[:, ::step, ::step]
        across = ((d[:, :, 1:] - d[:, :, :-1]).abs() * (m[:, :, 1:] & m[:, :, :-1])).sum()
        down = ((d[:, 1:] - d[:, :-1]).abs() * (m[:, 1:] & m[:, :-1])).sum()
        total = total + (across + down) / m.sum().clamp_min(1)
    return total


def ranking(
    prediction: torch.Tensor, inverse_depth: torch.Tensor, valid: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Logistic loss on the order of 4096 random pixel pairs per picture, more than 10 % apart in depth.

    prediction: normalised; inverse_depth: the target as it is (>= 0, 0 = infinitely far).
    Source: Chen et al., 'Single-Image Depth Perception in the Wild', without its term for equal pairs.
    """
    pixels = prediction[0].numel()
    index = torch.randint(pixels, (2, 4096), generator=generator).to(prediction.device)
    p, t, v = (x.flatten(1) for x in (prediction, inverse_depth, valid))
    first, second = t[:, index[0]], t[:, index[1]]
    apart = torch.maximum(first, second) > 1.1 * torch.minimum(first, second) + 1e-6
    apart &= v[:, index[0]] & v[:, index[1]]
    sign = torch.where(first > second, 1.0, -1.0)
    loss = functional.softplus(-4.0 * sign * (p[:, index[0]] - p[:, index[1]]))
    return (loss * apart).sum() / apart.sum().clamp_min(1)


def relative_loss(
    prediction: torch.Tensor,
    inverse_depth: torch.Tensor,
    valid: torch.Tensor,
    generator: torch.Generator,
    gradient_weight: float = 2.0,
    ranking_weight: float = 0.1,
    anchor_weight: float = 0.1,
) -> dict[str, torch.Tensor]:
    """Return the parts and their weighted sum, 'loss'.

    prediction, inverse_depth: (N, H, W) float32, larger = nearer. The weights 1 : 2 of the first two parts
    are the paper's.
    """
    valid = valid & (valid.flatten(1).sum(1) >= MINIMUM_PIXELS)[:, None, None]
    p, median, deviation = normalise_and_tell(prediction, valid)
    t = normalise(inverse_depth, valid).clamp(-10, 10)
    parts = {
        "ssi": scale_and_shift_invariant(p, t, valid),
        "gradient": gradient_matching(p, t, valid),
        "ranking": ranking(p, inverse_depth, valid, generator),
        "anchor": anchor(median, deviation),
    }
    weights = {"ssi": 1.0, "gradient": gradient_weight, "ranking": ranking_weight, "anchor": anchor_weight}
    parts["loss"] = sum((weight * parts[name] for name, weight in weights.items()), prediction.new_zeros(()))
    return parts
