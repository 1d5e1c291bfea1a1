"""What the renderer makes of light, motion and several scenes at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from depth_anything_v2.datasets import rendered
from depth_anything_v2.datasets.rendered import FAMILIES, RenderedScene, render_clip, render_scene, render_scenes
from depth_anything_v2.datasets.scenes import fragments
from depth_anything_v2.datasets.scenes.builder import camera
from depth_anything_v2.datasets.scenes.occlusion import ambient_occlusion, shadow_view
from depth_anything_v2.datasets.scenes.photograph import CameraSettings, photograph
from depth_anything_v2.datasets.scenes.render import Frame, _Batch, render_shots
from depth_anything_v2.datasets.scenes.shading import shade, sky_colour
from depth_anything_v2.datasets.scenes.shapes import Primitive, Shape, Solids, View, look_at
from depth_anything_v2.datasets.scenes.shot import Shot
from depth_anything_v2.datasets.scenes.surface import Light, Material, Scenery
from depth_anything_v2.datasets.scenes.textures import TEXELS

PLAIN = CameraSettings((1.0, 1.0, 1.0), exposure=0.2, focus=0.2, nearest=1.0)
CPU = torch.device("cpu")
Triple = tuple[float, float, float]


def thing(shape: Shape, centre: Triple, half: Triple, material: int) -> Primitive:
    return Primitive(shape, np.array(centre), np.array(half), np.eye(3), material)


def look(scene: Scenery, camera: CameraSettings = PLAIN) -> Frame:
    """The picture of a scene on a perfect camera."""
    solids = Solids.of(scene.items)
    atlas = np.full((2, TEXELS), 0x808080, np.int32)
    light = None
    if scene.lights and scene.lights[0].shadows:
        light = shadow_view(scene.lights[0], np.array([[-3.0, 3, 0, 0], [0, 0, -3, 3], [0, 0, 0, 0]]))
    return render_shots([Shot(scene, solids, atlas, 2, (scene.view,), light, camera, 0)], CPU)[0][0]


def view_from(position: Triple, target: Triple) -> View:
    eye = np.array(position)
    return View(eye, look_at(eye, np.array(target)), 70.0, 60, 80)


GROUND = thing(Shape.QUAD, (0, 0, 0), (20, 20, 1), 0)
GREY = Material((0.5, 0.5, 0.5))


def ground_at(frame: Frame, x: float, y: float) -> tuple[int, int]:
    """The pixel that shows the point (x, y, 0)."""
    seen = frame.view.rotation.T @ (np.array([x, y, 0]) - frame.view.position)
    u, v = seen[:2] / seen[2] * frame.view.focal_px
    return int(v + frame.view.height / 2), int(u + frame.view.width / 2)


def plate_in_the_sun(size: float, height: float) -> Frame:
    block = thing(Shape.BOX, (0, 0, height), (0.6, 0.6, 0.05), 0)
    sun = Light(np.array([1.0, 0.0, 1.0]), False, (1, 1, 1), 2.0, 1.0, True, size)
    scene = Scenery("test", view_from((0, -7, 7), (-1, 0, 0)), [GROUND, block], [GREY], [sun], (0.1, 0.1, 0.1))
    return look(scene)


def brightness(frame: Frame, x: float, y: float) -> float:
    return float(frame.image[ground_at(frame, x, y)].mean())


def test_shadow_lies_where_the_lamp_is_hidden() -> None:
    """The sun stands at 45 degrees towards +x: the shadow of a plate at height 1.5 lies around x = -1.5."""
    frame = plate_in_the_sun(0.001, 1.5)
    lit = brightness(frame, 2.0, 0.0)
    assert brightness(frame, -1.5, 0.0) < 0.6 * lit
    for x, y in ((-3.0, 0.0), (-1.5, 1.2), (-1.5, -1.2)):
        assert brightness(frame, x, y) > 0.85 * lit


def test_a_large_light_makes_a_soft_shadow() -> None:
    """The plate of half width 0.6 has its shadow's edge at x = -2.1; just inside it a large light still shines."""
    hard, soft = plate_in_the_sun(0.001, 1.5), plate_in_the_sun(0.35, 1.5)
    assert brightness(hard, -2.0, 0.0) < 1.1 * brightness(hard, -1.5, 0.0)
    assert brightness(soft, -2.0, 0.0) > 1.4 * brightness(soft, -1.5, 0.0)
    assert brightness(soft, -1.5, 0.0) == pytest.approx(brightness(hard, -1.5, 0.0), abs=12)


