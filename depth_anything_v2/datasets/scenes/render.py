"""Renders planned shots, several at once, on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from depth_anything_v2.datasets.scenes.atlas import Atlas
from depth_anything_v2.datasets.scenes.fragments import Fragments, Pixels, fragments_of, pixels_of, sum_of
from depth_anything_v2.datasets.scenes.occlusion import ambient_occlusion, casters, shadow_table, shadows
from depth_anything_v2.datasets.scenes.photograph import brightness, photograph
from depth_anything_v2.datasets.scenes.raycast import FAR, Hits, cast_views
from depth_anything_v2.datasets.scenes.shading import World, shade, sky_colour
from depth_anything_v2.datasets.scenes.shapes import Floats, Shape, Solids, View
from depth_anything_v2.datasets.scenes.shot import Shot
from depth_anything_v2.datasets.scenes.tables import Table, object_table, shot_table, view_table

_CPU_CHUNK, _GPU_CHUNK = 1 << 17, 1 << 24  # pixels at once, so that large pictures and batches fit into memory
_SECOND_OPENNESS = 0.85  # of surfaces behind glass and in reflections, whose surroundings are not looked at


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture: `image` (H, W, 3) uint8, `depth_m` (H, W) and `normal` (H, W, 3) float32."""

    image: NDArray[np.uint8]
    depth_m: Floats
    normal: Floats
    view: View


def render_shots(shots: Sequence[Shot], device: torch.device) -> list[list[Frame]]:
    """Return the frames of each shot; all views must have the same size."""
    with torch.inference_mode():
        return _Batch(shots, device).frames()


