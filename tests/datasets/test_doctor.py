from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_files import HEIGHT, WIDTH, corner, picture, ramp, write_counts, write_npy, write_picture
from PIL import Image

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.doctor import DatasetReport, check_dataset
from depth_anything_v2.datasets.duplicates import alike_across, fingerprint
from depth_anything_v2.datasets.findings import Finding
from depth_anything_v2.datasets.manifest import Manifest
from depth_anything_v2.datasets.planarity import geometry_votes, verdict
from depth_anything_v2.errors import OptionError

Row = dict[str, object]


def table(folder: Path, rows: list[Row]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def pair(folder: Path, number: int, depth: np.ndarray, **more: object) -> Row:
    """Write a picture and a depth array, and return their row."""
    write_picture(folder / f"{number}.png", picture(number, *depth.shape))
    suffix = "png" if depth.dtype.kind == "u" else "npy"
    (write_counts if suffix == "png" else write_npy)(folder / f"{number}_depth.{suffix}", depth)
    kind = {} if "scale" in more else {"kind": "metric"}
    return {"image": f"{number}.png", "depth": f"{number}_depth.{suffix}", **kind, **more}


def check(folder: Path, rows: list[Row], **options: object) -> DatasetReport:
    return check_dataset(Manifest(table(folder, rows)), **options)  # type: ignore[arg-type]


def found(report: DatasetReport) -> dict[str, Finding]:
    return {finding.code: finding for finding in report.findings}


def test_a_sound_dataset_is_clean(tmp_path: Path) -> None:
    rows = [
        pair(
            tmp_path,
            n,
            (ramp(1, 4) * 1000).astype(np.uint16),
            scale=0.001,
            split="val" if n > 3 else "train",
            scene=str(n),
        )
        for n in range(5)
    ]
    report = check(tmp_path, rows)
    assert report.ok
    assert report.findings == ()
    train = report.statistics()["train"]
    assert (train["pairs"], train["readable"], train["scenes"], train["valid_share"]) == (4, 4, 4, 1.0)
    assert train["percentiles"]["p50"] == pytest.approx(2.5, rel=0.1)
    assert train["sizes"] == {"32 x 24": 4}


def test_every_fault_is_found_and_named(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4)) for n in range(7)]
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "1_depth.npy").unlink()
    write_counts(tmp_path / "2_depth.png", (ramp(1, 4) * 60).astype(np.uint8))
    rows[2] |= {"depth": "2_depth.png", "scale": 0.001}
    write_npy(tmp_path / "3_depth.npy", ramp(1, 4, HEIGHT, WIDTH + 2))
    write_npy(tmp_path / "4_depth.npy", np.zeros((HEIGHT, WIDTH), np.float32))
    write_npy(tmp_path / "5_depth.npy", np.full((HEIGHT, WIDTH), 2.0, np.float32))
    report = check(tmp_path, rows)
    assert not report.ok
    findings = found(report)
    assert set(findings) == {
        "unreadable-picture",
        "unreadable-depth",
        "eight-bit-depth",
        "size-mismatch",
        "no-valid-pixels",
        "flat-depth",
    }
    for code, number in (
        ("unreadable-picture", 0),
        ("unreadable-depth", 1),
        ("eight-bit-depth", 2),
        ("size-mismatch", 3),
    ):
        assert findings[code].items == (f"{number}.png",)
        assert findings[code].severity == "error"
    assert "there is no such file" in findings["unreadable-depth"].message
    assert "grey or coloured picture of a depth map" in findings["eight-bit-depth"].message
    assert "32 x 24 pixels, its depth map 34 x 24" in findings["size-mismatch"].message
    assert findings["no-valid-pixels"].items == ("4.png",)
    assert findings["flat-depth"].items == ("5.png",)
    assert report.findings[0].severity == "error"


