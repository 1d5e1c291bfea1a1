"""COLMAP models: what one picture sees."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colmap_models import Model, View, of_depth

from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io.colmap import read_colmap

DEPTH = 2 + np.arange(48 * 64, dtype=np.float64).reshape(48, 64) / 1000


def write(model: Model, folder: Path, form: str) -> Path:
    return model.write_binary(folder) if form == "bin" else model.write_text(folder)


@pytest.mark.parametrize("form", ["bin", "txt"])
def test_positions_and_depths(tmp_path: Path, form: str) -> None:
    folder = write(of_depth(DEPTH, 50.0, "room/desk a.jpg"), tmp_path / "m", form)
    view = read_colmap(folder, "room/desk a.jpg")
    assert (view.width, view.height, len(view.depths)) == (128, 96, 60)
    x, y, metres = view.samples(64, 48).T
    np.testing.assert_allclose(x, np.round(x), atol=1e-9)
    np.testing.assert_allclose(metres, DEPTH[y.round().astype(int), x.round().astype(int)], rtol=1e-12)
    np.testing.assert_allclose(view.samples(64, 48, metres_per_unit=2.5)[:, 2], metres * 2.5)
    camera = view.camera
    assert camera is not None
    assert (camera.source, camera.fx, camera.cx, camera.cy) == ("COLMAP", 100, 63.5, 47.5)
    assert camera.notes == ("the distortion of COLMAP's SIMPLE_RADIAL is left out",)


def test_text_and_binary_agree(tmp_path: Path) -> None:
    model = of_depth(DEPTH, 50.0, "a.jpg", unit_m=0.37)
    text, binary = (read_colmap(write(model, tmp_path / form, form), "a.jpg") for form in ("txt", "bin"))
    np.testing.assert_array_equal(text.positions, binary.positions)
    np.testing.assert_array_equal(text.depths, binary.depths)
    assert text.camera == binary.camera


@pytest.mark.parametrize(
    ("camera", "parameters", "focal"),
    [
        ("SIMPLE_PINHOLE", (90, 64, 48), (90, 90)),
        ("PINHOLE", (90, 95, 64, 48), (90, 95)),
        ("RADIAL", (90, 64, 48, 0.1, 0.01), (90, 90)),
        ("OPENCV", (90, 95, 64, 48, 0.1, 0.01, 0, 0), (90, 95)),
        ("OPENCV_FISHEYE", (90, 95, 64, 48, 0.1, 0.01, 0, 0), None),
    ],
)
@pytest.mark.parametrize("form", ["bin", "txt"])
def test_camera_models(
    tmp_path: Path, form: str, camera: str, parameters: tuple[float, ...], focal: tuple[float, float] | None
) -> None:
    model = of_depth(DEPTH, 50.0, "a.jpg")
    model.camera, model.parameters = camera, parameters
    view = read_colmap(write(model, tmp_path / "m", form), "a.jpg")
    assert (view.camera and (view.camera.fx, view.camera.fy)) == focal
    assert len(view.depths) == 60


def test_points_behind_or_outside_are_left_out(tmp_path: Path) -> None:
    seen = [(10.0, 10.0, 1), (20.0, 20.0, 2), (-3.0, 5.0, 3), (30.0, 30.0, 99)]
    view = View("a.jpg", (1, 0, 0, 0), (0, 0, 0), seen)
    model = Model("PINHOLE", 64, 48, (50, 50, 32, 24), [view], {1: (0, 0, 4), 2: (0, 0, -4), 3: (0, 0, 2)})
    found = read_colmap(model.write_text(tmp_path / "m"), "a.jpg")
    assert found.depths.tolist() == [4, 2]
    assert found.samples(64, 48).tolist() == [[9.5, 9.5, 4]]


@pytest.mark.parametrize("place", [".", "sparse/0", "sparse", "0"])
def test_the_model_may_lie_in_the_usual_sub_folders(tmp_path: Path, place: str) -> None:
    of_depth(DEPTH, 50.0, "a.jpg").write_binary(tmp_path / "m" / place if place != "." else tmp_path / "m")
    assert read_colmap(tmp_path / "m", "a.jpg").name == "a.jpg"


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["a.jpg", "b.jpg"], "b.jpg", "b.jpg"),
        (["left/a.jpg", "right/a.jpg"], "right/a.jpg", "right/a.jpg"),
        (["left/a.jpg", "right/a.jpg"], "/data/shoot/right/a.jpg", "right/a.jpg"),
        (["left/a.jpg", "right/a.jpg"], r"C:\shoot\left\a.jpg", "left/a.jpg"),
        (["2024/left/a.jpg", "b.jpg"], "left/a.jpg", "2024/left/a.jpg"),
        (["cam/a.jpg", "cam/b.jpg"], "/elsewhere/a.jpg", "cam/a.jpg"),
        (["cam/a.jpg", "cam/b.jpg"], "depth/a.npz", "cam/a.jpg"),
    ],
)
def test_pictures_are_found_by_name(tmp_path: Path, names: list[str], wanted: str, found: str) -> None:
    views = [View(name, (1, 0, 0, 0), (0, 0, 0), [(5.0, 5.0, 1)]) for name in names]
    model = Model("PINHOLE", 64, 48, (50, 50, 32, 24), views, {1: (0, 0, 4)})
    assert read_colmap(model.write_text(tmp_path / "m"), wanted, stem_suffices=True).name == found


@pytest.mark.parametrize("form", ["bin", "txt"])
def test_a_picture_that_is_not_there(tmp_path: Path, form: str) -> None:
    views = [View(f"cam/IMG_{k}.jpg", (1, 0, 0, 0), (0, 0, 0)) for k in range(200, 230)]
    model = Model("PINHOLE", 64, 48, (50, 50, 32, 24), [*views, View("left/a.jpg", (1, 0, 0, 0), (0, 0, 0))], {})
    model.views.append(View("right/a.jpg", (1, 0, 0, 0), (0, 0, 0)))
    folder = write(model, tmp_path / "m", form)
    with pytest.raises(
        InputError, match=r"'IMG_2130.jpg' is not in .*images.*: it has 32, such as cam/IMG_2[0-9]+.jpg"
    ):
        read_colmap(folder, "IMG_2130.jpg")
    with pytest.raises(InputError, match=r"'a.jpg' may be left/a.jpg or right/a.jpg"):
        read_colmap(folder, "a.jpg")
    with pytest.raises(InputError, match=r"no points that 'left/a.jpg' sees"):
        read_colmap(folder, "left/a.jpg")
    with pytest.raises(InputError, match=r"'IMG_200.npz' is not in"):
        read_colmap(folder, "IMG_200.npz")


def test_pictures_of_another_shape_or_scale_are_refused(tmp_path: Path) -> None:
    view = read_colmap(of_depth(DEPTH, 50.0, "a.jpg").write_text(tmp_path / "m"), "a.jpg")
    with pytest.raises(InputError, match=r"'a.jpg' is 128 x 96 in the COLMAP model, the picture here 48 x 64"):
        view.samples(48, 64)
    with pytest.raises(OptionError, match="scale of a COLMAP model is a positive number"):
        view.samples(64, 48, 0)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("form", "damage", "message"),
    [
        ("bin", lambda m: cut(m / "images.bin"), "images.bin' is damaged"),
        ("bin", lambda m: cut(m / "points3D.bin"), "points3D.bin' is damaged"),
        ("bin", lambda m: cut(m / "cameras.bin"), "cameras.bin' is damaged"),
        ("bin", lambda m: (m / "cameras.bin").unlink(), "'cameras.bin' is missing"),
        ("txt", lambda m: (m / "points3D.txt").unlink(), "'points3D.txt' is missing"),
        ("txt", lambda m: (m / "cameras.txt").write_text("1 PINHOLE x y\n"), "cameras.txt' is damaged"),
        ("txt", lambda m: (m / "cameras.txt").write_text("# empty\n"), "cameras.txt' is damaged .a camera is missing"),
        ("txt", lambda m: (m / "images.txt").write_text("1 1 0 0 0 0 0\n\n"), "images.txt' is damaged .*7 fields"),
        ("txt", lambda m: (m / "images.txt").write_bytes(b"\xff\xfe"), "images.txt' is damaged"),
        ("txt", lambda m: (m / "images.txt").write_text("1 0 0 0 0 0 0 0 7 a.jpg\n1 1 1\n"), "not a quaternion"),
        ("txt", lambda m: (m / "images.txt").write_text("1 1 0 0 0 0 0 0 7 a.jpg\n1 1\n"), "not threes"),
        ("txt", shutil.rmtree, "no such folder"),
        ("txt", lambda m: (m / "images.txt").unlink(), "no images.bin or images.txt"),
    ],
)
def test_damaged_models(tmp_path: Path, form: str, damage: Callable[[Path], None], message: str) -> None:
    folder = write(of_depth(DEPTH, 50.0, "a.jpg"), tmp_path / "m", form)
    damage(folder)
    with pytest.raises(InputError, match=message):
        read_colmap(folder, "a.jpg")
