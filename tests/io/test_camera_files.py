"""Camera files, and the options that say which camera it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from depth_anything_v2 import Camera, DepthPrediction, InputError, OptionError
from depth_anything_v2.io import FORMATS, output_name, read_depth
from depth_anything_v2.io.camera_files import CameraOptions, read_camera, write_camera

K = [[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(name: str, content: str) -> str:
    Path(name).write_text(content, encoding="utf-8")
    return name


def test_a_camera_file_comes_back() -> None:
    camera = Camera.from_fov(640, 480, diagonal_deg=75)
    assert read_camera(write_camera(camera, "camera.json"), 640, 480) == camera
    half = read_camera("camera.json", 320, 240)
    assert (half.width, half.fx) == (320, camera.fx / 2)
    assert half.notes == ("scaled from the camera of 640 x 480 pixels",)
    with pytest.raises(OptionError, match=r"camera file 'camera.json': the camera is .* 640 x 480 .* 480 x 640"):
        read_camera("camera.json", 480, 640)


def test_a_matrix_in_every_form() -> None:
    np.save("k.npy", np.array(K))
    files = [
        save("spaces.txt", "# K of the left camera\n500 0 319.5\n0 510 239.5\n\n0 0 1\n"),
        save("commas.csv", "500, 0, 319.5\n0, 510, 239.5\n0, 0, 1"),
        save("list.json", json.dumps(K)),
        "k.npy",
    ]
    for file in files:
        camera = read_camera(file, 640, 480)
        np.testing.assert_array_equal(camera.matrix, K)
        assert camera.source == "file"


def test_the_json_beside_a_depth_file_is_a_camera_file() -> None:
    camera = Camera.from_pixels(64, 48, 70)
    DepthPrediction(np.ones((48, 64)), "metric", camera=camera).save("x.npy")
    assert read_camera("x.npy.json", 64, 48) == camera


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "3 x 3"),
        ("500 0 320\n0 500 240\n", "3 x 3, not 2 x 3"),
        ("500 0 320\n0 500\n0 0 1", "neither JSON"),
        ("fx = 500", "neither JSON"),
        ("{", "neither JSON"),
        ("{}", "missing is width, height, fx, fy, cx, cy"),
        ('{"camera": 5}', "holds no camera"),
        ('{"width": 640, "height": 480, "fx": 18, "fy": 18, "cx": 319.5, "cy": 239.5}', "millimetres"),
        ('{"width": 640, "height": 480, "fx": 50, "fy": 50, "cx": 319.5, "cy": 239.5}', "millimetres"),
        ('{"width": 640, "height": 480, "fx": 0.9, "fy": 1.2, "cx": 0.5, "cy": 0.5}', "normalised"),
        ('{"width": 640, "height": 480, "fx": 500, "fy": 100, "cx": 319.5, "cy": 239.5}', "factor of two"),
        ("[" * 100_000, "neither JSON"),
        ("500 0 159.5\n0 500 119.5\n0 0 1", "320 x 240 pixels"),
    ],
)
def test_files_that_hold_no_camera(content: str, said: str) -> None:
    with pytest.raises(OptionError, match=f"camera file 'bad': .*{said}"):
        read_camera(save("bad", content), 640, 480)


def test_distortion_is_left_out_and_noted() -> None:
    told = Camera.from_pixels(640, 480, 500).describe()
    plain = save("plain.json", json.dumps({**told, "k1": 0, "dist": [0, 0.0]}))
    assert read_camera(plain, 640, 480).notes == ()
    bent = save("bent.json", json.dumps({**told, "k1": -0.2, "D": [0, 0.1], "p1": 0}))
    assert read_camera(bent, 640, 480).notes == ("the distortion (k1, D) is left out: a pinhole has none",)


def test_a_wide_camera_of_ours_comes_back() -> None:
    camera = Camera.from_fov(64, 48, horizontal_deg=140)
    assert read_camera(write_camera(camera, "wide.json"), 64, 48) == camera


def test_files_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match=r"cannot read the camera file 'absent\.json': No such file"):
        read_camera("absent.json", 640, 480)
    with pytest.raises(InputError, match=r"cannot read the camera file '\.'"):
        read_camera(".", 640, 480)
    Path("pickle.npy").write_bytes(b"\x93NUMPY\x01\x00 damaged")
    with pytest.raises(OptionError, match="neither JSON"):
        read_camera("pickle.npy", 640, 480)


def test_options_in_order_of_trust() -> None:
    exif = {"FocalLengthIn35mmFilm": 50}
    known = Camera.from_pixels(640, 480, 600, source="COLMAP")
    cases = {
        "pixels": CameraOptions(fx=500),
        "mm": CameraOptions(focal_mm=24, sensor_width_mm=36),
        "field of view": CameraOptions(vertical_fov_deg=50),
        "COLMAP": CameraOptions(),
    }
    for source, options in cases.items():
        assert options.camera_for(640, 480, exif, known=known).source == source
    assert CameraOptions().camera_for(640, 480, exif).source == "EXIF"
    cropped = CameraOptions().camera_for(640, 480, exif | {"ExifImageWidth": 900, "ExifImageHeight": 300})
    assert cropped.assumed
    assert "cropped" in cropped.notes[0]


def test_options_applied_to_a_prediction() -> None:
    own = Camera.from_pixels(64, 48, 70, source="EXIF")
    bare = DepthPrediction(np.ones((48, 64)), "metric")
    assert CameraOptions().applied(bare).camera is None
    assert CameraOptions().applied(bare, needed=True).camera == Camera.assume(64, 48)
    assert CameraOptions().applied(bare.replace(camera=own), needed=True).camera == own
    said = CameraOptions(fx=80).applied(bare.replace(camera=own)).camera
    assert said is not None
    assert said.fx == 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fx": 500, "fov_deg": 60}, "say in one way"),
        ({"camera": "k.txt", "fx": 500}, "say in one way"),
        ({"fov_deg": 60, "vertical_fov_deg": 60}, "say in one way"),
        ({"cx": 320}, "give --fx"),
        ({"focal_mm": 24}, "without the width of the sensor"),
        ({"sensor_width_mm": 24}, "without the width of the sensor"),
        ({"fov_deg": 175}, "between 3 and 170"),
        ({"diagonal_fov_deg": 1.05}, "in radians"),
        ({"focal_mm": 24, "sensor_width_mm": 4500}, "in pixels, or are the two swapped"),
        ({"fx": float("nan")}, "positive number of pixels, not nan"),
        ({"fx": 500, "fy": -500}, "positive number of pixels, not -500"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        CameraOptions(**options)  # type: ignore[arg-type]


def test_every_depth_format_keeps_the_camera_and_the_geometry() -> None:
    camera = Camera.from_pixels(64, 48, 71.25, 70.5, 30, 25)
    depth = np.random.default_rng(0).uniform(0.5, 9, (48, 64))
    prediction = DepthPrediction(depth, "metric", 20.0, geometry="ray", camera=camera)
    for format in FORMATS:
        if format == "png":
            continue  # for looking at
        path = prediction.save(output_name("x", format), format)
        back = read_depth(path)
        assert (back.camera, back.geometry) == (camera, "ray"), format


def test_a_damaged_camera_in_a_depth_file_is_said() -> None:
    path = DepthPrediction(np.ones((4, 6)), "metric", camera=Camera.from_pixels(6, 4, 7)).save("x.npy")
    sidecar = Path("x.npy.json")
    told = json.loads(sidecar.read_text())
    for camera in ({"width": 6}, 5, {**told["camera"], "width": 60}):
        sidecar.write_text(json.dumps({**told, "camera": camera}))
        with pytest.raises(InputError, match=r"metadata is damaged|picture of 60 x 4"):
            read_depth(path)
