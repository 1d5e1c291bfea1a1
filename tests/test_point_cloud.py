"""From depth to points: exact geometry, surfaces that are surfaces, and refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.rendered import render_scene
from depth_anything_v2.datasets.scenes.raycast import Primitive, Shape, View, cast
from depth_anything_v2.errors import DepthKindError, InputError, OptionError
from depth_anything_v2.point_cloud import CloudOptions, PointCloud, beside_jumps, build_cloud
from depth_anything_v2.prediction import DepthPrediction, Provenance

HEIGHT, WIDTH, FOCAL = 240, 320, 260.0
BALL, RADIUS = np.array([-0.4, 0.3, 2.5]), 0.6
FLOOR_Y, WALL_Z = 1.0, 6.0  # y is down


def scene() -> npt.NDArray[np.float32]:
    """Render a ball over a floor that runs to a wall, seen along z: every surface has a formula."""
    about_x = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # turns the square z = 0 into y = 0
    items = [
        Primitive(Shape.QUAD, np.array([0, FLOOR_Y, 0.0]), np.array([50.0, 50, 1]), about_x, 0),
        Primitive(Shape.QUAD, np.array([0, 0, WALL_Z]), np.array([50.0, 50, 1]), np.eye(3), 0),
        Primitive(Shape.ELLIPSOID, BALL, np.full(3, RADIUS), np.eye(3), 0),
    ]
    return cast(items, View(np.zeros(3), np.eye(3), FOCAL, HEIGHT, WIDTH))[0]


def camera() -> Camera:
    return Camera.from_pixels(WIDTH, HEIGHT, FOCAL)


def distance_to_surfaces(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    p = points.astype(np.float64)
    to_ball = np.abs(np.linalg.norm(p - BALL, axis=1) - RADIUS)
    return np.minimum(to_ball, np.minimum(np.abs(p[:, 1] - FLOOR_Y), np.abs(p[:, 2] - WALL_Z)))


def metric(depth: npt.NDArray[np.float32], **more: object) -> DepthPrediction:
    return DepthPrediction(depth, "metric", **more)  # type: ignore[arg-type]


def test_a_rendered_scene_comes_back_on_its_surfaces() -> None:
    cloud = metric(scene()).to_point_cloud(camera(), mesh=True)
    assert cloud.unit == "m"
    assert distance_to_surfaces(cloud.points).max() < 1e-3
    assert len(cloud) > 0.97 * WIDTH * HEIGHT
    assert cloud.faces is not None
    # A triangle across an edge would have its middle in the air; those of the ball cut it by less than a centimetre.
    middles = cloud.points[cloud.faces].mean(axis=1)
    assert distance_to_surfaces(middles).max() < 0.01
    assert len(cloud.faces) > 1.85 * len(cloud)


def test_normals_are_those_of_the_surfaces_and_face_the_camera() -> None:
    cloud = metric(scene()).to_point_cloud(camera())
    points, normals = cloud.points, cloud.normals
    assert normals is not None
    known = normals.any(axis=1)
    assert known.mean() > 0.999
    np.testing.assert_allclose(np.linalg.norm(normals[known], axis=1), 1, atol=1e-5)
    assert (np.einsum("nk,nk->n", normals, points) <= 0).all()
    on_floor = known & (np.abs(points[:, 1] - FLOOR_Y) < 1e-4)
    inside = np.abs(normals[on_floor] - [0, -1, 0]).max(axis=1) < 2e-3
    assert inside.mean() > 0.99  # the others lie beside the wall, and lean to it
    on_ball = known & (np.abs(np.linalg.norm(points - BALL, axis=1) - RADIUS) < 1e-4)
    outward = (points - BALL) / RADIUS
    assert np.einsum("nk,nk->n", normals, outward)[on_ball].min() > 0.93
    assert np.median(np.einsum("nk,nk->n", normals, outward)[on_ball]) > 0.9999


@pytest.mark.parametrize("kind", ["room", "street"])
def test_points_reproject_to_their_pixels(kind: str) -> None:
    rendered = render_scene(10_000_001, 120, 160, kind=kind)
    view = Camera.from_pixels(160, 120, rendered.focal_px, cx=80.3, cy=57.9)
    cloud = metric(rendered.depth_m).to_point_cloud(view, max_jump=0)
    known = np.isfinite(rendered.depth_m)
    rows, columns = np.nonzero(known)
    np.testing.assert_allclose(view.project(cloud.points), np.stack([columns, rows], axis=1), atol=1e-4)
    np.testing.assert_array_equal(cloud.points[:, 2], rendered.depth_m[known])


def test_a_large_picture_reprojects_within_a_ten_thousandth_of_a_pixel() -> None:
    width, height = 3000, 40
    view = Camera.from_pixels(width, height, 1700.3, 1699.1, 1490.7, 18.2)
    depth = np.random.default_rng(0).uniform(0.3, 80, (height, width)).astype(np.float32)
    points = metric(depth).to_point_cloud(view, max_jump=0, normals=False).points
    expected = np.indices((height, width))[::-1].reshape(2, -1).T
    assert np.abs(view.project(points) - expected).max() < 1e-4


def test_distance_along_the_ray_gives_the_same_points() -> None:
    planar = metric(scene())
    points = planar.to_ray(camera()).to_point_cloud().points
    np.testing.assert_allclose(points, planar.to_point_cloud(camera()).points, atol=1e-5)


def test_a_plane_seen_at_a_grazing_angle_is_no_jump_and_an_edge_is() -> None:
    depth = scene()
    rows = np.arange(HEIGHT)[:, None]
    floor = np.isclose(depth, FLOOR_Y * FOCAL / np.maximum(rows - (HEIGHT - 1) / 2, 1e-9), rtol=1e-5)
    # Down to the wall, 6 m away, the steps of the floor are below 3 %; without the wall it runs to the horizon.
    endless = np.where(rows > HEIGHT / 2 + 2, FLOOR_Y * FOCAL / np.maximum(rows - (HEIGHT - 1) / 2, 1e-9), np.inf)
    steep = (np.abs(np.diff(1 / endless, axis=0)) > 0.05 / endless[1:]).any(axis=1)
    assert 15 < steep.sum() < 60  # rows that a plain threshold would lose
    lost = beside_jumps(np.broadcast_to(endless, depth.shape).astype(np.float32), 0.05)
    assert lost.any(axis=1).sum() <= 3  # where it meets the sky
    marked = beside_jumps(depth, 0.05)
    ball = np.abs(np.linalg.norm(camera().unproject(depth) - BALL, axis=2) - RADIUS) < 1e-4
    outline = ball[:, 1:] != ball[:, :-1]
    jumps = np.abs(np.diff(1 / depth, axis=1)) > 0.1 / np.minimum(depth[:, 1:], depth[:, :-1])
    edges = outline & jumps
    assert edges.sum() > 150
    assert marked[:, 1:][edges].all()
    assert marked[:, :-1][edges].all()
    right_of_ball = np.arange(WIDTH) > 250
    assert (floor & right_of_ball).sum() > 3000
    assert not marked[floor & right_of_ball].any()
    assert not beside_jumps(depth, 0).any()


def test_flying_pixels_of_a_smaller_network_are_left_out() -> None:
    import cv2

    truth = 1 / scene()
    low = cv2.resize(truth, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
    smeared = 1 / cv2.resize(low, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    network = Provenance(network_size=(HEIGHT // 4, WIDTH // 4))
    everything = build_cloud(metric(smeared), camera(), options=CloudOptions(max_jump=0))
    cloud = build_cloud(metric(smeared, provenance=network), camera())
    flying = distance_to_surfaces(everything.points) > 0.1
    left = distance_to_surfaces(cloud.points) > 0.1
    assert flying.sum() > 1000
    assert left.sum() < 0.02 * flying.sum()
    assert (~left).sum() > 0.93 * (~flying).sum()


def test_sky_invalid_and_saturated_pixels_never_become_points() -> None:
    depth = np.full((20, 30), 3.0, np.float32)
    depth[0], depth[1], depth[2], depth[3] = np.nan, np.inf, 0, -1
    depth[4] = 19.9  # at the end of what the model can say
    masked = metric(depth, max_depth_m=20.0)
    masked = masked.replace(valid=masked.valid & (np.arange(30) != 7))
    cloud = masked.to_point_cloud(mesh=True, max_jump=0)
    assert len(cloud) == 15 * 29
    assert (cloud.points[:, 2] == 3).all()
    assert cloud.faces is not None
    assert cloud.faces.max() < len(cloud)
    corners = cloud.points[cloud.faces]
    assert np.ptp(corners[..., 0], axis=1).max() < 1.5 * 3 / Camera.assume(30, 20).fx  # none across the gap


def test_triangles_turn_to_the_camera_and_fill_the_corners() -> None:
    depth = np.full((3, 3), 2.0, np.float32)
    depth[0, 0] = np.nan
    cloud = metric(depth).to_point_cloud(mesh=True)
    assert cloud.faces is not None
    assert len(cloud.faces) == 7  # eight of a whole grid, less the one corner
    a, b, c = (cloud.points[cloud.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] < 0).all()
    turned = cloud.in_frame("opengl")
    a, b, c = (turned.points[cloud.faces[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_colours_belong_to_their_points_in_both_frames() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    plain = metric(scene()).to_point_cloud(camera(), rgb)
    turned = metric(scene()).to_point_cloud(camera(), rgb, frame="opengl")
    pixels = np.rint(camera().project(plain.points)).astype(int)
    np.testing.assert_array_equal(plain.colors, rgb[pixels[:, 1], pixels[:, 0]])
    np.testing.assert_array_equal(turned.points, plain.points * [1, -1, -1])
    assert plain.normals is not None
    np.testing.assert_array_equal(turned.normals, plain.normals * np.float32([1, -1, -1]))
    np.testing.assert_array_equal(turned.in_frame("opencv").points, plain.points)
    assert "OpenGL" in turned.describe()[0]
    assert "OpenCV" in plain.describe()[0]


def test_one_point_per_voxel_is_the_mean() -> None:
    points = np.array([[0.1, 0.1, 1.1], [0.3, 0.2, 1.4], [-0.1, 0.1, 1.1], [5, 5, 5]], np.float32)
    colors = np.array([[10, 0, 0], [20, 0, 1], [7, 7, 7], [1, 2, 3]], np.uint8)
    normals = np.array([[0, 0, -1], [0, -1, 0], [0, 0, -1], [0, 0, 0]], np.float32)
    thin = PointCloud(points, colors, normals).thinned(voxel=0.5)
    order = np.argsort(thin.points[:, 0])
    assert thin.colors is not None
    assert thin.normals is not None
    np.testing.assert_allclose(thin.points[order], [[-0.1, 0.1, 1.1], [0.2, 0.15, 1.25], [5, 5, 5]], atol=1e-6)
    np.testing.assert_array_equal(thin.colors[order], [[7, 7, 7], [15, 0, 0], [1, 2, 3]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(thin.normals[order], [[0, 0, -1], [0, -half, -half], [0, 0, 0]], atol=1e-6)
    cloud = metric(scene()).to_point_cloud(camera(), voxel=0.05)
    cells = np.unique(np.floor(cloud.points / 0.05), axis=0)
    assert 0.95 * len(cloud) <= len(cells) <= len(cloud)
    with pytest.raises(OptionError, match="too small"):
        cloud.thinned(voxel=1e-9)


def test_random_thinning_is_seeded_and_keeps_colours() -> None:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 0] = np.arange(WIDTH) % 256
    whole = metric(scene()).to_point_cloud(camera(), rgb)
    thin = metric(scene()).to_point_cloud(camera(), rgb, count=500, seed=3)
    again = whole.thinned(count=500, seed=3)
    np.testing.assert_array_equal(thin.points, again.points)
    assert len(thin) == 500
    columns = np.rint(camera().project(thin.points))[:, 0].astype(int)
    assert thin.colors is not None
    np.testing.assert_array_equal(thin.colors[:, 0], columns % 256)
    assert len(whole.thinned(count=10**9)) == len(whole)


def test_relative_depth_is_refused_with_the_way_out_or_taken_as_said() -> None:
    truth = scene()
    relative = DepthPrediction(50 * (1 / truth) - 3, "relative", camera=camera())
    with pytest.raises(DepthKindError, match=r"align.*--assume-affine.*--visual"):
        relative.to_point_cloud()
    fitted = relative.to_point_cloud(affine=(1 / 50, 3 / 50))
    assert fitted.unit == "m"
    assert distance_to_surfaces(fitted.points).max() < 1e-3
    assert any("inverse depth taken as 0.02" in line for line in fitted.describe())
    seen = relative.to_point_cloud(visual=True)
    assert seen.unit == "none"
    assert "for looking only" in " ".join(seen.describe())
    assert seen.points[:, 2].min() == 1
    assert 5.5 < seen.points[:, 2].max() <= 6
    # What would lie behind the horizon is no point, and no huge one.
    behind = relative.to_point_cloud(affine=(1 / 50, -0.2), max_jump=0)
    assert len(behind) < len(seen)
    assert (behind.points[:, 2] > 0).all()
    with pytest.raises(DepthKindError, match="in metres already"):
        metric(truth).to_point_cloud(visual=True)


def test_the_camera_is_the_given_one_or_the_own_one_or_said_to_be_assumed() -> None:
    depth = scene()
    own = metric(depth, camera=camera()).to_point_cloud()
    np.testing.assert_array_equal(own.points, metric(depth).to_point_cloud(camera()).points)
    assert not any("assumed" in line for line in own.describe())
    assumed = metric(depth).to_point_cloud()
    assert any("the camera was assumed" in line for line in assumed.describe())
    half = metric(depth).to_point_cloud(camera().resized(WIDTH // 2, HEIGHT // 2))
    np.testing.assert_allclose(half.points, own.points, atol=1e-5)
    assert any("scaled from the camera of 160 x 120" in line for line in half.describe())
    with pytest.raises(OptionError, match="another picture"):
        metric(depth).to_point_cloud(Camera.from_fov(100, 100, horizontal_deg=60))


def test_what_cannot_be_a_cloud_is_said_in_a_sentence() -> None:
    depth = np.full((4, 5), np.nan, np.float32)
    with pytest.raises(InputError, match="20 of 20 are invalid"):
        metric(depth).to_point_cloud()
    with pytest.raises(InputError, match="must be of one size"):
        metric(np.ones((4, 5), np.float32)).to_point_cloud(image=np.zeros((5, 4, 3), np.uint8))
    with pytest.raises(InputError, match="beside jumps"):
        metric(1 + np.indices((4, 4)).sum(axis=0).astype(np.float32) % 2).to_point_cloud()
    for bad in (
        {"frame": "blender"},
        {"max_jump": 1.0},
        {"affine": (-1.0, 0.0)},
        {"affine": (1.0, 0.0), "visual": True},
        {"voxel": 0.0},
        {"count": 0},
        {"mesh": True, "voxel": 0.1},
    ):
        with pytest.raises(OptionError):
            CloudOptions(**bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="colors"):
        PointCloud(np.zeros((2, 3), np.float32), np.zeros((3, 3), np.uint8))


def test_a_single_row_and_a_single_pixel() -> None:
    for shape in ((1, 1), (1, 7), (7, 1)):
        cloud = metric(np.full(shape, 2.0, np.float32)).to_point_cloud(mesh=True)
        assert len(cloud) == shape[0] * shape[1]
        assert cloud.faces is not None
        assert len(cloud.faces) == 0
        assert cloud.normals is not None
        assert not cloud.normals.any()  # nothing tells them


def test_the_description_is_plain_lines_of_ascii() -> None:
    cloud = PointCloud(np.zeros((1, 3), np.float32), notes=("masked by 'Föhn\n.png'",))
    assert dataclasses.replace(cloud).describe()[-1] == r"masked by 'F\xf6hn .png'"
