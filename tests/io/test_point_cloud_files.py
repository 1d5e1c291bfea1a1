"""Point cloud files, read back by readers that are not ours: trimesh's, and one written from the format."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from ply_reader import read_ply

from depth_anything_v2.errors import OptionError, OutputError
from depth_anything_v2.io import point_clouds
from depth_anything_v2.io.cloud_preview import BACKGROUND, PreviewOptions, render_preview
from depth_anything_v2.io.point_clouds import write_cloud
from depth_anything_v2.point_cloud import PointCloud
from depth_anything_v2.prediction import DepthPrediction


def sample(*, mesh: bool = False, frame: str = "opencv") -> PointCloud:
    rng = np.random.default_rng(0)
    depth = rng.uniform(2, 2.05, (30, 40)).astype(np.float32)
    depth[5:9, 5:9] = np.nan
    depth[12, 20] = 3  # a lonely jump
    colors = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return DepthPrediction(depth, "metric").to_point_cloud(None, colors, mesh=mesh, frame=frame)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every file takes several blocks."""
    monkeypatch.setattr(point_clouds, "_BLOCK", 500)
    monkeypatch.setattr(point_clouds, "_TEXT_BLOCK", 300)


@pytest.mark.parametrize("mesh", [False, True])
def test_ply_holds_everything_bit_by_bit(tmp_path: Path, mesh: bool) -> None:
    cloud = sample(mesh=mesh)
    plain = read_ply(write_cloud(cloud, tmp_path / "a.ply"))
    np.testing.assert_array_equal(plain.points, cloud.points)
    np.testing.assert_array_equal(plain.normals, cloud.normals)
    np.testing.assert_array_equal(plain.colors, cloud.colors)
    assert (plain.faces is not None) == mesh
    assert plain.comments[1:] == cloud.describe()
    assert plain.comments[1:3] == ["OpenCV camera frame: right-handed, x right, y down, z forward", "unit: metres"]
    theirs = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(theirs.vertices, cloud.points)
    if mesh:
        np.testing.assert_array_equal(plain.faces, cloud.faces)
        np.testing.assert_array_equal(theirs.faces, cloud.faces)
        np.testing.assert_array_equal(theirs.visual.vertex_colors[:, :3], cloud.colors)
    else:
        np.testing.assert_array_equal(theirs.colors[:, :3], cloud.colors)


def test_ply_without_colours_and_normals(tmp_path: Path) -> None:
    points = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = read_ply(write_cloud(PointCloud(points, unit="none"), tmp_path / "a.ply"))
    np.testing.assert_array_equal(plain.points, points)
    assert (plain.normals, plain.colors, plain.faces) == (None, None, None)
    assert "unit: none, for looking only" in plain.comments
    assert len(read_ply(write_cloud(PointCloud(points[:0]), tmp_path / "empty.ply")).points) == 0


def glb_parts(path: Path) -> tuple[dict[str, object], bytes]:
    data = path.read_bytes()
    magic, version, length, json_length, kind = struct.unpack("<4sIIII", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), 0x4E4F534A)
    assert json_length % 4 == 0
    buffer_length, kind = struct.unpack("<II", data[20 + json_length : 28 + json_length])
    assert (kind, buffer_length) == (0x004E4942, length - 28 - json_length)
    return json.loads(data[20 : 20 + json_length]), data[28 + json_length :]


