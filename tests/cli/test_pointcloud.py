"""`depth-anything pointcloud` and `plot`: pictures and depth files to clouds, meshes and diagrams."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from picture_files import FakeEstimator, photo, replace_model
from PIL import Image
from ply_reader import read_ply

from depth_anything_v2.camera import Camera
from depth_anything_v2.io import read_image, to_uint8
from depth_anything_v2.io.camera_files import write_camera
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.prediction import DepthPrediction

Run = Callable[..., Any]


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    """A model that answers red + 1 metres; the list tells how often it was loaded."""
    return replace_model(monkeypatch, lambda options: FakeEstimator(max_depth_m=options.max_depth_m or 1000))


@pytest.fixture
def relative(monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    return replace_model(monkeypatch, lambda options: FakeEstimator())


def waves(kind: str = "metric", **more: Any) -> DepthPrediction:
    depth = 2 + 0.3 * np.sin(np.arange(64, dtype=np.float32) / 9)[None, :].repeat(48, axis=0)
    return DepthPrediction(depth if kind == "metric" else 1 / depth, kind, **more)  # type: ignore[arg-type]


def test_pictures_become_clouds_in_metres(command: Run, metric: list[EstimatorOptions]) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/sub/b.png"), 40, 56, seed=2)
    outcome = command("pointcloud", "in", "-o", "out", "--max-jump", 0, "--fov", 70)
    assert (outcome.status, outcome.err.count("\n")) == (0, 2)
    assert "camera" in outcome.out
    cloud = read_ply("out/sub/b.ply")
    rgb = to_uint8(read_image("in/sub/b.png"))
    assert len(cloud.points) == 40 * 56
    np.testing.assert_array_equal(cloud.points[:, 2], rgb[..., 0].ravel() + np.float32(1))
    np.testing.assert_array_equal(cloud.colors, rgb.reshape(-1, 3))
    camera = Camera.from_fov(56, 40, horizontal_deg=70)
    np.testing.assert_allclose(camera.project(cloud.points), np.indices((40, 56))[::-1].reshape(2, -1).T, atol=1e-4)
    assert "unit: metres" in cloud.comments
    assert any("field of view 70.0" in line for line in cloud.comments)
    assert cloud.normals is not None


def test_formats_preview_report_and_resume(command: Run, metric: list[EstimatorOptions]) -> None:
    photo(Path("a.png"))
    run = ("pointcloud", "a.png", "-o", "out", "-f", "glb,ply", "--mesh", "--preview", "--max-jump", 0)
    assert command(*run, "--report", "r.json").status == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".depth-anything",
        "a.glb",
        "a.ply",
        "a_preview.png",
    ]
    (mesh,) = trimesh.load("out/a.glb", process=False, force="scene").geometry.values()
    assert mesh.faces.shape == (2 * 47 * 63, 3)
    assert (mesh.vertices[:, 2] < 0).all()
    assert read_image("out/a_preview.png").shape == (720, 960, 3)
    with Image.open("out/a_preview.png") as picture:
        assert "unit: metres" in picture.info["Description"]
    report = json.loads(Path("r.json").read_text())
    assert report["inputs"][0]["camera"]["source"] == "assumed"
    assert report["options"]["cloud"]["mesh"] is True
    assert "1 skipped" in command(*run, "--resume").out
    assert "1 done" in command(*run, "--resume", "--no-normals").out
    assert command(*run).status == 2


def test_depth_files_need_no_model_and_find_their_pictures(command: Run, metric: list[EstimatorOptions]) -> None:
    rgb = to_uint8(read_image(photo(Path("in/x.jpg"))))
    photo(Path("in/y.jpg"), 20, 20)  # of another size: not its picture
    own = Camera.from_pixels(64, 48, 80.0)
    for name, extra in (("x.npz", {}), ("x_depth16.png", {}), ("y.exr", {}), ("z.npy", {"camera": own})):
        waves(**extra).save(Path("in") / name)
    waves().save("in/x.png", format="png")  # a picture of depth: nothing to take from it
    outcome = command("pointcloud", "in/*.npz", "in/*16.png", "in/y.exr", "in/z.npy", "-o", "out")
    assert (outcome.status, metric) == (0, [])
    assert outcome.out.startswith("4 done")
    clouds = {path.stem: read_ply(path) for path in Path("out").glob("*.ply")}
    assert sorted(clouds) == ["x", "x_depth16", "y", "z"]
    np.testing.assert_array_equal(clouds["x"].colors, rgb.reshape(-1, 3))
    np.testing.assert_array_equal(clouds["x_depth16"].colors, rgb.reshape(-1, 3))
    assert clouds["y"].colors is None
    np.testing.assert_allclose(own.project(clouds["z"].points), np.indices((48, 64))[::-1].reshape(2, -1).T, atol=1e-4)
    again = command("pointcloud", "in/y.exr", "-o", "out", "--overwrite", "--image", "in/x.jpg")
    assert again.status == 0
    np.testing.assert_array_equal(read_ply("out/y.ply").colors, rgb.reshape(-1, 3))
    resumed = ("pointcloud", "in/y.exr", "-o", "out", "--resume")
    assert "1 skipped" in command(*resumed, "--image", "in/x.jpg").out
    assert "1 done" in command(*resumed).out
    wrong = command("pointcloud", "in/x.npz", "-o", "out2", "--image", "in/y.jpg")
    assert (wrong.status, wrong.err.count("\n")) == (1, 1)
    assert "the picture is 20 x 20 pixels, the depth map 64 x 48" in wrong.err


def test_a_folder_of_pictures_and_depth(command: Run, metric: list[EstimatorOptions]) -> None:
    photo(Path("in/p.png"))
    waves().save("in/d.npz")
    waves().save("in/shown.png", format="png")
    outcome = command("pointcloud", "in", "-o", "out", "--max-jump", 0)
    assert outcome.status == 0
    assert sorted(path.name for path in Path("out").glob("*.ply")) == ["d.ply", "p.ply"]
    named = command("pointcloud", "in/shown.png", "in/d.npz", "-o", "out2")
    assert named.status == 1
    assert "'in/shown.png' is a coloured picture of depth and holds no numbers" in named.err.replace("\\", "/")


def test_relative_depth_is_refused_before_anything_runs(command: Run, relative: list[EstimatorOptions]) -> None:
    photo(Path("a.png"))
    refused = command("pointcloud", "a.png", "-o", "out")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "depth-anything align" in refused.err
    assert not Path("out").exists()
    waves("relative").save("r.npz")
    assert "--assume-affine" in command("pointcloud", "r.npz", "-o", "out").err
    fitted = command("pointcloud", "r.npz", "-o", "out", "--assume-affine", 1, 0)
    assert fitted.status == 0
    np.testing.assert_allclose(read_ply("out/r.ply").points[:, 2], waves().depth.ravel(), rtol=1e-5)
    seen = command("pointcloud", "r.npz", "-o", "seen", "--visual", "--opengl")
    assert seen.status == 0
    assert "unit: none, for looking only" in read_ply("seen/r.ply").comments
    assert (read_ply("seen/r.ply").points[:, 2] < 0).all()
    waves().save("m.npz")
    assert "in metres already" in command("pointcloud", "m.npz", "-o", "out", "--visual").err


def test_masks_thinning_and_the_depth_of_other_programs(command: Run, metric: list[EstimatorOptions]) -> None:
    waves().save("m.npz")
    sky = np.zeros((48, 64), np.uint8)
    sky[:24] = 255
    Image.fromarray(sky).save("sky.png")
    assert command("pointcloud", "m.npz", "-o", "a", "--mask", "sky.png").status == 0
    assert len(read_ply("a/m.ply").points) == 24 * 64
    assert command("pointcloud", "m.npz", "-o", "b", "--points", 100, "--seed", 1).status == 0
    assert len(read_ply("b/m.ply").points) == 100
    assert command("pointcloud", "m.npz", "-o", "c", "--voxel", 0.2, "-f", "xyz").status == 0
    assert 20 < len(np.loadtxt("c/m.xyz")) < 500
    Image.fromarray(np.full((48, 64), 1500, np.uint16)).save("kinect.png")
    told = command("pointcloud", "kinect.png", "-o", "d", "--depth-scale", 0.001)
    assert (told.status, metric) == (0, [])
    np.testing.assert_allclose(read_ply("d/kinect.ply").points[:, 2], 1.5)
    assert "does not say what its numbers are" in command("pointcloud", "kinect.png", "-o", "d", "--overwrite").err


def test_a_picture_on_stdin(command: Run, metric: list[EstimatorOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(photo(Path("a.png")).read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert command("pointcloud", "-", "-o", "out", "--max-jump", 0).status == 0
    assert len(read_ply("out/stdin.ply").points) == 48 * 64


def test_mistakes_are_told_in_a_sentence(command: Run, metric: list[EstimatorOptions]) -> None:
    waves().save("m.npz")
    DepthPrediction(np.full((4, 5), np.nan), "metric").save("nan.npz")
    write_camera(Camera.from_fov(100, 100, horizontal_deg=60), "square.json")
    for arguments, sentence in (
        (("nan.npz",), "no pixel of the depth map can be a point: 20 of 20 are invalid"),
        (("m.npz", "--camera", "square.json"), "another picture"),
        (("m.npz", "--fx", "18"), "millimetres"),
        (("m.npz", "--format", "obj"), "choose from ply, glb, xyz"),
        (("m.npz", "--format", "xyz", "--mesh"), "points only"),
        (("m.npz", "--mesh", "--voxel", "0.1"), "cannot be thinned"),
        (("m.npz", "--voxel", "-1"), "positive number"),
        (("m.npz", "--max-jump", "2"), "share of the depth"),
        (("m.npz", "--assume-affine", "-1", "0"), "positive A"),
        (("m.npz", "--image", "nowhere.jpg"), "there is no picture 'nowhere.jpg'"),
        (("gone.npz",), "does not exist"),
        (("m.npz", "--resume", "--overwrite"), "give one of them"),
    ):
        outcome = command("pointcloud", *arguments, "-o", "out", "-q")
        assert outcome.status in (1, 2), arguments
        assert outcome.err.count("\n") == 1, outcome.err
        assert sentence in outcome.err, outcome.err
    assert [path for path in Path("out").rglob("*") if path.suffix in (".ply", ".part")] == []


def test_plot_draws_depth_files_and_says_what_it_cannot_draw(command: Run) -> None:
    pytest.importorskip("matplotlib")
    Path("a").mkdir()
    Path("b").mkdir()
    waves().save("a/m.npz")
    waves().save("a/m_depth16.png")
    waves().replace(depth=waves().depth * 1.1).save("b/m.npz")
    photo(Path("photo.jpg"))
    done = command("plot", "a/m.npz", "b/m.npz", "-o", "new/p.png", "--profile", "0,5,60,40", "--histogram")
    assert (done.status, done.out) == (0, f"2 maps -> {Path('new/p.png')}\n")
    assert read_image("new/p.png").std() > 10
    np.save("sensor.npy", np.rint(waves().depth * 1000).astype(np.uint16))
    assert command("plot", "sensor.npy", "a/m.npz", "-o", "new/s.png", "--depth-scale", 0.001).status == 0
    for arguments, sentence in (
        (("a/m_depth16.png", "-o", "a/m_depth16.png", "--overwrite"), "one of the inputs"),
        (("sensor.npy", "-o", "x.png"), "does not say what its numbers are"),
        (("sensor.npy", "-o", "x.png", "--depth-scale", "0"), "positive number of metres"),
        (("a/m.npz", "-o", "new/p.png"), "already there"),
        (("a/m.npz", "-o", "x.jpg"), ".png, .pdf, .svg"),
        (("photo.jpg", "-o", "x.png"), "predict it first"),
        (("gone.npz", "-o", "x.png"), "no such file"),
        (("a/m.npz", "-o", "x.png", "--profile", "0,5,64,5"), "outside the map"),
        (("a/m.npz", "-o", "x.png", "--profile", "0,5"), "X1,Y1,X2,Y2"),
        (("a/m.npz", "-o", "x.png", "--range", "5,1"), "nearer first"),
    ):
        outcome = command("plot", *arguments)
        assert outcome.status in (1, 2), arguments
        assert outcome.err.count("\n") == 1, outcome.err
        assert sentence in outcome.err, outcome.err
    assert not Path("x.png").exists()
