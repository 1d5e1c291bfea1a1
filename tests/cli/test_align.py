"""`depth-anything align`."""

from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colmap_models import of_depth
from picture_files import photo
from PIL import Image

from depth_anything_v2 import Camera, DepthPrediction, Provenance
from depth_anything_v2.datasets.rendered import render_scene
from depth_anything_v2.io import read_depth, read_image
from depth_anything_v2.io.camera_files import write_camera

Run = Callable[..., Any]
SCENE = render_scene(3, 96, 128, kind="room")
DEPTH = SCENE.depth_m
PREDICTION = DepthPrediction(
    (1 / DEPTH - 0.05) / 0.6, "relative", provenance=Provenance("tiny", source="shoot/desk.jpg")
)


def points_file(path: Path, *, wrong: int = 6, count: int = 20) -> Path:
    rng = np.random.default_rng(1)
    y, x = rng.integers(0, 96, count), rng.integers(0, 128, count)
    metres = DEPTH[y, x] * np.where(np.arange(count) < wrong, rng.choice([0.4, 2.5], count), 1)
    path.write_text("x,y,metres\n" + "".join(f"{a},{b},{m:.5f}\n" for a, b, m in zip(x, y, metres, strict=True)))
    return path


def distances(*places: tuple[int, int]) -> list[str]:
    return [part for x, y in places for part in ("--distance", f"{x},{y},{DEPTH[y, x]:.5f}")]


@pytest.mark.parametrize("format", ["npz", "tiff", "png", "npy", "pfm"])
def test_points(command: Run, format: str) -> None:
    PREDICTION.save(f"desk.{format}")
    outcome = command("align", f"desk.{format}", "--points", points_file(Path("p.csv")), "-o", f"out/metres.{format}")
    assert outcome.status == 0, outcome.err
    result = read_depth(f"out/metres.{format}")
    assert result.kind == "metric"
    np.testing.assert_allclose(result.depth, DEPTH, rtol=2e-3)
    assert result.provenance.notes[0].startswith("aligned by 14 of 20 points: 1/depth = ")
    lines = outcome.out.splitlines()
    assert sum(line.endswith(", left out)") for line in lines) == 6
    assert lines[-2] == result.provenance.notes[0]
    assert lines[-1].endswith(f"metres.{format}: depth in metres, 100.0% of the pixels valid")


def test_distances_and_what_is_said_of_few(command: Run) -> None:
    PREDICTION.save("desk.npz")
    two = command("align", "desk.npz", *distances((10, 10), (100, 80)), "-o", "two.npz")
    assert two.out.endswith("two.npz: depth in metres, 100.0% of the pixels valid\n")
    assert (two.status, two.err) == (0, "note: any two points can be fitted: only a third one shows a mistake\n")
    np.testing.assert_allclose(read_depth("two.npz").depth, DEPTH, rtol=1e-3)
    one = command("align", "desk.npz", *distances((10, 10)), "-o", "one.npz")
    assert one.status == 0
    assert "only the scale was fitted" in one.err
    assert read_depth("one.npz").depth[10, 10] == pytest.approx(DEPTH[10, 10], rel=1e-4)


def test_a_map_in_millimetres_of_another_size(command: Run) -> None:
    PREDICTION.save("desk.npz")
    Image.fromarray(np.round(DEPTH[::2, ::2] * 1000).astype(np.uint16)).save("kinect.png")
    refused = command("align", "desk.npz", "--depth", "kinect.png", "-o", "m.npz")
    assert refused.status == 1
    assert "give scale, in metres (0.001 for mm)" in refused.err
    outcome = command("align", "desk.npz", "--depth", "kinect.png", "--depth-scale", 0.001, "-o", "m.npz")
    assert outcome.status == 0, outcome.err
    assert np.median(np.abs(read_depth("m.npz").depth / DEPTH - 1)) < 0.02
    relative = command("align", "desk.npz", "--depth", "desk.npz", "-o", "n.npz")
    assert relative.status == 2
    assert "--depth takes a map in metres, 'desk.npz' holds relative depth" in relative.err


