from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from depth_anything_v2.datasets import rendered
from depth_anything_v2.datasets.rendered import FAMILIES, load_textures, render_clip, render_scene, write_shards
from depth_anything_v2.datasets.scenes.builder import random_turn
from depth_anything_v2.datasets.scenes.raycast import cast
from depth_anything_v2.datasets.scenes.shapes import Primitive, Shape, Solids, View, look_at
from depth_anything_v2.errors import InputError, OptionError

Array = npt.NDArray[np.float64]


def view_from(position: tuple[float, float, float], target: tuple[float, float, float], roll: float = 0.0) -> View:
    eye = np.array(position)
    return View(eye, look_at(eye, np.array(target), roll), 70.0, 60, 80)


def primitive(shape: Shape, seed: int = 0, **more: object) -> Primitive:
    rng = np.random.default_rng(seed)
    half = np.array([0.5, 0.5, 0.8]) if shape is Shape.FRUSTUM else np.array([0.6, 0.4, 0.9])
    return Primitive(shape, np.array([0.1, 0.2, 0.3]), half, random_turn(rng), 0, **more)  # type: ignore[arg-type]


def unproject(view: View, depth: npt.NDArray[np.float32]) -> Array:
    """World points of finite pixels by the pinhole rule: principal point in the middle, pixel centres at + 0.5."""
    v, u = np.nonzero(np.isfinite(depth))
    z = depth[v, u].astype(float)
    x, y = (u + 0.5 - view.width / 2) / view.focal_px * z, (v + 0.5 - view.height / 2) / view.focal_px * z
    return np.stack([x, y, z], axis=1) @ view.rotation.T + view.position


def test_ground_plane_has_the_depth_that_trigonometry_gives() -> None:
    view = view_from((0, 0, 1.5), (0, 4, 0))
    ground = Primitive(Shape.QUAD, np.zeros(3), np.array([500.0, 500.0, 1.0]), np.eye(3), 0)
    depth, index = cast([ground], view)
    pitch = np.arctan2(1.5, 4)
    v = np.arange(60) + 0.5 - 30
    with np.errstate(divide="ignore"):
        expected = 1.5 / (np.sin(pitch) + v / 70.0 * np.cos(pitch))
    visible = (expected > 0) & (expected < 300)
    assert visible.sum() > 30
    np.testing.assert_allclose(depth[visible, 40], expected[visible], rtol=2e-5)
    assert (index[visible] == 0).all()
    assert np.isinf(depth[expected < 0]).all()


def test_depth_is_planar_not_along_the_ray() -> None:
    view = view_from((0, 0, 0), (0, 1, 0))
    wall = Primitive(Shape.BOX, np.array([0.0, 4.0, 0.0]), np.array([50.0, 0.5, 50.0]), np.eye(3), 0)
    depth, _ = cast([wall], view)
    np.testing.assert_allclose(depth, 3.5, rtol=1e-6)


def test_sphere_has_the_depth_of_the_nearer_intersection() -> None:
    view = view_from((0, -5, 0), (0, 0, 0))
    depth, _ = cast([Primitive(Shape.ELLIPSOID, np.zeros(3), np.full(3, 1.0), np.eye(3), 0)], view)
    for v, u in itertools.product(range(25, 36), range(35, 46)):
        d = np.array([(u + 0.5 - 40) / 70, (v + 0.5 - 30) / 70, 1.0])
        b, c = -5 * d[2], 24.0
        expected = (-b - np.sqrt(b * b - d @ d * c)) / (d @ d)
        assert depth[v, u] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", list(Shape))
