"""`depth-anything train` and `metric_depth/train.py`, from words to a checkpoint or a sentence."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from depth_anything_v2 import DepthEstimator
from depth_anything_v2.cli.main import main
from depth_anything_v2.cli.original_train import original_config, train_main

ROOT = Path(__file__).parent.parent.parent
SMALL = "-s model.embed_dim=32 -s model.depth=4 -s model.num_heads=2 -s model.features=8 -s model.head_hidden=4 "
SMALL += "-s model.out_channels=[8,8,8,8] -s data.workers=0 -s data.sizes=[[56,56]] -s run.tensorboard=false "


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A wall of steps, whose brightness tells the distance; two scenes to train on, one held out."""
    rows = ["image,depth,scale,split,scene"]
    for number, split in enumerate(("train", "train", "val")):
        steps = np.kron(np.random.default_rng(number).integers(1, 9, (4, 5)), np.ones((16, 16), int))
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.repeat((steps * 28).astype(np.uint8)[:, :, None], 3, axis=2))
        cv2.imwrite(str(tmp_path / f"{number}-d.png"), (steps * 1000).astype(np.uint16))
        rows.append(f"{number}.png,{number}-d.png,0.001,{split},wall-{number}")
    path = tmp_path / "walls.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def run(words: str) -> int:
    threads = torch.get_num_threads()
    try:
        return main(words.split())
    finally:
        torch.set_num_threads(threads)


def test_metres_from_ones_own_manifest(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train metric metric-own --data own={manifest} -o {tmp_path / 'run'} --cpu {SMALL}"
    words += "-s model.checkpoint= -s schedule.epochs=2 -s data.batch_size=2 -s run.precision=float32"
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"written: {tmp_path / 'run' / 'best.safetensors'} (2 steps, delta1 0.")
    assert "held-out samples" in err
    estimator = DepthEstimator.from_pretrained(tmp_path / "run" / "best.safetensors", engine="torch")
    assert (estimator.config.kind, estimator.config.max_depth_m) == ("metric", 20.0)
    assert run(f"{words} --quiet") == 0  # it is done already
    assert capsys.readouterr().err == ""


def test_first_aid_tells_a_rate_that_learns_from_one_that_does_not(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train relative relative-own --data own={manifest} -o {tmp_path / 'run'} --cpu --overfit-one-batch {SMALL}"
    words += "-s model.checkpoint= -s data.batch_size=2 -s run.precision=float32 "
    assert run(f"{words} -s optimiser.head_rate=1e-2 -s optimiser.encoder_rate=2e-3") == 0
    assert "it falls" in capsys.readouterr().out
    assert run(f"{words} -s optimiser.head_rate=1e-9 -s optimiser.encoder_rate=0") == 1
    assert "it does not fall far" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("train metric metric-own", 2, "where is 'own'? say --data own=PATH"),
        ("train metric metric-indor", 2, "did you mean 'metric-indoor'"),
        ("train metric metric-own --data own=/absent.csv", 1, "cannot read '/absent.csv'"),
        ("train metric metric-own -s optimiser.encodr_rate=1", 2, "did you mean 'encoder_rate'"),
        ("train relative /absent.toml", 1, "cannot read '/absent.toml'"),
    ],
)
def test_mistakes_become_one_line(words: str, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train presets") == 0
    assert "metric-indoor" in capsys.readouterr().out


def hypersim(root: Path) -> Path:
    """Write two scenes of two frames in Hypersim's layout, and the file lists of the original."""
    for scene in ("ai_001_001", "ai_001_002"):
        images = root / scene / "images"
        pictures, depths = images / "scene_cam_00_final_preview", images / "scene_cam_00_geometry_hdf5"
        for folder in (pictures, depths):
            folder.mkdir(parents=True)
        for frame in range(2):
            cv2.imwrite(
                str(pictures / f"frame.{frame:04d}.tonemap.jpg"), np.full((48, 64, 3), 80 + 40 * frame, np.uint8)
            )
            with h5py.File(depths / f"frame.{frame:04d}.depth_meters.hdf5", "w") as file:
                file["dataset"] = np.full((48, 64), 2.0 + frame, np.float16)
    for name, scene in (("train", "ai_001_001"), ("val", "ai_001_002")):
        lines = [
            f"/somewhere/{scene}/images/scene_cam_00_final_preview/frame.{i:04d}.tonemap.jpg "
            f"/somewhere/{scene}/images/scene_cam_00_geometry_hdf5/frame.{i:04d}.depth_meters.hdf5"
            for i in range(2)
        ]
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_the_originals_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = hypersim(tmp_path / "data")
    words = (
        f"--encoder vits --dataset hypersim --img-size 56 --epochs 1 --bs 2 --lr 0.001 --save-path {tmp_path / 'run'} "
    )
    words += f"--data-root {root} --train-list {root / 'train.txt'} --val-list {root / 'val.txt'} --cpu "
    words += SMALL.replace("-s ", "--set ")
    assert train_main(words.split()) == 0
    assert "written:" in capsys.readouterr().out
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_the_originals_options_make_the_originals_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    given = argparse.Namespace(
        encoder="vitb",
        dataset="vkitti",
        img_size=518,
        min_depth=0.001,
        max_depth=80.0,
        epochs=120,
        bs=4,
        lr=5e-6,
        pretrained_from="x.pth",
        data_root=tmp_path,
        train_list=None,
        val_root=tmp_path / "kitti",
        val_list=tmp_path / "val.txt",
        set=[],
    )
    config = original_config(given)
    assert (config.model.encoder, config.model.part, config.model.max_depth) == ("vitb", "encoder", 80.0)
    assert (config.data.batch_size, config.loss.silog_pictures) == (32, 4)
    assert (config.optimiser.encoder_rate, config.optimiser.head_rate) == (5e-6, pytest.approx(5e-5))
    assert [(s.dataset, s.root) for s in config.data.train] == [("vkitti2", str(tmp_path))]
    assert [(s.dataset, s.root) for s in config.data.val] == [("kitti", str(tmp_path / "kitti"))]
    assert config.data.val[0].file_list.endswith("val.txt")


def test_the_script_answers_without_loading_torch() -> None:
    code = "import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    script = str(ROOT / "metric_depth" / "train.py")
    done = subprocess.run([sys.executable, "-c", code, script, "--help"], capture_output=True, text=True, check=False)
    assert "--pretrained-from" in done.stdout
    assert done.stdout.endswith("False\n")
