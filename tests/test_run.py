"""`run.py` and `metric_depth/run.py`: the options, names and pixels of the original."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import FakeEstimator, photo, replace_model, save_tiny_checkpoint
from PIL import Image

from depth_anything_v2.cli.original import metric_main, run_main
from depth_anything_v2.errors import CheckpointNotFoundError
from depth_anything_v2.io import read_image
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.prediction import DepthPrediction

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    """Replace the model by one without weights; the options it was loaded with are in the list."""
    return replace_model(monkeypatch, lambda options: FakeEstimator(max_depth_m=options.max_depth_m))


def pictures_in(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def as_the_original(bgr: Any, depth: Any, name: str, *, pred_only: bool, grayscale: bool) -> Any:
    """Return what the original's published script makes of a depth map, with matplotlib's own colours."""
    matplotlib = pytest.importorskip("matplotlib")
    scaled = ((depth - depth.min()) / (depth.max() - depth.min()) * 255.0).astype(np.uint8)
    if grayscale:
        shown = np.stack([scaled] * 3, axis=-1)
    else:
        shown = (matplotlib.colormaps[name](scaled)[:, :, :3] * 255)[:, :, ::-1].astype(np.uint8)
    white = np.full((bgr.shape[0], 50, 3), 255, np.uint8)
    return shown if pred_only else np.concatenate([bgr, white, shown], axis=1)


@pytest.mark.parametrize("grayscale", [False, True])
@pytest.mark.parametrize("pred_only", [False, True])
@pytest.mark.parametrize("metric", [False, True])
def test_the_picture_is_the_originals(
    loaded: list[EstimatorOptions], grayscale: bool, pred_only: bool, metric: bool
) -> None:
    rgb = read_image(photo(Path("in.dir/a b.png"), 40, 60))
    flags = ["--grayscale"] * grayscale + ["--pred-only"] * pred_only
    main = metric_main if metric else run_main
    assert main(["--img-path", "in.dir/a b.png", *flags]) == 0
    depth = rgb[:, :, 0].astype(np.float32) + 1
    expected = as_the_original(
        rgb[:, :, ::-1], depth, "Spectral" if metric else "Spectral_r", pred_only=pred_only, grayscale=grayscale
    )
    assert pictures_in("vis_depth") == ["a b.png"]
    np.testing.assert_array_equal(read_image("vis_depth/a b.png")[:, :, ::-1], expected)


def test_folders_lists_and_progress(loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("in/a.jpg", "in/deep/b.png", "in/deep/a.png", "in/c.jpg", "in/c.png"):
        photo(Path(name))
    assert run_main(["--img-path", "in", "--outdir", "out"]) == 0
    assert pictures_in("out") == ["a.jpg.png", "a.png.png", "b.png", "c.jpg.png", "c.png.png"]
    assert capsys.readouterr().out.splitlines() == [
        f"Progress {number}/5: {Path(name)}"
        for number, name in enumerate(("in/a.jpg", "in/c.jpg", "in/c.png", "in/deep/a.png", "in/deep/b.png"), start=1)
    ]
    Path("list.txt").write_text("in/deep/b.png\n\nin/a.jpg\n")
    assert run_main(["--img-path", "list.txt", "--outdir", "out2"]) == 0
    assert pictures_in("out2") == ["a.png", "b.png"]


def test_it_overwrites_and_lists_what_cannot_be_read(
    loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/c.png"))
    Path("in/b.png").write_bytes(b"no picture")
    Path("vis_depth").mkdir()
    Path("vis_depth/a.png").write_text("old")
    assert run_main(["--img-path", "in"]) == 1
    assert pictures_in("vis_depth") == ["a.png", "c.png"]
    assert read_image("vis_depth/a.png").shape == (48, 64 + 50 + 64, 3)
    out, err = capsys.readouterr()
    assert "b.png" in err
    assert "1 of 3 pictures failed" in err
    assert out.count("Progress") == 3


@pytest.mark.parametrize("value", [3.0, np.nan, np.inf])
def test_flat_and_non_finite_maps_do_not_crash_it(
    loaded: list[EstimatorOptions], monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def predict(self: FakeEstimator, pictures: Any, sources: Any = None) -> list[DepthPrediction]:
        return [DepthPrediction(np.full(p.shape[:2], value, np.float32), "relative") for p in pictures]

    monkeypatch.setattr(FakeEstimator, "predict_arrays", predict)
    photo(Path("a.png"))
    assert run_main(["--img-path", "a.png"]) == 0
    assert read_image("vis_depth/a.png").shape == (48, 178, 3)


def test_which_checkpoint_the_original_command_takes(loaded: list[EstimatorOptions]) -> None:
    photo(Path("a.png"))
    run_main(["--img-path", "a.png"])
    run_main(["--img-path", "a.png", "--encoder", "vitb", "--input-size", "98"])
    Path("checkpoints").mkdir()
    Path("checkpoints/depth_anything_v2_vitl.pth").write_bytes(b"")
    run_main(["--img-path", "a.png"])
    assert [options.checkpoint for options in loaded] == ["auto", "vitb", "vitl"]
    assert [options.input_size for options in loaded] == [None, 98, None]


def test_which_metric_checkpoint_is_taken(loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]) -> None:
    photo(Path("a.png"))
    for arguments in ([], ["--encoder", "vits", "--max-depth", "80"], ["--load-from", "mine.pth", "--max-depth", "7"]):
        assert metric_main(["--img-path", "a.png", *arguments]) == 0
    assert [(options.checkpoint, options.encoder, options.max_depth_m) for options in loaded] == [
        ("metric-indoor-vitl", "vitl", 20.0),
        ("metric-outdoor-vits", "vits", 80.0),
        ("mine.pth", "vitl", 7.0),
    ]
    assert metric_main(["--img-path", "a.png", "--max-depth", "50"]) == 2
    assert "no checkpoint is published for a maximum depth of 50 m" in capsys.readouterr().err


def test_metres_as_an_array(loaded: list[EstimatorOptions]) -> None:
    rgb = read_image(photo(Path("x.png")))
    assert metric_main(["--img-path", "x.png", "--save-numpy", "--outdir", "out"]) == 0
    assert pictures_in("out") == ["x.png", "x_raw_depth_meter.npy"]
    depth = np.load("out/x_raw_depth_meter.npy")
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, rgb[:, :, 0].astype(np.float32) + 1)


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_main(["--img-path", "gone"]) == 2
    assert capsys.readouterr().err == "run.py: error: no pictures to work on: 'gone' does not exist\n"
    photo(Path("a.png"))
    assert metric_main(["--img-path", "a.png", "--load-from", "./gone.pth"]) == 2
    assert capsys.readouterr().err.count("\n") == 1

    def load(self: EstimatorOptions, **_how: Any) -> None:
        raise CheckpointNotFoundError("vitl is nowhere")

    monkeypatch.setattr(EstimatorOptions, "load", load)
    assert run_main(["--img-path", "a.png"]) == 2
    with pytest.raises(SystemExit) as caught:
        run_main(["--img-path", "a.png", "--encoder", "vitx"])
    assert caught.value.code == 2


def script(path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_scripts_with_a_real_model_from_another_folder(tmp_path: Path) -> None:
    save_tiny_checkpoint(tmp_path / "weights.safetensors", max_depth_m=20)
    photo(tmp_path / "a.jpg", 48, 64)
    done = script(
        ROOT / "metric_depth" / "run.py",
        *("--img-path", "a.jpg", "--load-from", "./weights.safetensors", "--input-size", "64", "--save-numpy"),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "Progress 1/1: a.jpg\n"
    with Image.open("vis_depth/a.png") as picture:
        assert picture.size == (64 + 50 + 64, 48)
    depth = np.load("vis_depth/a_raw_depth_meter.npy")
    assert depth.shape == (48, 64)
    assert 0 < depth.min() <= depth.max() < 20
    assert script(ROOT / "run.py", "--help").stdout.startswith("usage: run.py")


def test_a_copy_that_is_not_installed_finds_the_package_beside_it(tmp_path: Path) -> None:
    """Without site-packages nothing of the package can come from an installation."""
    shutil.copytree(ROOT / "metric_depth", tmp_path / "metric_depth")
    (tmp_path / "depth_anything_v2" / "cli").mkdir(parents=True)
    (tmp_path / "depth_anything_v2" / "__init__.py").touch()
    (tmp_path / "depth_anything_v2" / "cli" / "__init__.py").touch()
    (tmp_path / "depth_anything_v2" / "cli" / "original.py").write_text("def metric_main():\n    print('found')\n")
    command = [sys.executable, "-S", "-I", "metric_depth/run.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr


def test_metric_weights_in_run_py_are_shown_with_near_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric file in the place of a relative one is known by its digest or metadata: far must not be red."""
    monkeypatch.setattr(EstimatorOptions, "load", lambda self, **_how: FakeEstimator(max_depth_m=20.0))
    rgb = read_image(photo(Path("x.png"), 40, 60))
    assert run_main(["--img-path", "x.png", "--pred-only"]) == 0
    depth = rgb[:, :, 0].astype(np.float32) + 1
    expected = as_the_original(rgb[:, :, ::-1], depth, "Spectral", pred_only=True, grayscale=False)
    np.testing.assert_array_equal(read_image("vis_depth/x.png")[:, :, ::-1], expected)


@pytest.mark.parametrize("script", ["run.py", "run_video.py", "app.py", "metric_depth/run.py"])
def test_a_python_without_the_dependencies_gives_a_sentence(script: str) -> None:
    """-S leaves out site-packages, as the system's Python would lack them."""
    done = subprocess.run([sys.executable, "-S", ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No module named" in done.stderr
    assert "pip install ." in done.stderr
