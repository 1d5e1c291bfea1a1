"""Colour of the surfaces seen: textures, lamps and sun, highlights, reflections, haze and sky."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from depth_anything_v2.datasets.scenes.atlas import Atlas
from depth_anything_v2.datasets.scenes.fragments import Fragments, Pixels, sum_of, unit
from depth_anything_v2.datasets.scenes.tables import LIGHTS, Table
from depth_anything_v2.datasets.scenes.textures import SIZE


@dataclass(frozen=True, eq=False)
class World:
    """The tables of a batch and the textures of all its shots."""

    views: Table
    objects: Table
    shots: Table
    atlas: Atlas


def shade(world: World, surface: Fragments, occlusion: Tensor, lit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the light (3, N), not yet exposed, and how much of it (N,) a clear surface would let through.

    `occlusion` (N,) says how open the point is, `lit` (N,) how much of the first light reaches it.
    """
    objects, thing, shot = world.objects, surface.thing, surface.shot
    ray = surface.pixels.ray
    eye = ray * -unit(ray)
    toward = sum_of(surface.face, eye)
    pixel_m = surface.depth * world.views.at("pixel", surface.pixels.view) * torch.rsqrt(toward.clamp(min=0.02))
    albedo, noise = _reflectance(world, surface, pixel_m)
    normal = surface.normal
    if objects.any("bump"):
        slant = (noise[1:] - 0.5) * objects.at("bump", thing)
        normal = torch.stack([normal[0] + slant[0], normal[1] + slant[1], normal[2] + slant[0] - slant[1]])
        normal = normal * unit(normal)
    bounce = world.shots.at("bounce", shot)
    open_sky = 0.5 * ((1 + bounce) + (1 - bounce) * normal[2]) * occlusion
    light = world.shots.at("ambient", shot) * open_sky
    gloss, shine = objects.at("gloss", thing), objects.at("shine", thing)
    some_open = occlusion.sqrt()
    highlight = torch.zeros_like(light)
    for k in range(LIGHTS):
        if not world.shots.any(f"strength {k}"):
            break
        incoming, facing, way = _incoming(world.shots, k, surface, normal)
        incoming = incoming * some_open * (lit if k == 0 else 1)
        colour = world.shots.at(f"colour {k}", shot)
        light = torch.addcmul(light, colour, incoming * facing)
        middle = way + eye
        peak = (sum_of(middle, normal) * unit(middle)).clamp_(min=0) ** shine
        highlight = torch.addcmul(highlight, colour, gloss * peak * incoming * (facing > 0))
    metal, clear = objects.at("metal", thing), objects.at("clear", thing)
    grazing = (1 - toward.clamp(0, 1)).square().square()
    mirrored = _surroundings(world.shots, shot, ray, normal) * occlusion
    share = (gloss * (0.05 + 0.6 * grazing)).clamp(max=0.6) * (1 - metal)
    through = clear * (1 - share)
    matt = (1 - metal) * (1 - share) * (1 - clear)
    colour_out = albedo * (light * matt + objects.at("glow", thing) + mirrored * metal) + highlight + mirrored * share
    return _in_haze(world.shots, shot, surface.depth, colour_out), through


def _in_haze(shots: Table, shot: Tensor, depth: Tensor, colour: Tensor) -> Tensor:
    if not shots.any("haze"):
        return colour
    keep = torch.exp(-depth * shots.at("haze", shot))
    return torch.lerp(shots.at("haze_colour", shot).expand_as(colour), colour, keep)


def _surroundings(shots: Table, shot: Tensor, ray: Tensor, normal: Tensor) -> Tensor:
    """Return the colour (3, N) that a smooth surface reflects: dark below, bright above, a sharp horizon."""
    up = (ray[2] - 2 * sum_of(ray, normal) * normal[2]) * unit(ray)
    above, below = shots.at("above", shot), shots.at("below", shot)
    high = (up * 6 + 0.5).clamp(0, 1)
    return torch.lerp(below.expand_as(normal), above.expand_as(normal), high) * (1.1 - 0.35 * up.abs())