@pytest.mark.parametrize("kind", ["room", "street", "abstract", "tabletop"])
def test_normals_are_those_of_the_depth(kind: str) -> None:
    scene = render_scene(4, 96, 128, kind=kind)
    height, width = scene.depth_m.shape
    x, y = (
        (np.arange(width) + 0.5 - width / 2) / scene.focal_px,
        (np.arange(height) + 0.5 - height / 2) / scene.focal_px,
    )
    z = np.where(np.isfinite(scene.depth_m), scene.depth_m, np.nan).astype(float)
    points = np.stack([x * z, y[:, None] * z, z], axis=-1)
    across, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
    found = np.cross(down, across)
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    stored = scene.normal[1:-1, 1:-1]
    agree = np.abs((found * stored).sum(-1))[np.isfinite(found).all(-1)]
    assert (agree > 0.98).mean() > 0.7  # the rest are edges, and things of a few pixels
    known = np.isfinite(scene.depth_m)
    np.testing.assert_allclose(np.linalg.norm(scene.normal[known], axis=-1), 1, atol=1e-4)
    assert (scene.normal[~known] == 0).all()
    assert ((scene.normal * points.clip(-1e6, 1e6)).sum(-1)[known] <= 1e-3 * z[known]).all()


def test_scenes_rendered_together_are_those_rendered_alone() -> None:
    seeds = [5, 6, 7, 8]
    for together, seed in zip(render_scenes(seeds, 48, 64), seeds, strict=True):
        alone = render_scene(seed, 48, 64)
        assert (alone.kind, alone.focal_px) == (together.kind, together.focal_px)
        np.testing.assert_allclose(alone.depth_m, together.depth_m, rtol=1e-5)
        np.testing.assert_allclose(alone.normal, together.normal, atol=1e-4)
        assert (np.abs(alone.image.astype(int) - together.image) > 2).mean() < 0.01