@pytest.mark.parametrize(
    ("factor", "scale", "code", "advice"),
    [
        (1000, 1, "unit-too-large", "likely millimetres: set the scale to 0.001 "),
        (5000, 1, "unit-too-large", "possible, too: .*1/5000 for counts of 1/5000 m"),
        (5000, 5000, "unit-too-large", r"not the counts of one metre: set it to 1/5000 \(the median becomes 2"),
        (100, 0.0001, "unit-too-small", "likely centimetres: set the scale to 0.01 "),
        (6, 0.001, "unit-too-small", "the numbers are metres already, leave it out"),
    ],
)
def test_unit_guess(tmp_path: Path, factor: float, scale: float, code: str, advice: str) -> None:
    rows = [pair(tmp_path, n, (ramp(1.2, 4) * factor).astype(np.uint16), scale=scale) for n in range(3)]
    report = check(tmp_path, rows)
    assert list(found(report)) == [code]
    with pytest.raises(AssertionError, match=advice):
        raise AssertionError(report.findings[0].message)
    assert "'metres': " in report.findings[0].message


def test_one_picture_in_another_unit_is_named(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4) * (1000 if n == 2 else 1)) for n in range(4)]
    finding = found(check(tmp_path, rows))["unit-too-large"]
    assert finding.items == ("2.png",)
    assert "in 1 picture of 4" in finding.message


def test_normalised_depth(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4) / ramp(1, 4).max()) for n in range(3)]
    assert "normalised" in found(check(tmp_path, rows))


def test_disparity_taken_for_metres(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, 8 / ramp(1, 4)) for n in range(6)]
    finding = found(check(tmp_path, rows))["direction"]
    assert "inverse depth or disparity, not metres" in finding.message
    relative = [{**row, "kind": "relative"} for row in rows]
    assert check(tmp_path, relative).findings == ()
    upside = [pair(tmp_path, n, ramp(1, 4), kind="relative") for n in range(6)]
    assert "depth, not inverse depth" in found(check(tmp_path, upside))["direction"].message


@pytest.mark.parametrize("stored", ["planar", "ray"])
def test_planar_or_ray(tmp_path: Path, stored: str) -> None:
    camera = Camera.from_pixels(96, 72, 80)
    depth = corner(72, 96, 80)
    noise = np.random.default_rng(0).normal(1, 0.001, depth.shape)
    depth = (depth if stored == "planar" else camera.planar_to_ray(depth)) * noise
    planar, ray = geometry_votes(depth.astype(np.float32), depth > 0, camera)
    assert (planar > 5 * ray) if stored == "planar" else (ray > 5 * planar)
    assert verdict(planar, ray) == stored
    rows = [pair(tmp_path, 0, depth.astype(np.float32), intrinsics=[80, 80, 47.5, 35.5], geometry=stored)]
    right = check(tmp_path, rows)
    assert right.ok
    assert right.to_dict()["geometry"]["seen"] == stored
    other = "ray" if stored == "planar" else "planar"
    wrong = check(tmp_path, [{**rows[0], "geometry": other}])
    assert not wrong.ok
    assert f"set geometry to '{stored}'" in found(wrong)["geometry"].message
    unknown = [{key: value for key, value in rows[0].items() if key not in ("intrinsics", "geometry")}]
    assert check(tmp_path, unknown).to_dict()["geometry"]["seen"] == "undecided"


def test_geometry_of_noise_or_curves_is_undecided() -> None:
    rng = np.random.default_rng(0)
    camera = Camera.from_pixels(96, 72, 80)
    noise = rng.uniform(1, 5, (72, 96)).astype(np.float32)
    assert verdict(*geometry_votes(noise, noise > 0, camera)) == "undecided"
    assert verdict(*geometry_votes(noise, np.zeros(noise.shape, bool), camera)) == "undecided"
    assert verdict(5, 0) == "undecided"
    assert verdict(7, 5) == "undecided"