def _reflectance(world: World, surface: Fragments, pixel_m: Tensor) -> tuple[Tensor, Tensor]:
    """Return reflectance (3, N) and noise (3, N) per point; `pixel_m` is the size of a pixel there."""
    objects, thing = world.objects, surface.thing
    density = objects.at("density", thing)
    texels = pixel_m * density * SIZE
    albedo = objects.at("tint", thing)
    if objects.any("contrast"):
        contrast = objects.at("contrast", thing)
        mirrored = objects.at("mirrored", thing) if objects.any("mirrored") else None
        texture = objects.at("texture", thing)
        colour = world.atlas.read(surface.shot, texture, surface.u, surface.v, texels, mirrored)
        albedo = albedo * (1 - contrast) + colour * colour * contrast
    detail = 0.37 * (1 + objects.at("stretched", thing) * (1 / density - 1))
    v, u = surface.v * detail + 0.3, surface.u * detail
    noise = world.atlas.read(surface.shot, None, v, u, texels * 0.37)
    mottle = objects.at("mottle", thing)
    return (albedo * (1 + mottle * (2 * noise[0] - 1))).clamp(0, 1), noise


def _incoming(shots: Table, k: int, surface: Fragments, normal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return strength (N,), cosine (N,) and unit direction (3, N) of light `k` at each point."""
    shot = surface.shot
    lamp = shots.at(f"lamp {k}", shot)
    way = shots.at(f"vector {k}", shot) - surface.point * lamp
    near = unit(way)
    distance = (1 / near) / shots.at(f"reach {k}", shot)
    strength = shots.at(f"strength {k}", shot) * (lamp / (0.15 + distance * distance) + (1 - lamp))
    way = way * near
    return strength, sum_of(way, normal).clamp_(min=0), way


def sky_colour(world: World, pixels: Pixels, shot: Tensor) -> Tensor:
    """Return the sky (3, N) in the direction of each pixel: a gradient, clouds, stars, or a photograph far away."""
    shots = world.shots
    direction = pixels.ray * unit(pixels.ray)
    up = direction[2]
    horizon = shots.at("sky_horizon", shot).expand_as(direction)
    sky = torch.lerp(horizon, shots.at("sky_zenith", shot).expand_as(direction), up.clamp(0, 1).sqrt())
    pixel = world.views.at("pixel", pixels.view)
    if shots.any("clouds") or shots.any("stars"):
        height = up.clamp(min=0.06)
        u, v = direction[0] / height * 0.06, direction[1] / height * 0.06
        noise = world.atlas.read(shot, None, u, v, 0.06 * SIZE * pixel / height**1.5)
        clouds = shots.at("clouds", shot)
        amount = ((noise[0] - 1 + clouds) * 3).clamp(0, 1) * (up * 8).clamp(0, 1) * (clouds > 0)
        white = horizon * 0.3 + horizon.mean(0) * (0.75 - 0.3 * noise[1])
        sky = torch.lerp(sky, white, amount)
        sky = sky + shots.at("stars", shot) * (noise[2] > 0.93) * (1 - amount) * 0.2
    # Fog closes in on the sky as it does on what is far away.
    keep = torch.exp(-shots.at("haze", shot) * 60 / up.clamp(min=0.05))
    sky = torch.lerp(shots.at("haze_colour", shot).expand_as(sky), sky, keep)
    if shots.any("sky_photo"):
        photo = shots.at("sky_photo", shot).expand_as(up)
        picture = world.atlas.read(
            shot, photo, pixels.x * 0.45 + 0.5, pixels.y * 0.45 + 0.5, 0.45 * SIZE * pixel, torch.ones_like(up)
        )
        sky = torch.where(photo > 0, picture * picture, sky)
    return sky
