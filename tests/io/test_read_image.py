"""Pictures of every kind come out as upright RGB."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_anything_v2.errors import InputError
from depth_anything_v2.io import IMAGE_SUFFIXES, read_image, to_float, to_uint8
from depth_anything_v2.io.decode import linear_to_srgb


def photo(height: int = 37, width: int = 53, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 1.5))


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=format, **options)
    return stream.getvalue()


def as_opencv_reads(data: bytes, tmp_path: Path, suffix: str) -> np.ndarray:
    path = tmp_path / f"reference{suffix}"
    path.write_bytes(data)
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("size", [(37, 53), (16, 16), (1, 1), (240, 321)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_has_the_pixels_that_opencv_reads(
    size: tuple[int, int], subsampling: int, progressive: bool, tmp_path: Path
) -> None:
    data = encoded(Image.fromarray(photo(*size)), "JPEG", quality=85, subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(read_image(data), as_opencv_reads(data, tmp_path, ".jpg"))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1"])
def test_png_has_the_pixels_that_opencv_reads(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(photo())
    if mode.endswith("A"):
        picture.putalpha(Image.fromarray(photo(seed=1)[..., 0]))
    data = encoded(picture.convert(mode), "PNG")
    result = read_image(data)
    assert result.dtype == np.uint8
    assert result.shape == (37, 53, 3)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, as_opencv_reads(data, tmp_path, ".png"))


@pytest.mark.parametrize(("format", "options"), [("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {}), ("PPM", {})])
def test_lossless_formats_give_the_pixels_back(format: str, options: dict[str, object], tmp_path: Path) -> None:
    rgb = photo()
    path = tmp_path / f"x.{format.lower()}"
    path.write_bytes(encoded(Image.fromarray(rgb), format, **options))
    np.testing.assert_array_equal(read_image(path), rgb)
    assert path.suffix in IMAGE_SUFFIXES


def test_compressed_tiff() -> None:
    rgb = photo()
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        np.testing.assert_array_equal(read_image(encoded(Image.fromarray(rgb), "TIFF", compression=compression)), rgb)


def test_transparent_pixels_keep_their_colour() -> None:
    rgba = np.dstack([photo(), np.zeros((37, 53), np.uint8)])
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        np.testing.assert_array_equal(read_image(encoded(Image.fromarray(rgba), format, **options)), rgba[..., :3])


def test_palette_with_transparency(tmp_path: Path) -> None:
    picture = Image.fromarray(photo()).convert("P")
    data = encoded(picture, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(read_image(data), np.asarray(picture.convert("RGB")))


def test_first_frame_of_animations_and_pages() -> None:
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
    for format, options in (("WEBP", {"lossless": True}), ("TIFF", {}), ("PNG", {})):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_image(data), photo(seed=0))
    flat = [Image.new("P", (5, 4), color) for color in (0, 1)]
    flat[0].putpalette([10, 20, 30, 200, 100, 50])
    flat[1].putpalette([10, 20, 30, 200, 100, 50])
    gif = encoded(flat[0], "GIF", save_all=True, append_images=flat[1:])
    np.testing.assert_array_equal(read_image(gif), np.full((4, 5, 3), (10, 20, 30)))


def test_cmyk_jpeg_is_close_to_its_colours(tmp_path: Path) -> None:
    rgb = np.repeat(np.repeat(photo(6, 8), 16, axis=0), 16, axis=1)
    data = encoded(Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=98)
    result = read_image(data)
    assert np.abs(result.astype(int) - rgb).mean() < 4
    assert np.abs(result.astype(int) - as_opencv_reads(data, tmp_path, ".jpg")).mean() < 4


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format: str, orientation: int, tmp_path: Path) -> None:
    # The stored picture is the upright one put through the inverse of what each orientation asks for.
    upright = np.repeat(np.repeat(photo(3, 5), 16, axis=0), 16, axis=1)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    options = {"lossless": True} if format == "WEBP" else options
    picture = Image.fromarray(np.ascontiguousarray(stored))
    if format == "TIFF":
        data = encoded(picture, format, tiffinfo={0x0112: orientation})
    else:
        data = encoded(picture, format, exif=exif, **options)
    tolerance = 8 if format == "JPEG" else 0
    for source in (data, Image.open(io.BytesIO(data))):
        result = read_image(source)
        assert result.shape == upright.shape
        assert np.abs(result.astype(int) - upright).max() <= tolerance
    if format == "JPEG":
        np.testing.assert_array_equal(read_image(data), as_opencv_reads(data, tmp_path, ".jpg"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_no_reason_to_refuse() -> None:
    data = encoded(Image.fromarray(photo()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert read_image(data).shape == (37, 53, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_sixteen_bits_are_kept(suffix: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    data = cv2.imencode(suffix, values[..., ::-1])[1].tobytes()
    result = read_image(data)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, values)


def test_sixteen_bit_grey_and_its_orientation() -> None:
    grey = np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000
    exif = Image.Exif()
    exif[0x0112] = 6
    png = encoded(Image.fromarray(grey), "PNG", exif=exif)
    np.testing.assert_array_equal(read_image(png), np.repeat(np.rot90(grey, -1)[..., None], 3, axis=2))
    tiff = encoded(Image.fromarray(grey), "TIFF", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(read_image(tiff), np.repeat(np.rot90(grey, -1)[..., None], 3, axis=2))


def test_float_tiff_in_the_unit_range_is_kept_and_others_are_refused() -> None:
    values = np.random.default_rng(0).random((6, 5, 3)).astype(np.float32)
    data = cv2.imencode(".tif", values[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(read_image(data), values)
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        read_image(cv2.imencode(".tif", values * 300)[1].tobytes())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_float_tiff(channels: int, dtype: type, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).random((6, 5, channels)).astype(np.float32)
    expected = np.repeat(values, 3, axis=2) if channels == 1 else values[:, :, 2::-1]
    result = read_image(cv2.imencode(".tif", values.astype(dtype))[1].tobytes())
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    assert capfd.readouterr().err == ""


def test_grey_float_tiff_of_pillow_in_the_unit_range_and_beyond() -> None:
    values = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    for options in ({}, {"compression": "tiff_lzw"}, {"tiffinfo": {0x0112: 6}}):
        result = read_image(encoded(Image.fromarray(values), "TIFF", **options))
        upright = np.rot90(values, -1) if "tiffinfo" in options else values
        np.testing.assert_array_equal(result, np.repeat(upright[..., None], 3, axis=2))
    with pytest.raises(InputError, match=r"in \[0, 1\], this one .* to 4\.\d+; scale it"):
        read_image(encoded(Image.fromarray(values * 5), "TIFF"))
    with pytest.raises(InputError, match="int32 samples are not supported"):
        read_image(encoded(Image.fromarray((values * 1000).astype(np.int32)), "TIFF"))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_grey_sixteen_bits_of_every_format(format: str) -> None:
    grey = np.random.default_rng(0).integers(0, 65536, (7, 9), dtype=np.uint16)
    result = read_image(encoded(Image.fromarray(grey), format))
    np.testing.assert_array_equal(result, np.repeat(grey[..., None], 3, axis=2))


def test_exr_is_linear_light(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    linear = np.array([[[0.0, 0.0031308, 0.214041], [1.0, 7.0, -1.0]]], np.float32)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    path = tmp_path / "naïve light.exr"
    exr.File(header, {"RGB": linear}).write(str(path))
    for source in (path, path.read_bytes()):
        result = read_image(source)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, [[[0, 0.04045, 0.5], [1, 1, 0]]], atol=2e-5)
    exr.File(header, {"Y": linear[..., 2].copy()}).write(str(path))
    np.testing.assert_allclose(read_image(path), [[[0.5] * 3, [0] * 3]], atol=2e-5)


def test_srgb_curve_is_continuous_and_nan_is_black() -> None:
    values = linear_to_srgb(np.linspace(0, 1, 10001, dtype=np.float32))
    assert np.all(np.diff(values) > 0)
    assert linear_to_srgb(np.array([np.nan], np.float32)) == 0


@pytest.mark.parametrize("name", ["ein Bild.jpg", "写真 ночь é.jpg", "a'b%20#?.jpg"])
def test_names_with_spaces_and_unicode(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(Image.fromarray(photo()), "JPEG"))
    assert read_image(path).shape == (37, 53, 3)
    assert read_image(str(path)).shape == (37, 53, 3)


def test_one_pixel_and_one_column() -> None:
    assert read_image(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]
    assert read_image(encoded(Image.new("L", (1, 5000)), "PNG")).shape == (5000, 1, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_arrays_are_returned_as_they_are(dtype: type) -> None:
    values = (np.random.default_rng(0).random((4, 5, 3)) * (1 if dtype == np.float32 else 255)).astype(dtype)
    assert read_image(values) is values or np.shares_memory(read_image(values), values)


def test_grey_alpha_double_and_big_endian_arrays() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(grey), expected)
    np.testing.assert_array_equal(read_image(grey[..., None]), expected)
    np.testing.assert_array_equal(read_image(np.dstack([expected, grey])), expected)
    big_endian = read_image(expected.astype(">u2"))
    assert big_endian.dtype == np.uint16
    np.testing.assert_array_equal(big_endian, expected)
    double = read_image(expected / 255)
    assert double.dtype == np.float32
    np.testing.assert_allclose(double, expected / 255, rtol=1e-6)
    assert read_image((expected / 255).astype(np.float16)).dtype == np.float32


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "YCbCr", "HSV", "1"])
def test_pillow_images_of_any_mode(mode: str) -> None:
    picture = Image.fromarray(photo()).convert(mode)
    result = read_image(picture)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.asarray(picture.convert("RGB")))
    assert picture.mode == mode


def test_pillow_images_with_deep_values() -> None:
    grey = np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000
    for values in (grey, grey.astype(np.int32)):
        result = read_image(Image.fromarray(values))
        assert result.dtype == np.uint16
        np.testing.assert_array_equal(result[..., 1], grey)
    unit = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(read_image(Image.fromarray(unit))[..., 2], unit)
    with pytest.raises(InputError, match="16 bits"):
        read_image(Image.fromarray(np.full((2, 2), -1, np.int32)))


def test_to_float_and_to_uint8() -> None:
    bytes_ = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert to_float(bytes_).dtype == np.float32
    np.testing.assert_array_equal(to_float(bytes_), bytes_.astype(np.float32) / 255)
    np.testing.assert_array_equal(to_uint8(to_float(bytes_)), bytes_)
    words = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1).repeat(3, 2)
    np.testing.assert_array_equal(to_uint8(words), np.rint(words / 257).astype(np.uint8))
    np.testing.assert_array_equal(to_float(words), words.astype(np.float32) / 65535)
    assert to_uint8(np.array([[[0.0, 0.5, 1.0]]], np.float32)).tolist() == [[[0, 128, 255]]]


def test_importing_io_loads_no_image_library() -> None:
    code = (
        "import sys, depth_anything_v2.io; "
        "print([name for name in ('cv2', 'PIL', 'OpenEXR', 'torch', 'urllib.request') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
