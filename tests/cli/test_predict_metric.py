"""`depth-anything predict` in metres: ranges, legends, masks and cameras; and metric checkpoints by their names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import FakeEstimator, photo, replace_model, save_tiny_checkpoint
from PIL import Image
from video_clips import make_clip

from depth_anything_v2 import Camera, DepthPrediction
from depth_anything_v2.cli.original import metric_main
from depth_anything_v2.cli.video import main as video_main
from depth_anything_v2.io import colorize, read_depth, read_image
from depth_anything_v2.io.formats.stored import METADATA_KEY

Run = Callable[..., Any]
HYPERSIM_VITS = "b782898d8a3e8be1f639de33837ed85e9b4b73e40f8f5e5cd99067588d722545"


class Metric(FakeEstimator):
    """Answers the red channel / 16 + 0.1 metres, as the published indoor checkpoint that it claims to be."""

    def predict_arrays(self, pictures: Sequence[Any], sources: Any = None) -> list[DepthPrediction]:
        found = super().predict_arrays(pictures, sources)
        return [
            prediction.replace(
                depth=prediction.depth / 16 + 0.1,
                valid=None,
                max_depth_m=self.config.max_depth_m,
                provenance=dataclasses.replace(prediction.provenance, network_size=(518, 686)),
            )
            for prediction in found
        ]


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch, command: Run) -> Run:
    """Run `depth-anything predict -o out ARGUMENTS...` with a metric checkpoint."""
    replace_model(monkeypatch, lambda _options: Metric(sha256=HYPERSIM_VITS, max_depth_m=20.0))
    return lambda *arguments: command("predict", "-o", "out", *arguments)


@pytest.fixture
def relative(monkeypatch: pytest.MonkeyPatch, command: Run) -> Run:
    replace_model(monkeypatch, lambda _options: Metric())
    return lambda *arguments: command("predict", "-o", "out", *arguments)


def with_exif(path: Path, equivalent_mm: int, taken: tuple[int, int] | None = None) -> Path:
    with Image.open(photo(path)) as picture:
        exif = Image.Exif()
        exif[271] = "maker"
        exif.get_ifd(0x8769)[41989] = equivalent_mm
        if taken is not None:
            exif.get_ifd(0x8769)[40962], exif.get_ifd(0x8769)[40963] = taken
        picture.save(path, exif=exif, quality=95)
    return path


def told_in(path: str) -> dict[str, Any]:
    with Image.open(path) as picture:
        told: dict[str, Any] = json.loads(picture.text[METADATA_KEY])  # type: ignore[attr-defined]
    return told


def test_the_camera_is_in_every_output_in_the_report_and_in_the_summary(metric: Run) -> None:
    with_exif(Path("a.jpg"), 28)
    outcome = metric("a.jpg", "-f", "png,png16,npy,npz,tiff,pfm", "--report", "report.json")
    assert outcome.status == 0
    expected = Camera.from_exif({"FocalLengthIn35mmFilm": 28}, 64, 48)
    assert expected is not None
    for name in ("a_depth16.png", "a.npy", "a.npz", "a.tiff", "a.pfm"):
        assert read_depth(f"out/{name}").camera == expected, name
    assert Camera.from_dict(told_in("out/a.png")["camera"]) == expected
    assert json.loads(Path("out/a.npy.json").read_text())["camera"]["source"] == "EXIF"
    (result,) = json.loads(Path("report.json").read_text())["inputs"]
    assert Camera.from_dict(result["camera"]) == expected
    assert outcome.out.splitlines()[-1] == f"camera: {expected}"


def test_a_camera_that_is_said_wins_and_none_is_made_up(metric: Run) -> None:
    with_exif(Path("in/a.jpg"), 28)
    photo(Path("in/b.png"))
    outcome = metric("in", "-f", "npz")
    assert outcome.out.splitlines()[-1] == "cameras: 1 by EXIF, 1 not known"
    assert read_depth("out/b.npz").camera is None
    outcome = metric("in", "-f", "npz", "--overwrite", "--fov", 70)
    assert outcome.out.splitlines()[-1] == "camera: fx 45.7 px, field of view 70.0 x 55.4 degrees (field of view)"
    for arguments, focal in (
        (("--fx", 60, "--fy", 61, "--cx", 30, "--cy", 20), 60),
        (("--focal-mm", 24, "--sensor-width-mm", 36), 64 * 24 / 36),
        (("--vertical-fov", 50), 24 / np.tan(np.radians(25))),
        (("--diagonal-fov", 50), 40 / np.tan(np.radians(25))),
    ):
        assert metric("in/a.jpg", "-f", "npz", "--overwrite", *arguments).status == 0
        camera = read_depth("out/a.npz").camera
        assert camera is not None
        assert camera.fx == pytest.approx(focal)


def test_camera_files_are_checked_before_anything_runs_and_against_each_picture(metric: Run) -> None:
    photo(Path("in/a.png"), 48, 64)
    photo(Path("in/b.png"), 64, 64)
    absent = metric("in", "--camera", "camera.json")
    assert (absent.status, absent.err.count("\n")) == (1, 1)
    assert "cannot read the camera file 'camera.json'" in absent.err
    assert not Path("out").exists()
    Path("camera.json").write_text(json.dumps(Camera.from_pixels(128, 96, 100).describe()))
    outcome = metric("in", "-f", "npz", "--camera", "camera.json")
    assert outcome.status == 1
    camera = read_depth("out/a.npz").camera
    assert camera is not None
    assert (camera.fx, camera.notes) == (50, ("scaled from the camera of 128 x 96 pixels",))
    assert "camera file 'camera.json': the camera is that of a picture of 128 x 96 pixels" in outcome.err
    assert outcome.out.splitlines()[-1] == f"camera: {camera}; scaled from the camera of 128 x 96 pixels"
    assert not Path("out/b.npz").exists()
    assert "1 skipped, 1 failed" in metric("in", "-f", "npz", "--camera", "camera.json", "--resume").out
    Path("camera.json").write_text(json.dumps(Camera.from_pixels(128, 96, 120).describe()))
    assert "1 done, 1 failed" in metric("in", "-f", "npz", "--camera", "camera.json", "--resume").out


def test_mistakes_about_cameras_are_said_in_a_sentence(metric: Run) -> None:
    photo(Path("a.png"), 480, 640)
    for arguments, status, said in (
        (("--fx", 18), 1, "is 18 in millimetres?"),
        (("--fov", 175), 2, "175 degrees"),
        (("--fx", -500), 2, "positive number of pixels"),
        (("--fov", 60, "--fx", 500), 2, "say in one way"),
        (("--focal-mm", 24), 2, "--sensor-width-mm"),
    ):
        outcome = metric("a.png", *arguments)
        assert outcome.status == status
        assert said in outcome.err


def test_a_range_in_metres_and_a_legend(metric: Run) -> None:
    rgb = read_image(photo(Path("a.png")))
    assert metric("a.png", "--range", "0.5,10", "--legend", "--side-by-side").status == 0
    picture = read_image("out/a.png")
    depth = DepthPrediction((rgb[:, :, 0].astype(np.float32) + 1) / 16 + 0.1, "metric", 20.0)
    shown = colorize(depth, value_range=(0.5, 10))
    assert picture.shape[0] == 64
    assert picture.shape[1] > 64 + 50 + 64 + 30
    np.testing.assert_array_equal(picture[:48, :64], rgb)
    np.testing.assert_array_equal(picture[:48, 114:178], shown)
    assert told_in("out/a.png")["encoding"]["value_range"] == [0.5, 10]
    assert metric("a.png", "--range", "robust", "--overwrite").status == 0
    low, high = np.percentile(depth.depth, (2, 98))
    np.testing.assert_array_equal(read_image("out/a.png"), colorize(depth, value_range=(float(low), float(high))))
    assert "NEAR,FAR" in metric("a.png", "--range", "10", "--overwrite").err
    assert "add 'png' to the formats" in metric("a.png", "--legend", "-f", "npz", "--overwrite").err


def test_relative_depth_has_no_metres_to_show_or_to_correct(relative: Run) -> None:
    photo(Path("a.png"))
    for arguments, said in ((("--range", "0.5,10"), "relative depth has none"), (("--focal-correction",), "relative")):
        outcome = relative("a.png", *arguments)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert said in outcome.err
    assert relative("a.png", "--range", "robust", "--legend").status == 0


def test_masks_by_name_and_for_all(metric: Run) -> None:
    for name in ("in/a.png", "in/sub/b.png"):
        photo(Path(name))
    sky = np.zeros((48, 64), np.uint8)
    sky[:20] = 255
    Path("masks/sub").mkdir(parents=True)
    Image.fromarray(sky).save("masks/a.png")
    outcome = metric("in", "-f", "npz,png", "--mask", "masks")
    assert outcome.status == 1
    assert "there is no mask 'sub/b.png' in 'masks'" in outcome.err
    masked = read_depth("out/a.npz")
    np.testing.assert_array_equal(masked.valid, (sky == 0) & (masked.depth < 19.8))
    assert "masked by 'masks/a.png'" in masked.provenance.notes[0].replace("\\", "/")
    assert (read_image("out/a.png")[:20] == 0).all()
    Image.fromarray(sky[::2, ::2]).save("masks/sub/b.png")
    assert "1 done, 1 skipped" in metric("in", "-f", "npz,png", "--mask", "masks", "--resume").out
    assert not read_depth("out/sub/b.npz").valid[:20].any()
    assert metric("in", "-f", "npz", "--mask", "masks/a.png", "--overwrite").status == 0
    assert "2 done" in metric("in", "-f", "npz", "--resume").out  # another mask, another result
    gone = metric("in", "--mask", "gone", "--overwrite")
    assert (gone.status, "there is no mask 'gone'" in gone.err) == (2, True)


def test_focal_correction_is_recorded(metric: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(Path("a.png"))
    assert metric("a.png", "-f", "npz").status == 0
    plain = read_depth("out/a.npz")
    assert metric("a.png", "-f", "npz", "--overwrite", "--fx", 64, "--focal-correction").status == 0
    corrected = read_depth("out/a.npz")
    np.testing.assert_allclose(corrected.depth, plain.depth * (686 / 598.1), rtol=1e-6)
    assert "trained at 598.1 px" in corrected.provenance.notes[0]
    assert "give the camera" in metric("a.png", "-f", "npz", "--overwrite", "--focal-correction").err
    replace_model(monkeypatch, lambda _options: Metric(max_depth_m=20.0))
    unknown = metric("a.png", "-f", "npz", "--overwrite", "--fx", 64, "--focal-correction")
    assert "nothing tells the focal length that 'fake' was trained with" in unknown.err


def test_why_exif_was_ignored_is_told_where_metres_are_wanted(command: Run, checkpoint: str) -> None:
    with_exif(Path("a.jpg"), 28, taken=(4000, 2000))
    save_tiny_checkpoint(Path("metric.safetensors"), 20.0)
    small = ("--input-size", 64, "--exact", "--overwrite", "-f", "npz", "--report", "report.json")
    metric = command("predict", "a.jpg", "-o", "out", "-c", "metric.safetensors", *small)
    said = "EXIF is about a picture of 4000 x 2000 pixels, this one of 64 x 48 was cropped from it"
    assert f"note: a.jpg: {said}" in metric.err
    stored = read_depth("out/a.npz")
    assert stored.camera is None
    assert stored.provenance.notes[0].startswith(said)
    assert json.loads(Path("report.json").read_text())["inputs"][0]["notes"][0].startswith(said)
    cloud = command("pointcloud", "a.jpg", "-o", "out", "-c", "metric.safetensors", "--input-size", 64, "--exact")
    assert f"note: a.jpg: {said}" in cloud.err
    assert "(assumed)" in cloud.out
    assert said.encode() in Path("out/a.ply").read_bytes()
    assert "EXIF" not in command("predict", "a.jpg", "-o", "out", "-c", checkpoint, *small).err


def test_a_published_metric_checkpoint_by_name(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in the place of the published file: every command runs them as metres up to 20."""
    import torch

    from depth_anything_v2 import DepthEstimator
    from depth_anything_v2.config import model_config
    from depth_anything_v2.dpt import build_model

    load = DepthEstimator.from_pretrained
    monkeypatch.setattr(DepthEstimator, "from_pretrained", lambda name, **how: load(name, **{**how, "exact": True}))
    torch.manual_seed(0)
    Path("checkpoints").mkdir()
    state = build_model(model_config("vits", 20.0)).state_dict()
    torch.save(state, "checkpoints/depth_anything_v2_metric_hypersim_vits.pth")
    with_exif(Path("a.jpg"), 28)
    outcome = command("predict", "a.jpg", "-o", "out", "-f", "npz", "-c", "metric-indoor-vits", "--input-size", 28)
    assert outcome.status == 0
    assert "metric-indoor-vits: metric depth in metres, up to 20 m; licence Apache-2.0" in outcome.out
    stored = read_depth("out/a.npz")
    assert (stored.kind, stored.unit, stored.max_depth_m, stored.geometry) == ("metric", "m", 20, "planar")
    assert stored.camera is not None
    assert metric_main(["--img-path", "a.jpg", "--encoder", "vits", "--input-size", "28", "--save-numpy"]) == 0
    metres = np.load("vis_depth/a_raw_depth_meter.npy")
    np.testing.assert_allclose(metres, stored.depth, atol=1e-4)
    assert 0 < metres.min() < metres.max() < 20
    assert told_in("vis_depth/a.png")["unit"] == "m"
    make_clip(Path("clip.mp4"), count=2)
    arguments = ["--video-path", "clip.mp4", "--checkpoint", "metric-indoor-vits", "--input-size", "28"]
    assert video_main([*arguments, "--range", "0,20", "--pred-only"]) == 0
    assert Path("vis_video_depth/clip.mp4").is_file()
    with pytest.warns(UserWarning, match="max depth 40 m overrides the checkpoint's 20 m"):
        doubled = DepthEstimator.from_pretrained("metric-indoor-vits", input_size=28, max_depth_m=40)("a.jpg")
    np.testing.assert_allclose(doubled.depth, 2 * metres, rtol=1e-3)