def srgb(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("mesh", [False, True])
@pytest.mark.parametrize("frame", ["opencv", "opengl"])
def test_glb_is_in_the_frame_of_gltf(tmp_path: Path, mesh: bool, frame: str) -> None:
    cloud = sample(mesh=mesh, frame=frame)
    path = write_cloud(cloud, tmp_path / "a.glb")
    expected = cloud.in_frame("opengl")
    assert (expected.points[:, 2] < 0).all()
    (theirs,) = trimesh.load(path, process=False, force="scene").geometry.values()
    np.testing.assert_array_equal(theirs.vertices, expected.points)
    scene, buffer = glb_parts(path)
    notes = scene["asset"]["extras"]["notes"]  # type: ignore[index]
    assert notes[:2] == ["OpenGL camera frame: right-handed, x right, y up, z backward", "unit: metres"]
    views, accessors = scene["bufferViews"], scene["accessors"]
    assert [view["byteOffset"] % 4 for view in views] == [0] * len(views)  # type: ignore[attr-defined, index]
    start = views[2]["byteOffset"]  # type: ignore[index]
    linear = np.frombuffer(buffer, "<f4", 3 * len(cloud), start).reshape(-1, 3)
    np.testing.assert_allclose(srgb(linear), cloud.colors, atol=0.05)
    start = views[1]["byteOffset"]  # type: ignore[index]
    normals = np.frombuffer(buffer, "<f4", 3 * len(cloud), start).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    low, high = accessors[0]["min"], accessors[0]["max"]  # type: ignore[index]
    np.testing.assert_allclose([low, high], [expected.points.min(axis=0), expected.points.max(axis=0)])
    if mesh:
        assert isinstance(theirs, trimesh.Trimesh)
        np.testing.assert_array_equal(theirs.faces, cloud.faces)
        assert (theirs.face_normals[:, 2] > 0).mean() > 0.99  # seen from the camera, their front
    else:
        assert isinstance(theirs, trimesh.PointCloud)
        np.testing.assert_allclose(theirs.colors[:, :3], linear * 255, atol=0.51)


def test_normals_that_nobody_knows_face_the_camera_in_glb(tmp_path: Path) -> None:
    cloud = PointCloud(np.float32([[0, 0, 2], [3, 0, 4]]), normals=np.float32([[0, 0, -1], [0, 0, 0]]))
    _, buffer = glb_parts(write_cloud(cloud, tmp_path / "a.glb"))
    normals = np.frombuffer(buffer, "<f4", 6, 24).reshape(-1, 3)
    np.testing.assert_allclose(normals, [[0, 0, 1], [-0.6, 0, 0.8]], atol=1e-6)


def test_xyz_is_bare_text(tmp_path: Path) -> None:
    cloud = sample()
    path = write_cloud(cloud, tmp_path / "a.xyz")
    values = np.loadtxt(path)
    np.testing.assert_allclose(values[:, :3], cloud.points, rtol=1e-6)
    np.testing.assert_array_equal(values[:, 3:], cloud.colors)
    theirs = trimesh.load(path)
    np.testing.assert_allclose(theirs.vertices, cloud.points, rtol=1e-6)
    np.testing.assert_array_equal(theirs.colors[:, :3], cloud.colors)
    bare = write_cloud(PointCloud(cloud.points), tmp_path / "b.xyz")
    assert np.loadtxt(bare).shape == (len(cloud), 3)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="points only"):
        write_cloud(sample(mesh=True), tmp_path / "a.xyz")
    with pytest.raises(OptionError, match="no metres"):
        write_cloud(PointCloud(np.ones((1, 3), np.float32), unit="none"), tmp_path / "a.xyz")
    with pytest.raises(OptionError, match="ply, glb, xyz"):
        write_cloud(sample(), tmp_path / "a.obj")
    with pytest.raises(OutputError, match="does not exist"):
        write_cloud(sample(), tmp_path / "no" / "a.ply")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cloud(sample(), tmp_path / "a.ply")
    before = path.read_bytes()
    broken = sample()
    object.__setattr__(broken, "colors", "no array")
    with pytest.raises(TypeError):
        write_cloud(broken, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ply"]


def square(
    z: float, colour: tuple[int, int, int], side: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    grid = np.linspace(-side, side, 200, dtype=np.float32)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    return np.stack([x, y, np.full_like(x, z)], axis=1), np.tile(np.uint8(colour), (x.size, 1))


def test_the_preview_shows_the_nearer_surface_in_front() -> None:
    (near, red), (far, blue) = square(2, (250, 0, 0), 0.5), square(4, (0, 0, 250), 2)
    cloud = PointCloud(np.concatenate([near, far]), np.concatenate([red, blue]))
    for flipped in (cloud, cloud.in_frame("opengl")):
        straight = render_preview(flipped, PreviewOptions(160, 120, yaw_deg=0, pitch_deg=0))
        assert straight.shape == (120, 160, 3)
        assert tuple(straight[60, 80]) == (250, 0, 0)
        assert tuple(straight[20, 80]) == (0, 0, 250)
        assert tuple(straight[60, 1]) == BACKGROUND
    middle = (straight == (250, 0, 0)).all(axis=2).nonzero()[1].mean()
    turned = render_preview(cloud, PreviewOptions(160, 120, yaw_deg=25, pitch_deg=0))
    # Seen from the right, what is near moves to the left of what is far.
    columns = [(turned == colour).all(axis=2).nonzero()[1].mean() for colour in ((250, 0, 0), (0, 0, 250))]
    assert abs(middle - 79.5) < 2
    assert columns[0] < columns[1] - 10


def test_a_preview_without_colours_is_shaded_by_the_normals() -> None:
    points, _ = square(2, (0, 0, 0), 1)
    normals = np.tile(np.float32([0, 0, -1]), (len(points), 1))
    grey = render_preview(PointCloud(points, normals=normals), PreviewOptions(64, 64))
    assert np.ptp(grey.reshape(-1, 3).astype(int), axis=1).max() <= 6
    assert grey.max() > 180
    assert render_preview(PointCloud(points[:0]), PreviewOptions(64, 64)).max() == max(BACKGROUND)
    with pytest.raises(OptionError):
        PreviewOptions(yaw_deg=90)
    with pytest.raises(OptionError):
        PreviewOptions(width=8)