@pytest.mark.parametrize("form", ["text", "binary"])
def test_colmap(command: Run, form: str) -> None:
    PREDICTION.save("desk.npz")
    model = of_depth(DEPTH, SCENE.focal_px, "shoot/desk.jpg", unit_m=0.25)
    folder = (model.write_text if form == "text" else model.write_binary)(Path("colmap"))
    plain = command("align", "desk.npz", "--colmap", folder, "-o", "units.npz")
    assert plain.status == 0, plain.err
    assert "note: distances are in COLMAP's unit, which is arbitrary: metres only if the model was scaled" in plain.err
    np.testing.assert_allclose(read_depth("units.npz").depth, DEPTH / 0.25, rtol=1e-3)
    assert "COLMAP's unit, which is arbitrary" in read_depth("units.npz").provenance.notes[1]
    scaled = command("align", "desk.npz", "--colmap", folder, "--image", "desk.jpg", "--scale", 0.25, "-o", "m.npz")
    assert scaled.status == 0, scaled.err
    result = read_depth("m.npz")
    np.testing.assert_allclose(result.depth, DEPTH, rtol=1e-3)
    assert result.camera is not None
    assert result.camera.source == "COLMAP"
    assert result.camera.fx == pytest.approx(SCENE.focal_px)
    missing = command("align", "desk.npz", "--colmap", folder, "--image", "chair.jpg", "-o", "x.npz")
    assert missing.status == 1
    assert "the picture 'chair.jpg' is not in" in missing.err
    assert "other/door.jpg" in missing.err
    assert not Path("x.npz").exists()


def test_a_tape_measure_from_the_camera(command: Run) -> None:
    PREDICTION.save("desk.npz")
    factor = Camera.from_fov(128, 96, horizontal_deg=70).ray_factor()
    given = [f"{x},{y},{DEPTH[y, x] * factor[y, x]}" for x, y in ((3, 4), (120, 90), (60, 50))]
    arguments = [part for text in given for part in ("--distance", text)]
    outcome = command("align", "desk.npz", *arguments, "--along-ray", "--fov", 70, "-o", "m.npz")
    assert outcome.status == 0, outcome.err
    np.testing.assert_allclose(read_depth("m.npz").depth, DEPTH, rtol=1e-3)
    assert "; camera: fx 91.4 px, field of view 70.0 x 55.4 degrees (field of view)" in outcome.out
    for angle in (("--vertical-fov", 55.4), ("--diagonal-fov", 82.4)):
        same = command("align", "desk.npz", *arguments, "--along-ray", *angle, "-o", "same.npz", "--overwrite")
        assert "; camera: fx 91.4 px" in same.out, same.err
    assumed = command("align", "desk.npz", *arguments, "--along-ray", "-o", "n.npz")
    assert "the camera is not known and was assumed" in assumed.err


