"""The camera that a photograph's EXIF tells, and EXIF that tells none."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from depth_anything_v2 import Camera, InputError
from depth_anything_v2.exif_camera import exif_camera
from depth_anything_v2.io import read_image
from depth_anything_v2.io.exif import read_exif, read_picture

EQUIVALENT, FOCAL, ZOOM, WIDTH, HEIGHT = 41989, 37386, 41988, 40962, 40963
PLANE_X, PLANE_Y, PLANE_UNIT, ORIENTATION = 41486, 41487, 41488, 274


def photograph(tags: dict[int, Any], format: str = "JPEG", size: tuple[int, int] = (400, 300)) -> bytes:
    exif = Image.Exif()
    exif[271] = "maker"
    inner = exif.get_ifd(0x8769)
    for tag, value in tags.items():
        (exif if tag == ORIENTATION else inner)[tag] = value
    if format == "TIFF":
        exif[0x8769] = dict(inner)
    file = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(file, format, exif=exif)
    return file.getvalue()


def camera_of(data: bytes) -> Camera | None:
    return read_picture(data)[1]


def test_the_35_mm_equivalent_is_about_the_diagonal() -> None:
    camera = camera_of(photograph({EQUIVALENT: 26}))
    assert camera is not None
    assert camera.fx == camera.fy == pytest.approx(26 * 500 / math.hypot(36, 24))
    assert (camera.cx, camera.cy, camera.source) == (199.5, 149.5, "EXIF")
    whole_frame = Camera.from_exif({"FocalLengthIn35mmFilm": 50}, 3600, 2400)  # then it is the width's, too
    assert whole_frame is not None
    assert whole_frame.fx == pytest.approx(5000)


@pytest.mark.parametrize(
    ("unit", "per_unit"), [(2, 25.4), (3, 10), (4, 1), (5, 0.001)], ids=["inch", "cm", "mm", "micrometre"]
)
def test_the_focal_plane_is_that_of_the_picture_as_taken(unit: int, per_unit: float) -> None:
    """A lens of 24 mm before a sensor 36 mm wide, 6000 pixels; the picture was made smaller since."""
    tags = {"FocalLength": 24.0, "FocalPlaneXResolution": 6000 / 36 * per_unit, "FocalPlaneResolutionUnit": unit}
    shrunk = Camera.from_exif({**tags, "ExifImageWidth": 6000, "ExifImageHeight": 4000}, 1500, 1000)
    assert shrunk is not None
    assert shrunk.fx == pytest.approx(1000)
    as_taken = Camera.from_exif(tags, 6000, 4000)
    assert as_taken is not None
    assert as_taken.fx == pytest.approx(4000)


@pytest.mark.parametrize(
    ("zoom", "focal"), [(0, 1000), (None, 1000), (2, 2000), (0.5, 1000), (IFDRational(0, 0), 1000)]
)
def test_digital_zoom_lengthens_the_focal_plane_s_answer(zoom: Any, focal: float) -> None:
    tags = {"FocalLength": 24, "FocalPlaneXResolution": 1500 / 36, "FocalPlaneResolutionUnit": 4}
    found = Camera.from_exif(tags | ({} if zoom is None else {"DigitalZoomRatio": zoom}), 1500, 1000)
    assert found is not None
    assert found.fx == pytest.approx(focal)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_picture_has_its_sides_exchanged(orientation: int) -> None:
    tags = {
        ORIENTATION: orientation,
        WIDTH: 4000,
        HEIGHT: 3000,
        FOCAL: 6.0,
        PLANE_X: 500.0,
        PLANE_Y: 500.0,
        PLANE_UNIT: 4,
    }
    rgb, camera, _ = read_picture(photograph(tags))
    turned = orientation in (6, 8)
    assert rgb.shape == ((400, 300, 3) if turned else (300, 400, 3))
    assert camera is not None
    assert (camera.width, camera.height) == (rgb.shape[1], rgb.shape[0])
    assert camera.fx == pytest.approx(6 * 500 * 400 / 4000)
    exif = read_exif(photograph(tags))
    assert (exif["ExifImageWidth"], exif["Orientation"]) == (3000 if turned else 4000, 1)


@pytest.mark.parametrize(
    ("exif", "note"),
    [
        ({}, None),
        ({"FocalLength": 4.2}, None),
        ({"FocalLengthIn35mmFilm": 0}, None),
        ({"FocalLengthIn35mmFilm": -26}, "FocalLengthIn35mmFilm is no positive number"),
        ({"FocalLengthIn35mmFilm": "wide"}, "FocalLengthIn35mmFilm is no positive number"),
        ({"FocalLengthIn35mmFilm": IFDRational(0, 0)}, "no positive number"),
        ({"FocalLengthIn35mmFilm": 60000}, "not that of a camera"),
        ({"FocalLengthIn35mmFilm": 1}, "not that of a camera"),
        ({"FocalLength": 24, "FocalPlaneXResolution": 100, "FocalPlaneResolutionUnit": 9}, "Unit 9 is not known"),
        ({"FocalLength": 24, "FocalPlaneXResolution": IFDRational(1, 0)}, "FocalPlaneXResolution is no positive"),
        (
            {"FocalLengthIn35mmFilm": 26, "ExifImageWidth": 4000, "ExifImageHeight": 2250},
            "a picture of 4000 x 2250 pixels, this one of 400 x 300 was cropped",
        ),
    ],
)
def test_exif_without_a_usable_focal_length(exif: dict[str, Any], note: str | None) -> None:
    camera, notes = exif_camera(exif, 400, 300)
    assert camera is None
    assert (len(notes) == 0) if note is None else any(note in said for said in notes)


def test_why_there_is_no_camera_is_told_with_the_picture() -> None:
    _, camera, notes = read_picture(photograph({EQUIVALENT: 26, WIDTH: 4000, HEIGHT: 2250}))
    assert camera is None
    assert len(notes) == 1
    assert "this one of 400 x 300 was cropped from it" in notes[0]


def test_exif_at_odds_with_itself_is_noted() -> None:
    tags = {
        "FocalLengthIn35mmFilm": 50,
        "FocalLength": 50,
        "FocalPlaneXResolution": 1000,
        "FocalPlaneResolutionUnit": 4,
    }
    camera = Camera.from_exif(tags, 3600, 2400)
    assert camera is not None
    assert camera.fx == pytest.approx(5000)
    assert "at odds with itself: 5000 px by the 35 mm equivalent, which is used, 50000 px" in camera.notes[0]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_format_that_holds_exif(format: str, tmp_path: Path) -> None:
    data = photograph({EQUIVALENT: 35, FOCAL: IFDRational(24, 10)}, format)
    path = tmp_path / "photo"
    path.write_bytes(data)
    with Image.open(path) as opened:
        for source in (data, path, str(path), opened):
            exif = read_exif(source)
            assert exif["FocalLengthIn35mmFilm"] == 35
            assert exif["FocalLength"] == pytest.approx(2.4)
            rgb, camera, notes = read_picture(source)
            assert notes == ()
            np.testing.assert_array_equal(rgb, read_image(path))
            assert camera is not None


def test_pictures_that_have_none(tmp_path: Path) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (8, 6)).save(plain, "PNG")
    sources = (plain.getvalue(), np.zeros((6, 8, 3), np.uint8), Image.new("RGB", (8, 6)), b"nonsense", b"")
    assert [read_exif(source) for source in sources] == [{}] * 5
    assert read_exif("http://127.0.0.1:9/photo.jpg") == {}  # nothing is fetched
    assert read_picture(sources[1])[1] is None
    with pytest.raises(InputError, match="no such file"):
        read_exif(tmp_path / "absent.jpg")


def test_damaged_exif_never_stops_a_picture() -> None:
    good = photograph({EQUIVALENT: 35, FOCAL: IFDRational(24, 10), PLANE_X: 500.0})
    start, rng = good.index(b"Exif"), np.random.default_rng(0)
    expected = read_image(good)
    for _ in range(200):
        data = bytearray(good)
        for place in rng.integers(start + 6, start + 110, 6):
            data[place] = rng.integers(256)
        read_exif(bytes(data))
    cut = good[:start] + b"Exxf" + good[start + 4 :]
    np.testing.assert_array_equal(read_picture(cut)[0], expected)
    assert read_picture(cut)[1] is None