def test_unprojected_pixels_lie_on_the_surface(shape: Shape, seed: int) -> None:
    item = primitive(shape, seed, taper=0.4 if seed % 2 else 1.5, open_top=seed > 1)
    view = view_from((1.5, -3.0, 1.2), (0.1, 0.2, 0.3), roll=0.3)
    depth, index = cast([item], view)
    points = unproject(view, depth)
    assert len(points) > 10
    assert (index[np.isfinite(depth)] == 0).all()
    p = (points - item.centre) @ item.rotation / item.half
    if shape is Shape.BOX:
        distance = np.abs(np.abs(p).max(axis=1) - 1)
    elif shape is Shape.QUAD:
        distance = np.where((np.abs(p[:, :2]) < 1 + 1e-3).all(axis=1), np.abs(p[:, 2]), 1)
    elif shape is Shape.FRUSTUM:
        radius = (1 + item.taper) / 2 + (item.taper - 1) / 2 * p[:, 2]
        side = np.abs(np.hypot(p[:, 0], p[:, 1]) - radius)
        cap = np.abs(np.abs(p[:, 2]) - 1) + np.maximum(np.hypot(p[:, 0], p[:, 1]) - radius, 0)
        cap = np.where((p[:, 2] > 0) & item.open_top, 1, cap)
        distance = np.where(np.abs(p[:, 2]) < 1 + 1e-3, np.minimum(side, cap), 1)
    else:
        distance = np.abs(np.linalg.norm(p, axis=1) - 1)
        if shape is Shape.BOWL:
            assert (p[:, 2] < 1e-3).all()
    assert distance.max() < 1e-3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", list(Shape))
