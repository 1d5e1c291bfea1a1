"""Whole runs, small: they resume to the bit, in one process or two, and leave a checkpoint that says what it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_data import read_rows, saved_weights, tiny, write_scenes

from depth_anything_v2 import DepthEstimator
from depth_anything_v2.checkpoints.files import safetensors_metadata
from depth_anything_v2.errors import OptionError
from depth_anything_v2.training.run import Run, train

HERE = Path(__file__).parent


def assert_same_run(one: Path, other: Path) -> None:
    for part in ("model", "average"):
        first, second = saved_weights(one, part), saved_weights(other, part)
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert torch.equal(value, second[name]), name
    for table in ("log.csv", "held_out.csv"):
        assert (one / table).read_text() == (other / table).read_text()


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads({threads})
from training_data import tiny
from depth_anything_v2.training.run import train
config = tiny("metric", Path({train!r}), Path({val!r}))
train(config, {folder!r}, cpu=True, say=lambda sentence: print(sentence, flush=True))
"""


def test_a_killed_run_goes_on_as_if_nothing_had_been(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    script = KILLED.format(
        here=str(HERE),
        threads=torch.get_num_threads(),
        train=str(scenes[0]),
        val=str(scenes[1]),
        folder=str(tmp_path / "killed"),
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 5 of"):  # one step after what was saved at step 4
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    saved = int(torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["step"])
    assert saved == 4
    config = tiny("metric", *scenes)
    said: list[str] = []
    resumed = train(config, tmp_path / "killed", cpu=True, say=said.append)
    whole = train(config, tmp_path / "whole", cpu=True)
    assert said[0] == "going on from step 4"
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert resumed.metrics == whole.metrics
    again = train(config, tmp_path / "whole", cpu=True)  # it is at its end already
    assert again == whole


def test_more_steps_go_on_from_before_the_decay(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    schedule = {"shape": "decay", "decay_steps": 2, "steps": 4}
    longer = tiny("relative", *scenes, schedule={**schedule, "steps": 6})
    train(tiny("relative", *scenes, schedule=schedule), tmp_path / "run", cpu=True)
    train(longer, tmp_path / "run", cpu=True)
    train(longer, tmp_path / "once", cpu=True)
    assert (tmp_path / "run" / "log.csv").read_text() == (tmp_path / "once" / "log.csv").read_text()
    for name, value in saved_weights(tmp_path / "once").items():
        assert torch.equal(value, saved_weights(tmp_path / "run")[name])


def test_a_folder_with_another_run_is_refused(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    train(tiny("relative", *scenes, schedule={"steps": 2}), tmp_path, cpu=True)
    with pytest.raises(OptionError, match=r"has another optimiser\.head_rate \(0\.002, here 0\.1\)"):
        train(tiny("relative", *scenes, schedule={"steps": 2}, optimiser={"head_rate": 0.1}), tmp_path, cpu=True)


def test_the_checkpoint_says_what_it_is(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    result = train(tiny("metric", *scenes, run={"tensorboard": True, "licence": "CC-BY-4.0"}), tmp_path, cpu=True)
    about = safetensors_metadata(result.best)
    assert (about["kind"], about["config"]["max_depth_m"], about["licence"]) == ("metric", 60.0, "CC-BY-4.0")
    assert about["metrics"] == pytest.approx(result.metrics)
    assert about["training"]["optimiser"]["head_rate"] == 2e-3
    assert str(scenes[0].parent) not in str(about)  # paths of this machine stay here
    estimator = DepthEstimator.from_pretrained(result.best, engine="torch")
    answer = estimator(np.zeros((40, 60, 3), np.uint8))
    assert (answer.kind, answer.max_depth_m, answer.provenance.encoder) == ("metric", 60.0, "vit-32x4")
    pictures = sorted((tmp_path / "samples").glob("*.png"))
    assert [path.name for path in pictures] == ["step-0000003.png", "step-0000006.png"]
    sheet = cv2.imread(str(pictures[0]))
    assert sheet.shape[0] > 2 * 160
    assert sheet.std() > 10
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_the_best_one_is_kept_beside_the_last(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    """A rate that ruins the weights after the first judgement: the best stays the first."""
    config = tiny(
        "metric", *scenes, schedule={"shape": "constant", "steps": 4}, validation={"every": 2, "metric": "abs_rel"}
    )
    calls = []

    def spoil(sentence: str) -> None:
        if sentence.startswith("step 2:"):
            calls.append(sentence)
            for parameter in run.learner.network.depth_head.parameters():
                parameter.data.zero_()  # 30 m everywhere

    run = Run(config, tmp_path, cpu=True, say=spoil)
    result = run.train()
    rows = read_rows(tmp_path / "held_out.csv")
    assert len(calls) == 1
    best = min(rows, key=lambda row: float(row["abs_rel"]))
    assert best["step"] == "2"
    assert float(best["abs_rel"]) == pytest.approx(result.metrics["abs_rel"], rel=1e-6)
    assert safetensors_metadata(tmp_path / "best.safetensors")["steps"] == int(best["step"])
    assert safetensors_metadata(tmp_path / "last.safetensors")["steps"] == 4


def test_two_processes_give_the_loss_curve_of_one(scenes: tuple[Path, Path], tmp_path: Path) -> None:
    """The same global batch of four through gloo, two pictures each, one of them without a valid pixel."""
    folder = tmp_path / "data"
    train_csv = write_scenes(folder, range(4), "train")
    cv2.imwrite(str(folder / "2-depth.png"), np.zeros((70, 98), np.uint16))
    script = tmp_path / "two.py"
    lines = KILLED.format(
        here=str(HERE), threads=1, train=str(train_csv), val=str(scenes[1]), folder=str(tmp_path / "two")
    )
    script.write_text(lines)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    command = [*launcher, "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", str(script)]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "on 2 x cpu" in done.stdout, f"{time.monotonic() - started}"
    train(tiny("metric", train_csv, scenes[1]), tmp_path / "one", cpu=True)
    curves = []
    for name in ("one", "two"):
        for table, column in (("log.csv", "loss"), ("held_out.csv", "abs_rel")):
            rows = read_rows(tmp_path / name / table)
            curves.append([float(row[column]) for row in rows])
    assert len(curves[0]) == len(curves[2]) == 6
    np.testing.assert_allclose(curves[2], curves[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(curves[3], curves[1], rtol=1e-3)
