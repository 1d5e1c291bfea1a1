"""Turns linear light into a picture as a camera would, faults included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from depth_anything_v2.datasets.scenes.shapes import Floats
from depth_anything_v2.datasets.scenes.surface import Colour


@dataclass(frozen=True)
class CameraSettings:
    """The settings and faults of a camera, the same for all frames of a clip.

    Lengths in pixels are for a picture of 288 rows and grow with it. `defocus_px` is the blur of what lies a whole
    scene (`nearest`, in 1/m) away from the plane in focus (`focus`, in 1/m); `exposure` the mean grey aimed at.
    `colour_px` is how far red and blue are apart in the corners, which depth does not follow: under a pixel.
    """

    white: Colour
    exposure: float
    focus: float
    nearest: float
    defocus_px: float = 0.0
    shake_px: tuple[float, float] = (0.0, 0.0)
    bloom: float = 0.0
    vignette: float = 0.0
    colour_px: float = 0.0
    read_noise: float = 0.0
    shot_noise: float = 0.0
    contrast: float = 1.0
    black: float = 0.0
    saturation: float = 1.0
    blur_px: float = 0.0
    sharpen: float = 0.0
    jpeg_quality: int = 0

    @classmethod
    def draw(cls, rng: np.random.Generator, depth: Floats, *, wide_open: float, dark: bool) -> CameraSettings:
        """Draw a camera for a scene of planar depth `depth` (H, W), +inf for the sky.

        `wide_open` is how likely the lens blurs what is out of focus, `dark` says that noise is strong.
        """
        inverse = np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-3), 0)
        blurred = rng.random() < wide_open
        focus = float(np.quantile(inverse, rng.uniform(0.6, 0.97) if rng.random() < 0.75 else rng.uniform(0.1, 0.6)))
        shaken = rng.random() < 0.08
        angle, reach = rng.uniform(0, np.pi), rng.uniform(1, 5)
        grain = float(np.exp(rng.uniform(np.log(1e-4), np.log(6e-3)))) * (3 if dark else 1)
        quality = int(rng.integers(35, 97)) if rng.random() < 0.65 else 0
        warm = rng.normal(0, 0.1)
        white = np.exp(np.array([warm, rng.normal(0, 0.04), -warm]) + rng.normal(0, 0.03, 3))
        sharp = rng.random()
        return cls(
            (float(white[0]), float(white[1]), float(white[2])),
            float(
                np.exp(rng.uniform(np.log(0.035), np.log(0.12)) if dark else rng.uniform(np.log(0.08), np.log(0.36)))
            ),
            focus,
            max(float(np.quantile(inverse, 0.98)), 1e-9),
            float(np.exp(rng.uniform(np.log(1.2), np.log(9.0)))) if blurred else 0.0,
            (float(reach * np.cos(angle)), float(reach * np.sin(angle))) if shaken else (0.0, 0.0),
            float(rng.uniform(0.02, 0.15)) if rng.random() < (0.6 if dark else 0.2) else 0.0,
            float(rng.uniform(0.05, 0.45)) if rng.random() < 0.4 else 0.0,
            float(rng.uniform(0.2, 0.9)) if rng.random() < 0.2 else 0.0,
            grain,
            float(rng.uniform(0, 1)) * grain,
            float(rng.uniform(0.75, 1.35)) if rng.random() < 0.6 else 1.0,
            float(rng.normal(0, 0.03)),
            0.0 if rng.random() < 0.04 else float(rng.uniform(0.6, 1.4)),
            float(rng.uniform(0.4, 1.1)) if sharp < 0.4 else 0.0,
            float(rng.uniform(0.3, 0.9)) if sharp > 0.8 else 0.0,
            quality,
        )


def brightness(linear: Tensor) -> float:
    """Return the grey level of a linear picture (3, H, W) as a light meter sees it: highlights count little."""
    grey = linear[:, ::3, ::3].clamp(0, 8).mean(0)
    return float(0.6 * grey.mean() + 0.4 * grey.median())


def photograph(
    linear: Tensor, depth: Tensor, entry: Tensor, camera: CameraSettings, level: float, noise_seed: int
) -> NDArray[np.uint8]:
    """Expose and develop a linear picture (3, H, W) of brightness `level` into (H, W, 3) uint8 RGB.

    `depth` (H, W) and `entry` (H, W), the object seen, say where edges are to be smoothed and what is out of focus.
    """
    height, width = depth.shape
    unit = height / 288 if height < width else width / 288
    edge = torch.zeros((height, width), dtype=torch.bool, device=depth.device)
    edge[:, 1:] = entry[:, 1:] != entry[:, :-1]
    edge[1:] |= entry[1:] != entry[:-1]
    edge[:-1] |= edge[1:].clone()
    edge[:, :-1] |= edge[:, 1:].clone()
    picture = linear.clamp(0, 8)
    picture = torch.lerp(picture, blurred(picture, 0.6), edge.float())
    if camera.defocus_px > 0:
        picture = _out_of_focus(picture, depth, camera, unit)
    if camera.shake_px != (0.0, 0.0):
        picture = _shaken(picture, camera.shake_px[0] * unit, camera.shake_px[1] * unit)
    if camera.bloom > 0:
        picture = torch.lerp(picture, blurred(picture, 9 * unit), camera.bloom)
    y = torch.linspace(-1, 1, height, device=depth.device)[:, None]
    x = torch.linspace(-1, 1, width, device=depth.device)
    if camera.colour_px > 0:
        picture = _fringed(picture, x, y, camera.colour_px / (0.6 * 288))
    if camera.vignette > 0:
        picture = picture * (1 - camera.vignette * (x * x + y * y) / 2)
    white = torch.tensor(camera.white, device=depth.device)[:, None, None]
    picture = picture * (white * (camera.exposure / max(level, 1e-4)))
    # Drawn on the CPU, noise is the same on every device.
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(noise_seed)).to(depth.device)
    picture = torch.addcmul(picture, noise, (camera.read_noise**2 + camera.shot_noise * picture * 0.05).sqrt())
    picture = picture.clamp_(min=0)
    # A soft shoulder keeps highlights from clipping flat, as cameras do.
    picture = picture * (1 + picture * 0.15) / (1 + 0.6 * picture)
    picture = (picture * 1.3).sqrt_()
    grey = picture.mean(0)
    picture = torch.lerp(grey.expand_as(picture), picture, camera.saturation)
    picture = (picture - 0.45) * camera.contrast + (0.45 + camera.black)
    if camera.blur_px > 0:
        picture = blurred(picture, camera.blur_px)
    elif camera.sharpen > 0:
        picture = picture + camera.sharpen * (picture - blurred(picture, 1.2))
    image = (picture.clamp_(0, 1) * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return _compressed(image, camera.jpeg_quality) if camera.jpeg_quality > 0 else image


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    import cv2

    packed = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(unpacked[:, :, ::-1])


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """Return a picture (C, H, W) under a Gaussian of `sigma` pixels, wide ones by way of a smaller picture."""
    size = (picture.shape[1], picture.shape[2])
    if sigma > 2.5 and min(size) >= 16:
        # Halving and enlarging blur by about 0.7 pixels of the smaller picture.
        small = blurred(avg_pool2d(picture[None], 2, ceil_mode=True)[0], float(np.sqrt(max(sigma**2 / 4 - 0.3, 0.1))))
        return interpolate(small[None], size, mode="bilinear", align_corners=False)[0]
    reach = max(1, round(2.2 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    wide = pad(picture[None], (reach, reach, reach, reach), mode="replicate")[0]
    rows = wide[:, : size[0]] * float(weights[0])
    for k in range(1, 2 * reach + 1):
        rows.add_(wide[:, k : k + size[0]], alpha=float(weights[k]))
    result = rows[:, :, : size[1]] * float(weights[0])
    for k in range(1, 2 * reach + 1):
        result.add_(rows[:, :, k : k + size[1]], alpha=float(weights[k]))
    return result


def _out_of_focus(picture: Tensor, depth: Tensor, camera: CameraSettings, unit: float) -> Tensor:
    """Blur with the distance from a plane in focus, in inverse depth as a lens does."""
    circle = (1 / depth - camera.focus).abs() * (camera.defocus_px * unit / camera.nearest)
    circle = blurred(circle.clamp(max=12 * unit)[None], 2.0)[0]
    out = picture
    start, sigma = 0.0, 1.0
    while start < 12 * unit and start < camera.defocus_px * unit * 1.5:
        far = blurred(picture, sigma)
        share = ((circle - start) / (sigma - start)).clamp(0, 1)
        out = torch.lerp(out, far, share)
        start, sigma = sigma, sigma * 2
    return out


def _shaken(picture: Tensor, dx: float, dy: float) -> Tensor:
    """Average the picture along a short line."""
    steps = max(2, int(np.hypot(dx, dy)) + 1)
    total = torch.zeros_like(picture)
    for k in range(steps):
        share = k / (steps - 1) - 0.5
        total += torch.roll(picture, (round(share * dy), round(share * dx)), dims=(1, 2))
    return total / steps


def _fringed(picture: Tensor, x: Tensor, y: Tensor, share: float) -> Tensor:
    """Enlarge red and shrink blue by `share`, as a simple lens does."""
    channels = []
    for channel, factor in zip(picture, (1 - share, 1.0, 1 + share), strict=True):
        grid = torch.stack([(x * factor).expand_as(channel), (y * factor).expand_as(channel)], dim=-1)
        sampled = grid_sample(channel[None, None], grid[None], padding_mode="border", align_corners=True)
        channels.append(sampled[0, 0])
    return torch.stack(channels)
