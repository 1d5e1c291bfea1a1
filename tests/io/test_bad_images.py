"""Every bad picture is refused with one sentence that names it; nothing else escapes."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from depth_anything_v2.errors import ImageTooLargeError, InputError, MissingExtraError
from depth_anything_v2.io import read_image


def encoded(format: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format=format, **options)
    return stream.getvalue()


def refused(path: Path, data: bytes | None = None) -> str:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_empty_file(tmp_path: Path) -> None:
    assert "empty" in refused(tmp_path / "a.jpg", b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.03, 0.4, 0.9])
def test_truncated_file(format: str, share: float, tmp_path: Path) -> None:
    data = encoded(format)
    message = refused(tmp_path / "cut short.jpg", data[: int(len(data) * share)])
    if format in ("JPEG", "PNG", "WEBP") and share > 0.1:
        assert "truncated" in message


def test_truncated_jpeg_with_a_whole_thumbnail_inside(tmp_path: Path) -> None:
    thumbnail = encoded("JPEG", (16, 12))
    segment = b"Exif\0\0" + thumbnail
    data = encoded("JPEG")
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert read_image(with_thumbnail).shape == (48, 64, 3)
    assert "truncated" in refused(tmp_path / "a.jpg", with_thumbnail[:-400])


def test_truncated_jpeg_is_refused_even_where_pillow_was_told_to_be_lenient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    for format in ("JPEG", "PNG"):
        data = encoded(format)
        assert "truncated" in refused(tmp_path / "a.jpg", data[: len(data) // 2])


def test_bytes_after_the_end_do_no_harm() -> None:
    for format in ("JPEG", "PNG", "BMP", "GIF"):
        assert read_image(encoded(format) + b"\0" * 100).shape == (48, 64, 3)


def test_truncated_sixteen_bit_png(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40), dtype=np.uint16)
    data = cv2.imencode(".png", values)[1].tobytes()
    assert "truncated" in refused(tmp_path / "a.png", data[: len(data) // 2])


def test_text_and_web_page_named_jpg(tmp_path: Path) -> None:
    assert "not a picture" in refused(tmp_path / "a.jpg", b"hello, I am a text\n" * 10)
    assert "web page" in refused(tmp_path / "b.jpg", b"<!DOCTYPE html><html></html>")
    assert "not a picture" in refused(tmp_path / "c.jpg", b"\0")


def test_heic_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path / "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50)
    assert "HEIC" in message
    assert "convert" in message


def test_folder_missing_path_and_impossible_names(tmp_path: Path) -> None:
    assert "folder" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "missing.jpg")
    assert "too long" in refused(tmp_path / ("x" * 300 + ".jpg"))
    (tmp_path / "file").write_bytes(b"x")
    refused(tmp_path / "file" / "a.jpg")
    with pytest.raises(InputError, match="not a file name"):
        read_image("a\0b.jpg")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG"))
    path.chmod(0)
    assert "permission" in refused(path)


def test_no_permission_says_so_for_any_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(InputError, match="permission"):
        read_image(path)


def bomb(width: int, height: int, bits: int) -> bytes:
    """Return a PNG whose header promises width x height and whose data hold a few zero rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width * 3 * bits // 8 + 1) * 3)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [8, 16])
def test_bomb_is_refused_from_its_header(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(30_000, 30_000, bits))
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError, match=r"30000 x 30000 pixels \(900.0 megapixels\).*300.*bomb|bomb.*300"):
        read_image(path)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm"])
def test_pixel_limit_holds_for_every_format(suffix: str) -> None:
    for dtype in (np.uint8, np.uint16) if suffix in (".png", ".tif", ".ppm") else (np.uint8,):
        data = cv2.imencode(suffix, np.zeros((20, 30, 3), dtype))[1].tobytes()
        assert read_image(data, max_pixels=600).shape == (20, 30, 3)
        with pytest.raises(ImageTooLargeError, match="limit"):
            read_image(data, max_pixels=599)