class _Batch:
    """What the pixels of several shots look up: views, objects, lights, textures, and what the rays hit.

    Views come in this order: those of the cameras; the same without clear things, for what is seen through them; and
    those of cameras mirrored in a polished floor, whose pixels lie where the floor shows them.
    """

    def __init__(self, shots: Sequence[Shot], device: torch.device) -> None:
        self.shots, self.device = shots, device
        first_thing = np.cumsum([0, *(len(shot.solids.shape) for shot in shots)])
        jobs: list[tuple[Solids, View]] = []
        things: list[NDArray[np.intp]] = []
        owner: list[int] = []

        def add(number: int, view: View, which: NDArray[np.intp]) -> int:
            jobs.append((shots[number].solids.take(which), view))
            things.append(which + first_thing[number])
            owner.append(number)
            return len(jobs) - 1

        views = [(number, view) for number, shot in enumerate(shots) for view in shot.views]
        for number, view in views:
            add(number, view, np.arange(len(shots[number].solids.shape)))
        behind, mirror = np.full(len(views), -1), np.full(len(views), -1)
        for place, (number, view) in enumerate(views):
            clear = np.array([shots[number].scene.materials[item.material].clear for item in shots[number].scene.items])
            if clear.any():
                behind[place] = add(number, view, np.nonzero(clear == 0)[0])
            level = shots[number].scene.mirror_z
            if level is not None and len(above := _above(shots[number].solids, level)):
                mirror[place] = add(number, _mirrored(view, level), above)
        self.count, self.size = len(views), (views[0][1].height, views[0][1].width)
        self.hits = cast_views(jobs, device)
        self.thing_of_entry = torch.from_numpy(np.concatenate(things)).to(device)
        self.shot_of_view = torch.tensor(owner, device=device)
        self.behind, self.mirror = torch.from_numpy(behind).to(device), torch.from_numpy(mirror).to(device)
        self.world = World(
            view_table([view for _, view in jobs], device),
            object_table([(shot.scene, shot.solids, shot.first_photo) for shot in shots], device),
            shot_table([shot.scene for shot in shots], device),
            Atlas([shot.atlas for shot in shots], device),
        )
        self.lights, self.shadow_maps, self.light_of_shot = self._shadow_maps()

    def _shadow_maps(self) -> tuple[Table | None, Hits | None, Tensor]:
        lights = [shot.light for shot in self.shots if shot.light is not None]
        row = np.cumsum([shot.light is not None for shot in self.shots]) - 1
        row = np.where([shot.light is not None for shot in self.shots], row, -1)
        if not lights:
            return None, None, torch.from_numpy(row).to(self.device)
        jobs = [
            (shot.solids.take(casters(shot.scene, shot.light[0].position)), shot.light[0])
            for shot in self.shots
            if shot.light is not None
        ]
        maps = cast_views(jobs, self.device)
        return shadow_table(lights, self.device), maps, torch.from_numpy(row).to(self.device)

    def frames(self) -> list[list[Frame]]:
        height, width = self.size
        shape = (3, self.count, height, width)
        depth = self.hits.depth[: self.count]
        hit = (depth < FAR).view(-1)
        normals, picture = (torch.zeros((3, hit.numel()), device=self.device) for _ in range(2))
        lit = torch.ones(hit.numel(), device=self.device)
        chunk = _CPU_CHUNK if self.device.type == "cpu" else _GPU_CHUNK
        surfaces = []
        for seen in hit.nonzero()[:, 0].split_with_sizes(_sizes(int(hit.sum()), chunk)):
            surface = self._surface(self._pixels(seen))
            normals.index_copy_(1, seen, self._turned(surface))
            lit.index_copy_(0, seen, self._lit(surface))
            surfaces.append((seen, surface))
        pixel = self.world.views.at("pixel", torch.arange(self.count, device=self.device)).expand(self.count)
        openness = ambient_occlusion(depth, normals.view(shape).transpose(0, 1), pixel).reshape(-1)
        if self.lights is not None:  # the samples of a soft shadow differ from pixel to pixel, its light must not
            lit = avg_pool2d(lit.view(shape[1:]), 3, 1, 1, count_include_pad=False).reshape(-1)
        for seen, surface in surfaces:
            colour, through = shade(self.world, surface, openness.index_select(0, seen), lit.index_select(0, seen))
            self._add_second_views(surface, colour, through)
            picture.index_copy_(1, seen, colour)
        empty = (~hit).nonzero()[:, 0]
        pixels = self._pixels(empty)
        picture.index_copy_(
            1,
            empty,
            sky_colour(self.world, pixels, self.shot_of_view.index_select(0, pixels.view.expand_as(pixels.place))),
        )
        return self._developed(picture.view(shape), normals.view(shape))

    def _pixels(self, flat: Tensor) -> Pixels:
        if self.count == 1:  # one row to look up, for all pixels at once
            return pixels_of(self.world.views, self.size, torch.zeros(1, dtype=torch.int64, device=self.device), flat)
        count = self.size[0] * self.size[1]
        view = torch.div(flat, count, rounding_mode="floor")
        return pixels_of(self.world.views, self.size, view, flat - view * count)

    def _surface(self, pixels: Pixels) -> Fragments:
        return fragments_of(self.hits, pixels, self.world.views, self.world.objects, self.thing_of_entry)

    def _lit(self, surface: Fragments) -> Tensor:
        if self.lights is None or self.shadow_maps is None:
            return torch.ones_like(surface.depth)
        return shadows(surface, self.shadow_maps, self.lights, self.light_of_shot)

    def _turned(self, surface: Fragments) -> Tensor:
        """Return the true normals (3, N) in the axes of each camera."""
        r = self.world.views.at("rotation", surface.pixels.view)
        return torch.stack([sum_of(r[k::3], surface.face) for k in range(3)])

    def _add_second_views(self, surface: Fragments, colour: Tensor, through: Tensor) -> None:
        """Add what is seen through clear surfaces and on polished floors to `colour` (3, N)."""
        objects, pixels, thing = self.world.objects, surface.pixels, surface.thing
        view = pixels.view.expand_as(thing)
        if objects.any("clear"):
            which = ((through > 0) & (self.behind[view] >= 0)).nonzero()[:, 0]
            tint = objects.at("tint", thing[which])
            second = self._second(self.behind[view[which]], pixels.place[which])
            colour.index_add_(1, which, second * tint * through[which])
        if objects.any("polish"):
            level = self.world.shots.at("mirror_z", surface.shot)
            polish = objects.at("polish", thing) * ((surface.point[2] - level).abs() < 0.02) * (surface.face[2] > 0.9)
            which = ((polish > 0) & (self.mirror[view] >= 0)).nonzero()[:, 0]
            ray = pixels.ray[:, which]
            grazing = 1 + ray[2] * torch.rsqrt(sum_of(ray, ray))
            second = self._second(self.mirror[view[which]], pixels.place[which])
            colour.index_add_(1, which, second * (polish[which] * (0.1 + 0.5 * grazing**3)))

    def _second(self, view: Tensor, place: Tensor) -> Tensor:
        """Return the light (3, N) of pixels of second views."""
        pixels = pixels_of(self.world.views, self.size, view, place)
        count = self.size[0] * self.size[1]
        hit = self.hits.depth.view(-1)[view * count + place] < FAR
        seen, empty = hit.nonzero()[:, 0], (~hit).nonzero()[:, 0]
        surface = self._surface(pixels.take(seen))
        openness = torch.full_like(surface.depth, _SECOND_OPENNESS)
        result = torch.empty((3, len(view)), device=self.device)
        result.index_copy_(1, seen, shade(self.world, surface, openness, self._lit(surface))[0])
        far = pixels.take(empty)
        return result.index_copy_(1, empty, sky_colour(self.world, far, self.shot_of_view[far.view]))

    def _developed(self, picture: Tensor, normals: Tensor) -> list[list[Frame]]:
        depth = self.hits.depth[: self.count].cpu().numpy()
        depth = np.where(depth < FAR, depth, np.float32(np.inf))
        normal = normals.permute(1, 2, 3, 0).contiguous().cpu().numpy()
        place, results = 0, []
        for shot in self.shots:
            mine = range(place, place + len(shot.views))
            # One exposure for all frames, as of a camera whose exposure is locked.
            level = float(np.mean([brightness(picture[:, number]) for number in mine]))
            frames = []
            for frame, number in enumerate(mine):
                seen = self.hits.depth[number], self.hits.entry[number]
                image = photograph(picture[:, number], *seen, shot.camera, level, shot.noise_seed + frame)
                frames.append(Frame(image, depth[number], normal[number], shot.views[frame]))
            results.append(frames)
            place += len(shot.views)
        return results


def _sizes(total: int, chunk: int) -> list[int]:
    return [min(chunk, total - start) for start in range(0, total, chunk)]


def _above(solids: Solids, level: float) -> NDArray[np.intp]:
    """Return which objects rise over a level floor."""
    half = np.where((solids.shape == Shape.QUAD)[:, None], solids.half * [1, 1, 0], solids.half)
    tall = (np.abs(solids.rotation[:, 2]) * half).sum(axis=1)
    return np.nonzero(solids.centre[:, 2] + tall > level + 0.02)[0]


def _mirrored(view: View, level: float) -> View:
    flip = np.diag([1.0, 1.0, -1.0])
    return View(flip @ view.position + [0, 0, 2 * level], flip @ view.rotation, view.focal_px, view.height, view.width)
