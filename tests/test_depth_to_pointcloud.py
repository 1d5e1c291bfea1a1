"""`metric_depth/depth_to_pointcloud.py`: the options, names and geometry of the original."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import FakeEstimator, photo, replace_model, save_tiny_checkpoint
from ply_reader import read_ply

from depth_anything_v2.cli.original_cloud import pointcloud_main
from depth_anything_v2.io import read_image, to_uint8
from depth_anything_v2.jobs.options import EstimatorOptions

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    """A folder of its own, and a model that answers red + 1 metres; the list has the options it was loaded with."""
    monkeypatch.chdir(tmp_path)
    return replace_model(monkeypatch, lambda options: FakeEstimator(max_depth_m=options.max_depth_m))


@pytest.mark.parametrize(("focal", "arguments"), [((470.4, 470.4), []), ((300, 250), ["300", "250"])])
def test_the_geometry_is_the_originals(focal: tuple[float, float], arguments: list[str]) -> None:
    rgb = to_uint8(read_image(photo(Path("in.dir/a b.png"), 41, 60)))
    flags = [f for pair in zip(("--focal-length-x", "--focal-length-y"), arguments, strict=False) for f in pair]
    assert pointcloud_main(["--img-path", "in.dir/a b.png", *flags]) == 0
    z = rgb[:, :, 0].astype(np.float64) + 1
    x, y = np.meshgrid(np.arange(60), np.arange(41))
    expected = np.stack([(x - 60 / 2) / focal[0] * z, (y - 41 / 2) / focal[1] * z, z], axis=-1).reshape(-1, 3)
    cloud = read_ply("vis_pointcloud/a b.ply")
    np.testing.assert_allclose(cloud.points, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(cloud.colors, rgb.reshape(-1, 3))
    assert cloud.normals is None
    assert "OpenCV camera frame: right-handed, x right, y down, z forward" in cloud.comments


def test_which_checkpoint_is_taken(loaded: list[EstimatorOptions]) -> None:
    photo(Path("a.png"))
    for flags in ([], ["--encoder", "vits", "--max-depth", "80"], ["--load-from", "mine.pth", "--max-depth", "30"]):
        assert pointcloud_main(["--img-path", "a.png", *flags]) == 0
    assert [(options.checkpoint, options.encoder, options.max_depth_m) for options in loaded] == [
        ("metric-indoor-vitl", "vitl", 20),
        ("metric-outdoor-vits", "vits", 80),
        ("mine.pth", "vitl", 30),
    ]


def test_mistakes_and_bad_files(capsys: pytest.CaptureFixture[str]) -> None:
    photo(Path("in/a.png"))
    Path("in/b.png").write_bytes(b"")
    assert pointcloud_main(["--img-path", "in"]) == 1
    shown = capsys.readouterr()
    assert "Progress 2/2" in shown.out
    assert "it is empty" in shown.err
    assert [path.name for path in Path("vis_pointcloud").iterdir()] == ["a.ply"]
    assert pointcloud_main(["--img-path", "in/a.png", "--focal-length-x", "18", "--outdir", "mm"]) == 1
    assert "millimetres" in capsys.readouterr().err
    assert list(Path("mm").iterdir()) == []
    assert pointcloud_main(["--img-path", "gone.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_script_runs_from_anywhere(tmp_path: Path) -> None:
    weights = save_tiny_checkpoint(tmp_path / "tiny.safetensors", 20)
    photo(tmp_path / "a.png", 30, 40)
    command = [sys.executable, str(ROOT / "metric_depth" / "depth_to_pointcloud.py"), "--img-path", "a.png"]
    done = subprocess.run(
        [*command, "--load-from", str(weights), "--input-size", "56"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cloud = read_ply(tmp_path / "vis_pointcloud" / "a.ply")
    assert len(cloud.points) == 30 * 40
    assert 0 < cloud.points[:, 2].min() <= cloud.points[:, 2].max() <= 20