def test_the_screen_rectangle_cuts_nothing_off(shape: Shape, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    item = primitive(shape, seed, taper=1.5)
    view = view_from((0.6, -1.0 - 0.3 * seed, 0.9), (0.5, 0.2, 0.3))
    depth, _ = cast([item], view)
    whole = np.array([[0, view.height, 0, view.width]])
    monkeypatch.setattr(Solids, "screen_rectangles", lambda self, view: whole)
    everywhere, _ = cast([item], view)
    np.testing.assert_array_equal(depth, everywhere)


def test_nearest_object_wins_whatever_the_order() -> None:
    view = view_from((0, 0, 0), (0, 1, 0))
    near = Primitive(Shape.BOX, np.array([0.0, 3.0, 0.0]), np.full(3, 0.3), np.eye(3), 0)
    far = Primitive(Shape.BOX, np.array([0.0, 6.0, 0.0]), np.array([9.0, 0.3, 9.0]), np.eye(3), 0)
    first, index = cast([near, far], view)
    second, swapped = cast([far, near], view)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(index, 1 - swapped)
    assert first[30, 40] == pytest.approx(2.7)


def test_objects_behind_the_camera_are_not_seen() -> None:
    depth, index = cast([primitive(shape) for shape in Shape], view_from((0, 3, 0), (0, 9, 0)))
    assert np.isinf(depth).all()
    assert (index == -1).all()


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_every_family_renders_sound_scenes(kind: str) -> None:
    for seed in (3, 4):
        scene = render_scene(seed, 72, 96, kind=kind)
        assert scene.kind == kind
        assert scene.image.shape == (72, 96, 3)
        assert scene.image.dtype == np.uint8
        assert scene.depth_m.shape == (72, 96)
        assert scene.depth_m.dtype == np.float32
        assert not np.isnan(scene.depth_m).any()
        assert (scene.depth_m > 0).all()
        assert scene.focal_px > 10
        assert scene.image.std() > 4
        known = scene.depth_m[np.isfinite(scene.depth_m)]
        assert known.size > 0.2 * scene.depth_m.size
        assert np.percentile(known, 96) > 1.1 * np.percentile(known, 4)


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    one, two = (render_scene(11, 64, 80, textures=[photograph]) for _ in range(2))
    assert one.image.tobytes() == two.image.tobytes()
    assert one.depth_m.tobytes() == two.depth_m.tobytes()
    assert one.image.tobytes() != render_scene(12, 64, 80, textures=[photograph]).image.tobytes()


def test_seeds_reach_every_family(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = set()

    def only_planned(shots, device):
        drawn.update(shot.scene.kind for shot in shots)
        return [[None]] * len(shots)

    monkeypatch.setattr(rendered, "_rendered", only_planned)
    rendered.render_scenes(range(80), 32, 32)
    assert drawn == set(FAMILIES)


def test_unusable_options_are_refused() -> None:
    with pytest.raises(OptionError, match="too small"):
        render_scene(1, 16, 64)
    with pytest.raises(OptionError, match="tabletop"):
        render_scene(1, kind="moon")
    with pytest.raises(OptionError, match="use 'cpu'"):
        render_scene(1, 32, 32, device="nonsense")
    with pytest.raises(OptionError, match="at least one"):
        render_clip(1, 0)
    with pytest.raises(OptionError, match="at least 1"):
        write_shards("unused", 0, seed=1)
    with pytest.raises(OptionError, match="between 0 and 1"):
        write_shards("unused", 1, seed=1, portrait=2)


def test_textures_are_read_in_order_and_shrunk(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), np.full((30, 700, 3), (255, 0, 0), np.uint8))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 10, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    first, second = load_textures(tmp_path)
    assert first.shape == (20, 10, 3)
    assert max(second.shape) == 512
    assert tuple(second[5, 5]) == (0, 0, 255)


def test_unreadable_textures_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image files"):
        load_textures(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        load_textures(tmp_path / "missing")
    (tmp_path / "broken.jpg").write_bytes(b"no")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        load_textures(tmp_path)


def test_shards_resume_after_an_interruption_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shards(folder: Path) -> list[Path]:
        return write_shards(folder, 5, seed=7, height=32, width=40, shard_size=2)

    whole = shards(tmp_path / "whole")
    real, calls = rendered.render_scenes, itertools.count()

    def interrupted(*args: object, **kwargs: object) -> list[rendered.RenderedScene]:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(rendered, "render_scenes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards(tmp_path / "cut")
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["shard-00000.npz"]
    kept = (tmp_path / "cut" / "shard-00000.npz").stat().st_mtime_ns
    monkeypatch.setattr(rendered, "render_scenes", real)
    resumed = shards(tmp_path / "cut")
    assert resumed[0].stat().st_mtime_ns == kept
    assert [p.name for p in resumed] == [p.name for p in whole]
    for a, b in zip(whole, resumed, strict=True):
        with np.load(a) as one, np.load(b) as two:
            np.testing.assert_array_equal(one["image"], two["image"])
            np.testing.assert_array_equal(one["inverse_depth"], two["inverse_depth"])


def test_a_shard_holds_relative_inverse_depth(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    paths = write_shards(
        tmp_path, 3, seed=1, height=32, width=40, shard_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(0, 3), (2, 3), (3, 3)]
    with np.load(paths[0]) as first, np.load(paths[1]) as last:
        assert first["image"].shape == (2, 32, 40, 3)
        assert last["image"].shape == (1, 32, 40, 3)
        inverse = first["inverse_depth"]
    assert inverse.dtype == np.float16
    assert np.isfinite(inverse).all()
    assert inverse.min() >= 0
    assert inverse.max() <= 1
    seeds = np.random.SeedSequence([1, 0]).generate_state(2, np.uint64)
    scene = render_scene(int(seeds[0]), 32, 40)
    near = 1 / scene.depth_m
    np.testing.assert_allclose(inverse[0], near / max(1.0, near.max()), rtol=2e-3, atol=1e-6)
    with np.load(paths[0]) as first:
        assert first["scale"][0] == pytest.approx(max(1.0, near.max()))
        assert first["focal_px"][0] == pytest.approx(scene.focal_px)
        assert first["kind"][0] == scene.kind
        assert "normal" not in first


def test_shards_may_be_upright_and_hold_normals(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, 2, seed=1, height=32, width=40, shard_size=1, portrait=0.5, normals=True)
    shapes = []
    for path in paths:
        with np.load(path) as shard:
            shapes.append(shard["image"].shape)
            assert shard["normal"].shape == shapes[-1]
            length = np.linalg.norm(shard["normal"].astype(float), axis=-1)
            np.testing.assert_allclose(length[shard["inverse_depth"] > 1e-4], 127, atol=1.5)
    assert shapes == [(1, 32, 40, 3), (1, 40, 32, 3)]


def test_workers_make_the_same_shards(tmp_path: Path) -> None:
    alone = write_shards(tmp_path / "one", 2, seed=3, height=32, width=40, shard_size=1)
    together = write_shards(tmp_path / "two", 2, seed=3, height=32, width=40, shard_size=1, workers=2)
    for a, b in zip(alone, together, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_local_frame_maps_the_centre_to_the_origin() -> None:
    item = primitive(Shape.BOX)
    view = view_from((2, -2, 1), (0.1, 0.2, 0.3))
    matrices, origins = Solids.of([item]).local_frames(view)
    away = float(np.linalg.norm(item.centre - view.position))
    np.testing.assert_allclose(origins[0] + away * matrices[0] @ np.array([0, 0, 1]), 0, atol=1e-9)