def seen_again(first: RenderedScene, second: RenderedScene) -> npt.NDArray[np.float64]:
    """The relative difference between depth in the second frame and that of points of the first put there."""
    v, u = np.nonzero(np.isfinite(first.depth_m))
    z = first.depth_m[v, u].astype(float)
    height, width = first.depth_m.shape
    points = np.stack([(u + 0.5 - width / 2) / first.focal_px * z, (v + 0.5 - height / 2) / first.focal_px * z, z])
    move = np.linalg.inv(second.pose) @ first.pose
    x, y, z = move[:3, :3] @ points + move[:3, 3:]
    column, row = (np.floor(c / z * first.focal_px + n / 2).astype(int) for c, n in ((x, width), (y, height)))
    inside = (z > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.abs(second.depth_m[row[inside], column[inside]] / z[inside] - 1)


@pytest.mark.parametrize("kind", ["room", "landscape"])
def test_frames_of_a_clip_fit_each_other(kind: str) -> None:
    clip = render_clip((3, 1), 3, 72, 96, kind=kind)
    assert len(clip) == 3
    assert len({frame.focal_px for frame in clip}) == 1
    assert np.abs(clip[0].pose[:3, 3] - clip[2].pose[:3, 3]).max() > 1e-3
    np.testing.assert_allclose(clip[1].pose[:3, :3] @ clip[1].pose[:3, :3].T, np.eye(3), atol=1e-9)
    difference = seen_again(clip[0], clip[2])
    assert difference.size > 0.4 * clip[0].depth_m.size
    assert np.median(difference) < 0.01
    assert (difference < 0.05).mean() > 0.75  # the rest is hidden in one of the frames
    levels = [frame.image.mean() for frame in clip]
    assert max(levels) - min(levels) < 12


def test_what_is_behind_glass_is_seen_and_its_depth_is_that_of_the_glass() -> None:
    glass = Material((1, 1, 1), clear=0.9)
    pane, red = thing(Shape.BOX, (0, 3, 0), (9, 0.01, 9), 1), thing(Shape.BOX, (0, 6, 0), (9, 0.1, 9), 2)
    scene = Scenery("test", view_from((0, 0, 0), (0, 1, 0)), [pane, red], [GREY, glass, Material((0.8, 0.05, 0.05))])
    through = look(scene)
    np.testing.assert_allclose(through.depth_m, 2.99, rtol=1e-5)
    np.testing.assert_allclose(through.normal[30, 40], (0, 0, -1), atol=1e-5)
    assert through.image[30, 40, 0] > 1.5 * through.image[30, 40, 1]
    opaque = look(replace(scene, materials=[GREY, replace(glass, clear=0.0), Material((0.8, 0.05, 0.05))]))
    np.testing.assert_array_equal(opaque.depth_m, through.depth_m)
    assert opaque.image[30, 40, 0] < 1.1 * opaque.image[30, 40, 1]


def test_a_polished_floor_shows_what_stands_on_it_and_keeps_its_depth() -> None:
    post = thing(Shape.BOX, (0, 4, 1), (0.5, 0.1, 1), 1)
    floor = replace(GREY, polish=1.5)
    materials = [floor, Material((0.02, 0.02, 0.02), glow=60.0)]
    scene = Scenery("test", view_from((0, 0, 1), (0, 4, 0.5)), [GROUND, post], materials, mirror_z=0.0)
    scene.sky_horizon = scene.sky_zenith = (0.0, 0.0, 0.0)
    shiny, matt = look(scene), look(replace(scene, materials=[GREY, materials[1]], mirror_z=None))
    np.testing.assert_array_equal(shiny.depth_m, matt.depth_m)
    # The mirror image of a lit point at height 1 is seen half way between the camera, as high as it, and the post.
    there, beside = ground_at(shiny, 0, 2.0), ground_at(shiny, 0.9, 2.0)
    contrast = [float(f.image[there].mean()) / max(1.0, float(f.image[beside].mean())) for f in (shiny, matt)]
    assert contrast[0] > 1.25 * contrast[1]


def test_flat_prints_leave_no_trace_in_depth() -> None:
    """A wall seen straight on has the depth of a plane whatever is painted on it."""
    scene = render_scene(4, 64, 80, kind="wall")
    v, u = np.nonzero(np.isfinite(scene.depth_m))
    inverse = 1 / scene.depth_m[v, u].astype(float)
    design = np.stack([u, v, np.ones(u.size)], axis=1)
    plane = design @ np.linalg.lstsq(design, inverse, rcond=None)[0]
    assert np.median(np.abs(plane / inverse - 1)) < 0.005
    assert scene.image.std() > 4


def test_lenses_reach_from_wide_to_long() -> None:
    rng = np.random.default_rng(0)
    views = [camera(rng, np.zeros(3), np.array([0, 1.0, 0]), 40, 60, dolly=True) for _ in range(400)]
    lens = np.array([view.focal_px * 36 / 60 for view in views])
    assert 14 <= lens.min() < 17
    assert 150 < lens.max() <= 200
    away = np.array([1 - view.position[1] for view in views])
    np.testing.assert_allclose(away, np.maximum(lens / 35, 0.75))


def flat_picture(camera: CameraSettings, level: float = 0.3) -> npt.NDArray[np.uint8]:
    linear = torch.full((3, 48, 64), level)
    linear[:, :, 32:] *= 3
    depth = torch.full((48, 64), 2.0)
    depth[:, 32:] = 20.0
    return photograph(linear, depth, torch.zeros(48, 64, dtype=torch.int64), camera, level, 1)


def test_each_fault_of_the_camera_does_its_own_thing() -> None:
    clean = flat_picture(PLAIN).astype(float)
    assert clean[:, :30].std() < 0.01
    noisy = flat_picture(replace(PLAIN, read_noise=0.02)).astype(float)
    assert noisy[:, :30].std() > 1
    dark = flat_picture(replace(PLAIN, vignette=0.5)).astype(float)
    assert dark[0, 0].mean() < 0.9 * dark[24, 30].mean()
    warm = flat_picture(replace(PLAIN, white=(1.3, 1.0, 0.8))).astype(float)
    assert warm[24, 10, 0] > clean[24, 10, 0] > clean[24, 10, 2] - 1 > warm[24, 10, 2]
    packed = flat_picture(replace(PLAIN, read_noise=0.02, jpeg_quality=40)).astype(float)
    assert np.abs(packed - noisy).mean() > 0.5


def test_only_what_is_out_of_focus_is_blurred() -> None:
    near_sharp = replace(PLAIN, focus=0.5, nearest=0.5, defocus_px=40.0)
    generator = np.random.default_rng(0)
    linear = torch.from_numpy(generator.uniform(0.1, 0.5, (3, 48, 64)).astype(np.float32))
    depth = torch.full((48, 64), 2.0)
    depth[:, 32:] = 20.0
    nothing = torch.zeros(48, 64, dtype=torch.int64)
    sharp = photograph(linear, depth, nothing, PLAIN, 0.3, 1).astype(float)
    blurred = photograph(linear, depth, nothing, near_sharp, 0.3, 1).astype(float)
    assert blurred[:, :24].std() > 0.9 * sharp[:, :24].std()
    assert blurred[:, 44:].std() < 0.5 * sharp[:, 44:].std()


def test_families_take_upright_pictures() -> None:
    for kind in FAMILIES:
        assert render_scene(2, 48, 36, kind=kind).image.shape == (48, 36, 3)


def test_no_step_leaves_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's 'meta' device holds no numbers, and refuses to be mixed with the CPU as a GPU would."""

    def on_any_shape(p: torch.Tensor, half: torch.Tensor, *tables: object) -> tuple[torch.Tensor, ...]:
        return p * half, p * half, p[0], p[1]

    monkeypatch.setattr(fragments, "_on_shape", on_any_shape)  # it counts pixels, which 'meta' cannot
    device = torch.device("meta")
    shots = [rendered._planned([seed], 48, 64, (), kind, None) for seed, kind in ((1, "street"), (5, "room"))]
    batch = _Batch(shots, device)
    pixels = batch._pixels(torch.arange(2 * 48 * 64, device=device))
    surface = batch._surface(pixels)
    normals = batch._turned(surface).view(3, 2, 48, 64).transpose(0, 1)
    openness = ambient_occlusion(batch.hits.depth[:2], normals, torch.ones(2, device=device))
    colour, _ = shade(batch.world, surface, openness.reshape(-1), batch._lit(surface))
    sky = sky_colour(batch.world, pixels, batch.shot_of_view[pixels.view])
    assert (colour.device, sky.device) == (device, device)
    faults = replace(PLAIN, defocus_px=5.0, shake_px=(3.0, 2.0), bloom=0.1, vignette=0.2, colour_px=0.5, blur_px=0.7)
    with pytest.raises(NotImplementedError, match="no data"):  # only here, where the picture is fetched
        photograph(colour.view(3, 2, 48, 64)[:, 0], batch.hits.depth[0], batch.hits.entry[0], faults, 0.3, 1)
