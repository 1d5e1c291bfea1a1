"""What is written comes back, with what it means, within the precision of each format."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_anything_v2.errors import InputError, MissingExtraError, OptionError
from depth_anything_v2.io import FORMATS, output_files, output_name, read_depth, write_depth, write_image
from depth_anything_v2.io.formats.png16 import metric_step, to_counts
from depth_anything_v2.io.png import encode_png
from depth_anything_v2.prediction import DepthPrediction, Provenance

RNG = np.random.default_rng(0)
PROVENANCE = Provenance(
    checkpoint="metric-indoor-vits",
    sha256="ab" * 32,
    input_size=518,
    network_size=(518, 686),
    source="Bilder/ein Foto é 写.jpg",
    notes=("a note", "another"),
)
NUMBERS = [format for format in FORMATS if format != "png"]


def ramp(low: float, high: float, height: int = 23, width: int = 31) -> np.ndarray:
    values = RNG.random((height, width)) * (high - low) + low
    values[0, 0], values[-1, -1] = low, high
    return values.astype(np.float32)


def holes(depth: np.ndarray) -> np.ndarray:
    valid = np.ones(depth.shape, bool)
    valid[3:7, 5:20] = False
    return valid


def sky(depth: np.ndarray, value: float) -> np.ndarray:
    depth = depth.copy()
    depth[:4] = value
    return depth


MAPS = {
    "relative": DepthPrediction(ramp(0.2, 37.5), "relative", provenance=PROVENANCE),
    "relative with negative values": DepthPrediction(ramp(-5, 3), "relative"),
    "relative and tiny": DepthPrediction(ramp(0, 1e-20), "relative"),
    "relative and wide": DepthPrediction(ramp(-3e38, 3e38), "relative"),
    "relative with holes": DepthPrediction(ramp(0, 9), "relative", valid=holes(ramp(0, 9))),
    "relative with NaN and infinity": DepthPrediction(sky(sky(ramp(1, 2), np.nan)[::-1], np.inf), "relative"),
    "flat": DepthPrediction(np.full((4, 5), 7.25, np.float32), "relative"),
    "zero": DepthPrediction(np.zeros((4, 5), np.float32), "relative"),
    "one pixel": DepthPrediction(np.full((1, 1), 0.1, np.float32), "relative"),
    "all invalid": DepthPrediction(np.full((4, 5), np.nan, np.float32), "metric", 20.0),
    "metric": DepthPrediction(ramp(0.4, 18), "metric", 20.0, provenance=PROVENANCE),
    "metric with sky": DepthPrediction(sky(ramp(2, 70), 80.0), "metric", 80.0),
    "metric with sky at infinity": DepthPrediction(sky(ramp(2, 70), np.inf), "metric", 80.0),
    "metric with holes": DepthPrediction(ramp(1, 3), "metric", 20.0, valid=holes(ramp(1, 3))),
    "metric where saturation counts": DepthPrediction(
        np.full((4, 5), 20.0, np.float32), "metric", 20.0, valid=np.ones((4, 5), bool)
    ),
    "metric without a limit": DepthPrediction(ramp(0.01, 300), "metric"),
    "metric flat": DepthPrediction(np.full((4, 5), 3.25, np.float32), "metric", 20.0),
    "distance along the ray": DepthPrediction(ramp(1, 5), "metric", 20.0, geometry="ray"),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("format", NUMBERS)
def test_round_trip(format: str, name: str, tmp_path: Path) -> None:
    if format == "exr":
        pytest.importorskip("OpenEXR")
    original = MAPS[name]
    path = tmp_path / output_name("ein Foto é", format)
    assert write_depth(original, path, format) == path
    assert set(tmp_path.iterdir()) == set(output_files(path, format))
    back = read_depth(path)
    assert back.depth.dtype == np.float32
    for field in ("kind", "unit", "geometry", "max_depth_m", "provenance"):
        assert getattr(back, field) == getattr(original, field), field
    np.testing.assert_array_equal(back.valid, original.valid)
    valid = original.valid
    if format != "png16":
        np.testing.assert_array_equal(back.depth[valid], original.depth[valid])
        derived = original.replace(valid=None).valid
        if format == "npz" or np.array_equal(derived, valid):
            np.testing.assert_array_equal(back.depth, original.depth)
        else:
            assert np.isnan(back.depth[~valid]).all()
        return
    assert np.isnan(back.depth[~valid]).all()
    if valid.any():
        _, scale, _ = to_counts(original)
        error = np.abs(back.depth[valid].astype(np.float64) - original.depth[valid].astype(np.float64))
        # Half a step, and the rounding of float32 itself.
        assert error.max() <= scale / 2 + np.abs(original.depth[valid]).astype(np.float64).max() * 1.3e-7


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_what_it_is(format: str, tmp_path: Path) -> None:
    """Read with the tools of others, not with ours."""
    path = write_depth(MAPS["metric"], tmp_path / output_name("x", format), format)
    expected = {"kind": "metric", "unit": "m", "geometry": "planar", "max_depth_m": 20.0}
    if format in ("png", "png16"):
        text = Image.open(path).text
        data = json.loads(text["depth_anything_v2"])
        assert "metres" in text["Description"]
    elif format in ("npy", "pfm"):
        data = json.loads(Path(f"{path}.json").read_text())
    elif format == "npz":
        fields = np.load(path)
        assert (str(fields["kind"]), str(fields["unit"])) == ("metric", "m")
        np.testing.assert_array_equal(fields["depth"], MAPS["metric"].depth)
        data = json.loads(str(fields["metadata"]))
    elif format == "tiff":
        with Image.open(path) as picture:
            data = json.loads(picture.tag_v2[270])
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), MAPS["metric"].depth)
    else:
        exr = pytest.importorskip("OpenEXR").File(str(path))
        assert (exr.header()["kind"], exr.header()["unit"]) == ("metric", "m")
        np.testing.assert_array_equal(exr.channels()["Z"].pixels, MAPS["metric"].depth)
        data = json.loads(exr.header()["depth_anything_v2"])
    assert {key: data[key] for key in expected} == expected
    assert data["provenance"]["checkpoint"] == "metric-indoor-vits"
    assert data["provenance"]["source"] == "Bilder/ein Foto é 写.jpg"


def test_png16_is_millimetres_up_to_65_535_m(tmp_path: Path) -> None:
    depth = np.array([[0.0004, 0.001, 1.2344, 1.2346, 65.535]], np.float32)
    path = write_depth(DepthPrediction(depth, "metric", 80.0), tmp_path / "x.png")
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == [[1, 1, 1234, 1235, 65535]]
    text = Image.open(path).text
    assert (float(text["depth_scale"]), float(text["depth_offset"]), text["depth_unit"]) == (0.001, 0.0, "m")


def test_png16_of_greater_distances_has_a_coarser_stated_step(tmp_path: Path) -> None:
    steps = [metric_step(value) for value in (0, 65.535, 65.54, 131, 132, 328, 1000, 6553.5)]
    assert steps == [0.001, 0.001, 0.002, 0.002, 0.005, 0.01, 0.02, 0.1]
    path = write_depth(DepthPrediction(np.array([[2, 120.5]], np.float32), "metric"), tmp_path / "x.png")
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == [[1000, 60250]]
    assert float(Image.open(path).text["depth_scale"]) == 0.002


def test_png16_of_relative_depth_uses_its_whole_valid_range(tmp_path: Path) -> None:
    depth = np.array([[2, 3, 4, 99]], np.float32)
    prediction = DepthPrediction(depth, "relative", valid=depth < 50)
    path = write_depth(prediction, tmp_path / "x.png")
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tolist() == [[1, 32768, 65535, 0]]


def test_metric_depth_below_zero_is_kept_in_png16(tmp_path: Path) -> None:
    depth = np.array([[-1, 0, 3]], np.float32)
    back = read_depth(write_depth(DepthPrediction(depth, "metric"), tmp_path / "x.png"))
    np.testing.assert_allclose(back.depth, depth, atol=1e-4)


def test_names_and_formats() -> None:
    assert [output_name("x", format) for format in FORMATS] == [
        "x.png",
        "x_depth16.png",
        "x.npy",
        "x.npz",
        "x.tiff",
        "x.exr",
        "x.pfm",
    ]
    with pytest.raises(OptionError, match="jpg"):
        output_name("x", "jpg")


def test_the_suffix_chooses_the_format_and_png_keeps_the_numbers(tmp_path: Path) -> None:
    path = write_depth(MAPS["relative"], tmp_path / "x.PNG")
    assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert MAPS["relative"].save(tmp_path / "x.tif").exists()
    with pytest.raises(OptionError, match="suffix"):
        write_depth(MAPS["relative"], tmp_path / "x.jpg")
    with pytest.raises(OptionError, match="format"):
        write_depth(MAPS["relative"], tmp_path / "x.png", "jpeg")
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.PNG", "x.tif"}


def test_png_of_eight_bits_is_grey_and_refused_as_depth(tmp_path: Path) -> None:
    depth = np.array([[1, 2, 3, np.nan]], np.float32)
    path = write_depth(DepthPrediction(depth, "relative"), tmp_path / "x.png", "png")
    grey = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert grey.tolist() == [[0, 127, 255, 0]]
    assert grey.dtype == np.uint8
    with pytest.raises(InputError, match="8-bit"):
        read_depth(path)
    with pytest.raises(InputError, match="8-bit"):
        read_depth(write_image(tmp_path / "colour.png", np.zeros((2, 3, 3), np.uint8)))


def test_files_of_other_programs_need_their_kind(tmp_path: Path) -> None:
    depth = ramp(1, 4)
    np.save(tmp_path / "a.npy", depth.astype(np.float64))
    np.savez(tmp_path / "a.npz", depth=depth)
    Image.fromarray(depth).save(tmp_path / "a.tiff")
    (tmp_path / "a.pfm").write_bytes(b"Pf\n31 23\n1.0\n" + depth[::-1].astype(">f4").tobytes())
    for name in ("a.npy", "a.npz", "a.tiff", "a.pfm"):
        with pytest.raises(InputError, match="say so, relative"):
            read_depth(tmp_path / name)
        back = read_depth(tmp_path / name, kind="metric")
        assert back.kind == "metric"
        np.testing.assert_array_equal(back.depth, depth)
        np.testing.assert_allclose(read_depth(tmp_path / name, kind="metric", scale=2).depth, depth * 2)


def test_integers_of_other_programs_need_their_scale(tmp_path: Path) -> None:
    counts = np.array([[0, 1000, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        cv2.imwrite(str(tmp_path / name), counts)
        with pytest.raises(InputError, match="scale"):
            read_depth(tmp_path / name, kind="metric")
        back = read_depth(tmp_path / name, kind="metric", scale=0.0002)
        np.testing.assert_allclose(back.depth, [[0, 0.2, 13.107]], rtol=1e-6)
        assert back.valid.tolist() == [[False, True, True]]
        assert read_depth(tmp_path / name, kind="relative").depth.tolist() == [[0, 1000, 65535]]
        with pytest.raises(OptionError, match="positive"):
            read_depth(tmp_path / name, kind="metric", scale=-1)


def test_a_file_that_knows_is_not_overruled(tmp_path: Path) -> None:
    path = write_depth(MAPS["metric"], tmp_path / "x.npy")
    assert read_depth(path, kind="metric").kind == "metric"
    with pytest.raises(OptionError, match="holds metric depth"):
        read_depth(path, kind="relative")
    with pytest.raises(OptionError, match="own scale"):
        read_depth(path, scale=2)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("format", NUMBERS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_damaged_files(format: str, share: float, tmp_path: Path) -> None:
    path = write_depth(MAPS["metric"], tmp_path / output_name("x", format), format)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match="cannot read") as caught:
        read_depth(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metadata_that_does_not_fit(tmp_path: Path) -> None:
    path = write_depth(MAPS["metric"], tmp_path / "x.npy")
    sidecar = tmp_path / "x.npy.json"
    good = json.loads(sidecar.read_text())
    np.save(path, np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"\(2, 2\) values"):
        read_depth(path)
    write_depth(MAPS["metric"], path)
    for change, words in (
        ({"format_version": 99}, "newer|version 99"),
        ({"kind": "sideways"}, "sideways"),
        ({"encoding": 3}, "damaged"),
        ({"height": None}, "damaged"),
        ({"provenance": 7}, "damaged"),
    ):
        sidecar.write_text(json.dumps({**good, **change}))
        with pytest.raises(InputError, match=words):
            read_depth(path)
    for text in ("", "[1, 2]", "{not json", '{"kind": "metric"}'):
        sidecar.write_text(text)
        with pytest.raises(InputError, match="does not say"):
            read_depth(path)


def test_what_is_no_depth_file(tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    np.savez(tmp_path / "other.npz", image=np.zeros((2, 2)))
    (tmp_path / "object.npy").write_bytes(b"\x80\x04N.")
    (tmp_path / "x.exr").mkdir()
    (tmp_path / "colour.pfm").write_bytes(b"PF\n1 1\n-1.0\n" + bytes(12))
    Image.new("RGB", (3, 2)).save(tmp_path / "colour.tif")
    for name in (
        "cube.npy", "words.npy", "empty.npy", "other.npz", "object.npy", "x.exr", "colour.pfm", "colour.tif",
        "missing.npz", "x.jpg", "no_suffix",
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            read_depth(tmp_path / name, kind="relative")
        assert name in str(caught.value)


def test_exr_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "OpenEXR", None)
    with pytest.raises(MissingExtraError, match="pip install OpenEXR"):
        write_depth(MAPS["relative"], tmp_path / "x.exr")
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.exr").write_bytes(b"\x76\x2f\x31\x01")
    with pytest.raises(MissingExtraError):
        read_depth(tmp_path / "x.exr")


def test_relative_exr_uses_another_channel(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    path = write_depth(MAPS["relative"], tmp_path / "x.exr")
    assert list(exr.File(str(path)).channels()) == ["Y"]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for format in ("png", "png16", "npy", "npz", "tiff", "pfm"):
        first, second = (
            write_depth(MAPS["metric"], tmp_path / output_name(stem, format), format).read_bytes() for stem in "ab"
        )
        assert first == second


COLOUR, GREY = [(5, 7, 3), (1, 1, 3), (300, 1, 3)], [(5, 7), (1, 9)]


@pytest.mark.parametrize(
    ("shape", "dtype"), [*((shape, np.uint8) for shape in COLOUR + GREY), *((shape, np.uint16) for shape in GREY)]
)
def test_png_encoder_against_opencv(shape: tuple[int, ...], dtype: type) -> None:
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    decoded = cv2.imdecode(np.frombuffer(encode_png(pixels, {"k": "v", "ü": "語"}), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., ::-1] if decoded.ndim == 3 else decoded, pixels)
    not_contiguous = np.repeat(pixels, 2, axis=1)[:, ::2]
    assert encode_png(not_contiguous, {}) == encode_png(pixels, {})


def test_write_image_carries_its_metadata(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    metadata = {**MAPS["metric"].describe(), "source": "Foto é 写\n2.jpg", "nothing": None}
    path = write_image(tmp_path / "x.png", rgb, metadata)
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), rgb)
        text = picture.text
    assert text["kind"] == "metric"
    assert text["source"] == "Foto é 写\n2.jpg"
    assert json.loads(text["provenance"])["checkpoint"] == "metric-indoor-vits"
    assert "nothing" not in text
    assert text["Software"].startswith("depth-anything-v2 ")


def test_write_image_refuses_what_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.png"):
        write_image(tmp_path / "x.jpg", np.zeros((2, 2, 3), np.uint8))
    for bad in (np.zeros((2, 2, 3)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2, 3), np.uint8)):
        with pytest.raises(OptionError, match="uint8"):
            write_image(tmp_path / "x.png", bad)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