def test_pixel_limit_holds_for_arrays_and_pillow_images() -> None:
    for source in (np.zeros((20, 30, 3), np.uint8), Image.new("RGB", (30, 20))):
        with pytest.raises(ImageTooLargeError, match="30 x 20"):
            read_image(source, max_pixels=599)


def test_pillows_own_limit_does_not_interfere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"):
        assert read_image(encoded(format)).shape == (48, 64, 3)
    upright = read_image(encoded("TIFF"))
    turned = encoded("TIFF", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(read_image(turned), np.rot90(upright, -1))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4, 5), np.uint8), "shape"),
        (np.zeros((3, 40, 50), np.uint8), "shape"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape"),
        (np.zeros(7, np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.zeros((4, 4, 3), complex), "complex"),
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf), "inf"),
        (np.full((4, 4, 3), 255.0), "0, 1"),
        (np.full((4, 4, 3), -0.1), "0, 1"),
        (np.full((4, 4, 3), 1e300), "0, 1"),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_image(array)


def test_other_types_are_refused() -> None:
    for source in (None, 7, [1, 2]):
        with pytest.raises(InputError, match="a picture is a path"):
            read_image(source)  # type: ignore[arg-type]


def test_lazy_pillow_image_of_a_truncated_file() -> None:
    data = encoded("JPEG")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as picture, pytest.raises(InputError, match="truncated"):
        read_image(picture)


def test_exr_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(MissingExtraError, match="pip install OpenEXR"):
        read_image(b"\x76\x2f\x31\x01" + b"\0" * 100)


def test_damaged_exr() -> None:
    pytest.importorskip("OpenEXR")
    with pytest.raises(InputError, match="damaged"):
        read_image(b"\x76\x2f\x31\x01\x02\0\0\0" + b"\x07" * 100)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".ppm", "16.png", "16.tif"])
def test_random_damage_gives_a_picture_or_an_input_error(suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    if suffix.startswith("16"):
        values = rng.integers(0, 65536, (24, 31, 3), dtype=np.uint16)
        original = cv2.imencode(suffix[2:], values)[1].tobytes()
    else:
        names = {".jpg": "JPEG", ".tif": "TIFF"}
        original = encoded(names.get(suffix, suffix[1:].upper()), (31, 24))
    for _ in range(150):
        data = bytearray(original)
        # Most of the damage near the start, where the header is.
        for position in (rng.random(3) ** 4 * len(data)).astype(int):
            data[position] = rng.integers(256)
        with contextlib.suppress(InputError):
            result = read_image(bytes(data), max_pixels=1_000_000)
            assert result.ndim == 3
            assert result.shape[2] == 3
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["cut off", "wrong bytes", "wrong checksum", "nothing but a header"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
@pytest.mark.filterwarnings("ignore")
def test_decoders_say_nothing_on_stderr(suffix: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (40, 31, 3), dtype=np.uint16)
    data = bytearray(cv2.imencode(suffix, values)[1].tobytes())
    level = cv2.utils.logging.getLogLevel()
    middle = len(data) // 2
    if name == "wrong bytes":
        data[middle : middle + 40] = bytes(40)
    elif name == "wrong checksum":
        data[-14] ^= 255
    else:
        del data[middle if name == "cut off" else 60 :]
    with contextlib.suppress(InputError):
        read_image(bytes(data))
    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level


def test_chunks_that_libpng_warns_about_do_no_harm(capfd: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (4, 3, 3), dtype=np.uint16)
    data = cv2.imencode(".png", values[..., ::-1])[1].tobytes()
    profile = b"iCCPbad\0\0" + zlib.compress(b"no profile")
    chunk = struct.pack(">I", len(profile) - 4) + profile + struct.pack(">I", zlib.crc32(profile))
    np.testing.assert_array_equal(read_image(data[:33] + chunk + data[33:]), values)
    assert capfd.readouterr().err == ""