def test_duplicates_between_splits(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4), split="train", scene=f"s{n}") for n in range(4)]
    copied = cv2.imread(str(tmp_path / "1.png"))
    cv2.imwrite(str(tmp_path / "same_pixels.bmp"), copied)
    larger = cv2.resize(cv2.imread(str(tmp_path / "2.png")), (96, 72), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "again.jpg"), larger, [cv2.IMWRITE_JPEG_QUALITY, 60])
    write_npy(tmp_path / "again_depth.npy", ramp(1, 4, 72, 96))
    rows.append({**rows[1], "image": "same_pixels.bmp", "split": "val", "scene": "v1"})
    rows.append({**rows[1], "image": "again.jpg", "depth": "again_depth.npy", "split": "val", "scene": "v2"})
    rows.append({**rows[3], "name": "3 again"})
    findings = found(check(tmp_path, rows))
    assert set(findings) == {"duplicates-between-splits", "lookalikes-between-splits", "duplicates"}
    assert findings["duplicates-between-splits"].items == ("train: 1.png = val: same_pixels.bmp",)
    assert findings["lookalikes-between-splits"].items == ("train: 2.png ~ val: again.jpg",)
    assert findings["duplicates"].items == ("train: 3.png = train: 3 again",)
    assert findings["duplicates"].severity == "warning"


def test_different_pictures_do_not_look_alike() -> None:
    prints = [fingerprint(picture(seed, 48, 64)) for seed in range(200)]
    assert alike_across(prints, ["a", "b"] * 100) == []
    black = [fingerprint(np.zeros((24, 32, 3), np.uint8))] * 2
    assert alike_across(black, ["a", "b"]) == []


def test_a_scene_on_both_sides(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4), split="train" if n % 2 else "val", scene=f"s{n // 3}") for n in range(5)]
    finding = found(check(tmp_path, rows))["scene-in-two-splits"]
    assert finding.items == ("s0 (train, val)", "s1 (train, val)")
    assert finding.severity == "error"
    report = check(tmp_path, [{key: value for key, value in row.items() if key != "scene"} for row in rows])
    assert report.ok
    assert found(report)["no-scenes"].severity == "note"


def test_limit_spreads_and_progress_counts(tmp_path: Path) -> None:
    rows = [pair(tmp_path, n, ramp(1, 4)) for n in range(9)]
    calls: list[tuple[int, int, str]] = []
    report = check(tmp_path, rows, limit=3, progress=lambda *call: calls.append(call))
    assert [fact.name for fact in report.facts] == ["0.png", "4.png", "8.png"]
    assert calls == [(1, 3, "0.png"), (2, 3, "4.png"), (3, 3, "8.png")]
    assert report.to_dict()["pairs"] == 9
    with pytest.raises(OptionError, match="at least 1, not 0"):
        check(tmp_path, rows, limit=0)


def test_pictures_show_what_was_seen(tmp_path: Path) -> None:
    depth = ramp(1, 4)
    depth[:, :8] = 0
    rows = [pair(tmp_path, n, depth, split="train" if n else "val") for n in range(5)]
    (tmp_path / "4_depth.npy").write_bytes(b"x")
    report = check(tmp_path, rows)
    written = report.write(tmp_path / "out")
    assert [path.name for path in written] == [
        "dataset-report.json",
        "dataset-histogram.png",
        "dataset-contact-sheet.png",
    ]
    data = json.loads(written[0].read_text())
    assert data["ok"] is False
    assert data["findings"][0]["code"] == "unreadable-depth"
    plot = np.asarray(Image.open(written[1]))
    assert (plot == (0x1F, 0x77, 0xB4)).all(axis=2).sum() > 200
    sheet = np.asarray(Image.open(written[2])).astype(int)
    assert sheet.shape[1] > 4 * 2 * 160
    first = sheet[40:160, 10:330]
    assert (first[:, 160:190] == 0).mean() > 0.9  # the invalid left quarter
    assert first[100, 300, 0] > first[100, 300, 2]  # the floor is near, red
    assert first[15, 300, 2] > first[15, 300, 0]  # the far end is blue


def test_nothing_readable_still_gives_a_report(tmp_path: Path) -> None:
    report = check(tmp_path, [{"image": "a.png", "depth": "b.npy", "kind": "metric"}])
    assert [path.name for path in report.write(tmp_path / "out")] == ["dataset-report.json"]
    assert not report.ok
