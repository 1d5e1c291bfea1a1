"""Losses for relative and metric depth, one number for each picture.

All take prediction and target (N, H, W) and a bool mask of the same shape and return (N,), finite and with a zero
gradient for pictures whose valid pixels are too few. The mean over pictures is the caller's, so that a loss is the same
however a batch is shared out.
"""

from __future__ import annotations

import torch
from torch.nn import functional

MINIMUM_PIXELS = 32
_SMALLEST_M = 1e-6  # a sigmoid may round to zero, which has no logarithm


def mean_where(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the pixels of each picture where the mask is true, 0 where it is nowhere."""
    return torch.where(mask, values, 0.0).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)


def enough(valid: torch.Tensor) -> torch.Tensor:
    """Return (N,) bool: which pictures have enough valid pixels to say something."""
    return valid.flatten(1).sum(1) >= MINIMUM_PIXELS


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
    return torch.where(valid, scaled.reshape(x.shape), 0.0), median, deviation


def without_largest(error: torch.Tensor, valid: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return the mask without the pixels of the largest error: the share (N,), 0 to 1, of the valid ones of each."""
    flat = torch.where(valid, error.detach(), torch.inf).flatten(1)
    kept = (valid.flatten(1).sum(1) * (1 - share)).ceil().long()
    rank = flat.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return valid & (rank < kept[:, None]).reshape(valid.shape)


def scale_and_shift_invariant(prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of two maps that were both brought through `normalise`."""
    return mean_where((prediction - target).abs(), valid)


def anchor(median: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Hold median and mean absolute deviation (N, 1) of the predictions near 1 and 0.3.

    No other part says how large the numbers should be. Without this one they grow without end, the coarse
    path of the decoder drowns the fine one, and half precision overflows.
    """
    scale = (deviation.clamp_min(1e-6) / 0.3).log().abs()
    return (scale + (median - 1).abs()).squeeze(1)


def gradient_matching(
    prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, scales: int = 4
) -> torch.Tensor:
    """Mean absolute gradient of the difference of two normalised maps, summed over halved scales.

    Source: Li and Snavely, 'MegaDepth', section 4; here on maps brought through `normalise`.
    """
    total = prediction.new_zeros(len(prediction))
    difference = torch.where(valid, prediction - target, 0.0)
    for scale in range(scales):
        step = 2**scale
        d, m = difference[:, ::step, ::step], valid[:, ::step, ::step]
        across = ((d[:, :, 1:] - d[:, :, :-1]).abs() * (m[:, :, 1:] & m[:, :, :-1])).flatten(1).sum(1)
        down = ((d[:, 1:] - d[:, :-1]).abs() * (m[:, 1:] & m[:, :-1])).flatten(1).sum(1)
        total = total + (across + down) / m.flatten(1).sum(1).clamp_min(1)
    return total


def ranking(
    prediction: torch.Tensor, inverse_depth: torch.Tensor, valid: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Logistic loss on the order of 4096 random pixel pairs, the same places in each picture, more than 10 % apart.

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
    return (loss * apart).sum(1) / apart.sum(1).clamp_min(1)


def relative_loss(
    prediction: torch.Tensor,
    inverse_depth: torch.Tensor,
    valid: torch.Tensor,
    weights: dict[str, float],
    generator: torch.Generator,
    drop: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Return the parts (N,) and their weighted sum, 'loss'.

    prediction, inverse_depth: (N, H, W) float32, larger = nearer. weights: of 'ssi', 'gradient', 'ranking' and
    'anchor'; the paper's are 1 : 2 : 0 : 0. drop: (N,), the share of a picture's pixels, those with the largest error,
    that is left out of the first two.
    """
    valid = valid & enough(valid)[:, None, None]
    p, median, deviation = normalise_and_tell(prediction, valid)
    t = normalise(inverse_depth, valid).clamp(-10, 10)
    kept = valid if drop is None else without_largest((p - t).abs(), valid, drop)
    parts = {"ssi": scale_and_shift_invariant(p, t, kept), "gradient": gradient_matching(p, t, kept)}
    if weights["ranking"]:
        parts["ranking"] = ranking(p, inverse_depth, valid, generator)
    if weights["anchor"]:
        parts["anchor"] = anchor(median, deviation)
    zero = prediction.new_zeros(len(prediction))
    parts["loss"] = sum((weights[name] * part for name, part in parts.items()), zero)
    return parts


def silog(
    prediction: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    *,
    variance_focus: float = 0.5,
    pictures: int = 1,
) -> torch.Tensor:
    """Return sqrt(mean(d ** 2) - variance_focus * mean(d) ** 2), d = log(target) - log(prediction), (N / pictures,).

    prediction, target: metres; the means are over the valid pixels of each `pictures` pictures that follow each other.
    Source: Eigen et al. 2014, as the square root that the original trains with.
    """
    shape = (-1, pictures * prediction[0].numel())
    p, t, v = (x.reshape(shape) for x in (prediction, target, valid))
    difference = torch.where(v, t, 1.0).log() - torch.where(v, p, 1.0).clamp_min(_SMALLEST_M).log()
    count = v.sum(1).clamp_min(1)
    square, mean = (difference**2).sum(1) / count, difference.sum(1) / count
    inside = square - variance_focus * mean**2
    positive = ~(inside <= 1e-12)  # the slope of a root at zero is infinite; NaN stays NaN
    return torch.where(positive, torch.where(positive, inside, 1.0).sqrt(), 0.0)


def feature_alignment(student: torch.Tensor, frozen: torch.Tensor, margin: float = 0.85) -> torch.Tensor:
    """Return 1 - cosine of two sets of tokens (N, T, C), the mean over those whose cosine is below the margin, (N,).

    Tokens that are alike enough are left alone: they may learn what the frozen encoder does not tell apart.
    Source: Yang et al., 'Depth Anything', section 3.3.
    """
    cosine = functional.cosine_similarity(student.float(), frozen.float(), dim=2)
    return mean_where(1 - cosine, cosine < margin)