def test_pictures_are_predicted_first(command: Run, checkpoint: str) -> None:
    photo(Path("photo.png"))
    height, width, _ = read_image("photo.png").shape
    spots = ["--distance", f"{width // 2},{height // 2},2"]
    predicting = ("--checkpoint", checkpoint, "--input-size", 64)
    outcome = command("align", "photo.png", *spots, *predicting, "-o", "metres", "--max-depth", 50)
    assert outcome.status == 0, outcome.err
    result = read_depth("metres/photo.npz")
    assert result.depth[height // 2, width // 2] == pytest.approx(2, rel=1e-5)
    assert (result.max_depth_m, result.provenance.source) == (50, "photo.png")
    again = command("align", "photo.png", *spots, *predicting, "-o", "metres")
    assert again.status == 2
    assert "is already there" in again.err
    assert command("align", "photo.png", *spots, *predicting, "-o", "metres", "--overwrite", "-q").out == ""


def test_a_picture_on_stdin(command: Run, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, status in ((photo(Path("photo.png")).read_bytes(), 0), (b"nothing", 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        given = ("align", "-", "--distance", "9,9,2", "--checkpoint", checkpoint, "--input-size", 64, "--overwrite")
        outcome = command(*given, "-o", "out")
        assert outcome.status == status, outcome.err
    assert "cannot read standard input: it is not a picture" in outcome.err
    assert read_depth("out/stdin.npz").provenance.source == "standard input"


def test_what_is_to_be_known_of_the_camera_is_said(command: Run) -> None:
    PREDICTION.save("desk.npz")
    write_camera(Camera.from_fov(256, 192, horizontal_deg=70), "camera.json")
    outcome = command("align", "desk.npz", *distances((3, 4), (100, 80)), "--camera", "camera.json", "-o", "m.npz")
    assert outcome.out.endswith("(field of view); scaled from the camera of 256 x 192 pixels\n")


def test_a_plot(command: Run) -> None:
    pytest.importorskip("matplotlib")
    PREDICTION.save("desk.npz")
    outcome = command("align", "desk.npz", "--points", points_file(Path("p.csv")), "-o", "m.npz", "--plot", "p.png")
    assert outcome.status == 0, outcome.err
    picture = read_image("p.png")
    assert picture.shape[1] > 800
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    wrong = command("align", "desk.npz", *distances((1, 1)), "-o", "n.npz", "--plot", "p.jpg")
    assert wrong.status == 2
    assert "a plot is written as .png, .pdf, .svg" in wrong.err


def test_a_plot_without_matplotlib(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    PREDICTION.save("desk.npz")
    real = builtins.__import__

    def hidden(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", hidden)
    outcome = command("align", "desk.npz", *distances((1, 1)), "-o", "n.npz", "--plot", "p.png")
    assert outcome.status == 1
    assert outcome.err.count("\n") == 1
    assert "pip install matplotlib (it is in the extra 'plot')" in outcome.err
    assert not Path("n.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["desk.npz"], 2, "give --points, --depth, --colmap or --distance"),
        (["desk.npz", "--distance", "1,2,3", "--points", "p.csv"], 2, "distances come from one source"),
        (["desk.npz", "--distance", "1,2"], 2, "--distance is X,Y,METRES, such as 412,300,1.35, not '1,2'"),
        (["desk.npz", "--distance", "1,2,a"], 2, "--distance is X,Y,METRES"),
        (["desk.npz", "--distance", "1,200,3"], 1, "outside the picture of 128 x 96"),
        (["desk.npz", "--distance", "1,2,-3"], 1, "is -3 m away"),
        (["desk.npz", "--distance", "1,2,3", "--distance", "90,90,3"], 1, "all 2 points are 3 m away"),
        (["desk.npz", "--points", "half.csv"], 1, "half.csv', line 1: the column metres is missing"),
        (["desk.npz", "--points", "none.csv"], 1, "'none.csv': there is no such file"),
        (["desk.npz", "--colmap", "."], 1, "cannot read '.' as a COLMAP model"),
        (["desk.npz", "--colmap", ".", "--along-ray"], 2, "--along-ray is not about --colmap"),
        (["desk.npz", "--distance", "1,2,3", "--image", "a"], 2, "--image and --scale are about --colmap"),
        (["desk.npz", "--colmap", ".", "--scale", "0"], 2, "--scale is a positive number of metres, not 0"),
        (["desk.npz", "--depth", "desk.npz"], 2, "a map in metres, 'desk.npz' holds relative depth\n"),
        (["desk.npz", "--distance", "1,2,3", "--depth-scale", "1"], 2, "--depth-scale is about --depth"),
        (["desk.npz", "--distance", "1,2,3", "--fit", "cubic"], 2, "unknown fit 'cubic'"),
        (["desk.npz", "--distance", "1,2,3", "--max-depth", "-1"], 2, "maximum depth is a positive number"),
        (["none.npz", "--distance", "1,2,3"], 1, "'none.npz': there is no such file"),
        (["none.png", "--distance", "1,2,3"], 1, "'none.png': there is no such file"),
        (["bare.npy", "--distance", "1,2,3"], 1, "'bare.npy' does not say what its numbers are"),
        (["bare.npy", "--kind", "round", "--distance", "1,2,3"], 2, "unknown kind 'round'"),
        (["shown.png", "--distance", "1,2,3"], 1, "colour picture for looking at"),
        (["p.csv", "--distance", "1,2,3"], 1, "'p.csv': it is not a picture in a known format"),
    ],
)
def test_bad_input_is_one_clear_line(command: Run, arguments: list[str], status: int, message: str) -> None:
    PREDICTION.save("desk.npz")
    PREDICTION.save("shown.png", format="png")
    np.save("bare.npy", DEPTH)
    Path("half.csv").write_text("x,y\n1,2\n")
    points_file(Path("p.csv"))
    outcome = command("align", *arguments, "-o", "out.npz")
    assert outcome.status == status
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("out.npz").exists()


def test_a_depth_file_of_another_program_with_its_kind(command: Run) -> None:
    np.save("bare.npy", PREDICTION.depth)
    outcome = command("align", "bare.npy", "--kind", "relative", *distances((3, 4), (100, 80)), "-o", "out.exr")
    if outcome.status:
        assert "OpenEXR" in outcome.err
        return
    np.testing.assert_allclose(read_depth("out.exr").depth, DEPTH, rtol=1e-3)


@pytest.mark.parametrize("lost", ["desk.npz", "map.npy", "p.csv"])
def test_a_result_never_replaces_an_input(command: Run, lost: str) -> None:
    PREDICTION.save("desk.npz")
    np.save("map.npy", DEPTH)
    points_file(Path("p.csv"))
    Path("link.npz").symlink_to(lost)
    before = Path(lost).read_bytes()
    measured = ("--depth", "map.npy") if lost == "map.npy" else ("--points", "p.csv")
    outcome = command("align", "desk.npz", *measured, "-o", "link.npz", "--overwrite")
    assert outcome.status == 2
    assert "is one of the inputs and would overwrite it" in outcome.err
    assert Path(lost).read_bytes() == before


@pytest.mark.parametrize(("output", "message"), [("x.jpg", "no suffix of a depth file"), ("x.png", "cannot be both")])
def test_outputs_are_checked_before_the_work(command: Run, output: str, message: str) -> None:
    outcome = command("align", "none.npz", *distances((3, 4)), "-o", output, "--plot", "x.png")
    assert outcome.status == 2
    assert message in outcome.err
