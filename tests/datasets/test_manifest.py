from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from dataset_files import HEIGHT, WIDTH, picture, ramp, write_counts, write_npy, write_picture

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.manifest import Manifest
from depth_anything_v2.errors import InputError, NoInputError, OptionError


def manifest(folder: Path, *lines: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one picture and its depth (1 to 3 m) in several formats."""
    write_picture(tmp_path / "rgb" / "a.png", picture())
    write_counts(tmp_path / "deep" / "a.png", np.rint(ramp(1, 3) * 1000).astype(np.uint16))
    write_npy(tmp_path / "deep" / "a.npy", ramp(1, 3))
    return tmp_path


def test_paths_are_relative_to_the_manifest(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    path = manifest(data, "image,depth,scale,split,scene", "rgb/a.png,deep/a.png,0.001,train,hall")
    sample = Manifest(path)[0]
    np.testing.assert_array_equal(sample.image, picture())
    np.testing.assert_allclose(sample.depth, ramp(1, 3), atol=6e-4)
    assert (sample.kind, sample.geometry, sample.camera) == ("metric", "planar", None)
    assert (sample.split, sample.scene, sample.name) == ("train", "hall", "rgb/a.png")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("d.csv", ["Image, Depth ,scale,fx,fy,cx,cy", 'rgb/a.png,deep/a.png,"1/1000",30,31,15,12']),
        ("d.csv", ["image;depth;scale;intrinsics", "rgb/a.png;deep/a.png;0.001;30 31 15 12"]),
        ("d.tsv", ["image\tdepth\tscale\tintrinsics", "rgb/a.png\tdeep/a.png\t1e-3\tk.txt"]),
        ("d.csv", ["\ufeffimage,depth,scale,intrinsics", 'rgb/a.png,deep/a.png,0.001,"30 0 15 0 31 12 0 0 1"']),
    ],
)
def test_tables(data: Path, name: str, lines: list[str]) -> None:
    (data / "k.txt").write_text("30 0 15\n0 31 12\n0 0 1\n")
    sample = Manifest(manifest(data, *lines, name=name))[0]
    np.testing.assert_allclose(sample.depth, ramp(1, 3), atol=6e-4)
    assert sample.camera is not None
    assert (sample.camera.fx, sample.camera.fy, sample.camera.cx, sample.camera.cy) == (30, 31, 15, 12)


@pytest.mark.parametrize(
    "intrinsics", [[30, 31, 15, 12], [[30, 0, 15], [0, 31, 12], [0, 0, 1]], {"fx": 30, "fy": 31, "cx": 15, "cy": 12}]
)
def test_json_lines(data: Path, intrinsics: object) -> None:
    row = {"image": "rgb/a.png", "depth": "deep/a.npy", "kind": "metric", "intrinsics": intrinsics, "geometry": "ray"}
    dataset = Manifest(manifest(data, json.dumps(row), "", name="d.jsonl"))
    sample = dataset[0]
    camera = Camera(WIDTH, HEIGHT, 30, 31, 15, 12)
    np.testing.assert_allclose(sample.depth, ramp(1, 3) / camera.ray_factor(), rtol=1e-5)
    assert (sample.geometry, sample.stored_geometry) == ("planar", "ray")
    assert pickle.loads(pickle.dumps(dataset))[0].name == "rgb/a.png"


def test_masks(data: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:] = 255
    write_counts(data / "mask.png", mask)
    write_npy(data / "mask.npy", mask[:, :, None] > 0)
    write_npy(data / "small.npy", mask[:4])
    rows = ["image,depth,kind,mask"] + [f"rgb/a.png,deep/a.npy,metric,{name}" for name in ("mask.png", "mask.npy")]
    for sample in Manifest(manifest(data, *rows)):
        assert (sample.valid == (mask > 0)).all()
        assert (sample.depth[:5] == 0).all()
    with pytest.raises(InputError, match=r"small\.npy' is 32 x 4 pixels, the depth map 32 x 24"):
        Manifest(manifest(data, rows[0], "rgb/a.png,deep/a.npy,metric,small.npy"))[0]


def test_files_that_say_what_they_are(data: Path) -> None:
    camera = Camera.from_pixels(WIDTH, HEIGHT, 30)
    DepthPrediction(ramp(1, 3), "metric", geometry="ray", camera=camera).save(data / "deep" / "b.npz")
    DepthPrediction(1 / ramp(1, 3), "relative").save(data / "deep" / "c.png")
    rows = ["image,depth,geometry", "rgb/a.png,deep/b.npz,", "rgb/a.png,deep/c.png,", "rgb/a.png,deep/b.npz,planar"]
    dataset = Manifest(manifest(data, *rows))
    first, second = dataset[0], dataset[1]
    np.testing.assert_allclose(first.depth, ramp(1, 3) / camera.ray_factor(), rtol=1e-5)
    assert first.stored_geometry == "ray"
    assert second.kind == "relative"
    np.testing.assert_allclose(second.depth, 1 / ramp(1, 3), atol=1e-4)
    with pytest.raises(InputError, match="says that it holds distances along the ray, the manifest says planar"):
        dataset[2]


def test_splits_and_defaults(data: Path) -> None:
    path = manifest(
        data, "image,depth,split", "rgb/a.png,deep/a.png,train", "rgb/a.png,deep/a.png,val", "rgb/a.png,deep/a.png,"
    )
    dataset = Manifest(path, scale=0.001, label="rest")
    assert dataset.splits() == {"train": 1, "val": 1, "rest": 1}
    assert dataset[2].kind == "metric"
    assert len(Manifest(path, split="val")) == 1
    with pytest.raises(NoInputError, match="has the split 'test': there are train, val"):
        Manifest(path, split="test")


def test_another_size(data: Path) -> None:
    write_picture(data / "rgb" / "large.png", picture(0, 2 * HEIGHT, 2 * WIDTH))
    write_picture(data / "rgb" / "square.png", picture(0, HEIGHT, HEIGHT))
    rows = ["image,depth,kind", "rgb/large.png,deep/a.npy,metric", "rgb/square.png,deep/a.npy,metric"]
    path = manifest(data, *rows)
    with pytest.raises(InputError, match=r"'rgb/large.png' is 64 x 48 pixels.*the picture can be resized"):
        Manifest(path)[0]
    assert Manifest(path, resize_image=True)[0].image.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(InputError, match=r"is 24 x 24 pixels, its depth map 32 x 24$"):
        Manifest(path, resize_image=True)[1]


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (["image,deph", "a,b"], OptionError, "line 1: unknown column 'deph': did you mean 'depth'"),
        (["picture_file,depth", "a,b"], OptionError, "unknown column 'picture_file': the known ones are image, depth"),
        (["image,depth,image", "a,b,c"], InputError, "the column 'image' is there twice"),
        (["image,depth", "a,b", "a"], InputError, r"line 3: 1 values for 2 columns \(image, depth\)"),
        (["image,depth", "a,"], InputError, "line 2: there is no depth"),
        (["image,depth,kind", "a,b,metrc"], InputError, "line 2: kind is .*, not 'metrc': did you mean 'metric'"),
        (["image,depth,geometry", "a,b,z"], InputError, "line 2: geometry is planar or ray, not 'z'"),
        (["image,depth,scale", "a,b,mm"], InputError, "line 2: scale is the metres of one count"),
        (["image,depth,scale", "a,b,1/0"], InputError, "line 2: scale is the metres of one count"),
        (["image,depth,fx,fy", "a,b,1,2"], InputError, "line 2: intrinsics are fx, fy, cx and cy: cx, cy missing"),
        (["image,depth,intrinsics", "a,b,1 2 3"], InputError, "line 2: intrinsics are four numbers"),
        (["image,depth"], NoInputError, "has no rows"),
        ([""], NoInputError, "has no rows"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, lines: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Manifest(manifest(tmp_path, *lines))


def test_other_files_are_no_manifests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Manifest(tmp_path / "none.csv")
    with pytest.raises(OptionError, match=r"its suffix is none of \.csv"):
        Manifest(manifest(tmp_path, "x", name="list.txt"))
    with pytest.raises(InputError, match="line 2: it is not JSON"):
        Manifest(manifest(tmp_path, '{"image": "a", "depth": "b"}', "{", name="d.jsonl"))
    with pytest.raises(InputError, match="line 1: an object with the keys image and depth"):
        Manifest(manifest(tmp_path, "[1]", name="d.jsonl"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        Manifest(tmp_path / "binary.csv")


def test_intrinsics_that_cannot_be_right(data: Path) -> None:
    dataset = Manifest(manifest(data, "image,depth,kind,fx,fy,cx,cy", "rgb/a.png,deep/a.npy,metric,4,4,15,12"))
    with pytest.raises(InputError, match=r"intrinsics of 'rgb/a.png' cannot be right: .*millimetres"):
        dataset[0]


def test_numbers_without_a_meaning_are_refused(data: Path) -> None:
    dataset = Manifest(manifest(data, "image,depth,kind", "rgb/a.png,deep/a.png,metric", "rgb/a.png,deep/a.npy,"))
    with pytest.raises(InputError, match="does not say how long one is: give scale"):
        dataset[0]
    with pytest.raises(InputError, match="does not say what its numbers are"):
        dataset[1]
