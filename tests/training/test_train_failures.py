"""What goes wrong in a training: numbers that are not finite, nothing to learn from, a full disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from training_data import saved_weights, tiny, write_scenes

from depth_anything_v2.errors import InputError, OutputError
from depth_anything_v2.training import state as state_files
from depth_anything_v2.training.run import Run, train

HERE = Path(__file__).parent


def test_a_loss_that_is_not_finite_names_the_samples_and_keeps_the_saved_weights(
    scenes: tuple[Path, Path], tmp_path: Path
) -> None:
    run = Run(tiny("metric", *scenes), None, cpu=True)
    batch = run.batches[0]
    before = {name: value.clone() for name, value in run.learner.network.state_dict().items()}
    batch.pictures[1] = torch.nan
    with pytest.raises(InputError) as error:
        run.learner.take_step(batch, 1.0)
    assert "the loss is not finite at step 0" in str(error.value)
    assert f"the batch held '{batch.names[1]}':" in str(error.value)
    for name, value in run.learner.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_batch_without_valid_pixels_is_skipped_and_said(tmp_path: Path) -> None:
    train_csv = write_scenes(tmp_path / "train", range(4), "train")
    for path in tmp_path.glob("train/[0-3]-depth.png"):
        cv2.imwrite(str(path), np.zeros((70, 98), np.uint16))
    said: list[str] = []
    config = tiny("metric", train_csv, schedule={"steps": 2})
    result = train(config, tmp_path / "run", cpu=True, say=said.append)
    assert (result.steps, result.skipped) == (2, 2)
    assert any("skipped, none of its pictures has valid pixels" in s and "'0.png'" in s for s in said)
    start = Run(config, None, cpu=True).learner.network.state_dict()
    for name, value in saved_weights(tmp_path / "run").items():
        assert torch.equal(value, start[name])


def test_a_picture_without_valid_pixels_does_not_spoil_its_batch(scenes: tuple[Path, Path]) -> None:
    run = Run(tiny("metric", *scenes), None, cpu=True)
    batch = run.batches[0]
    batch.valid[0], batch.target[0] = False, torch.nan
    outcome = run.learner.take_step(batch, 1.0)
    assert np.isfinite(outcome.values["loss"])


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")]
)
def test_the_last_good_state_survives_a_full_disk(
    scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    config = tiny("relative", scenes[0], schedule={"steps": 4})
    write, written = torch.save, []

    def full(state: dict[str, Any], path: Path) -> None:
        written.append(path)
        if len(written) == 2:
            path.write_bytes(b"the first half")
            raise failure
        write(state, path)

    monkeypatch.setattr(state_files.torch, "save", full)
    with pytest.raises(OutputError, match=r"disk is (probably )?full"):
        train(config, tmp_path / "run", cpu=True)
    assert int(torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]) == 2
    assert not list((tmp_path / "run").glob(".*"))
    monkeypatch.undo()
    train(config, tmp_path / "run", cpu=True)
    train(config, tmp_path / "whole", cpu=True)
    assert (tmp_path / "run" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
def test_a_file_larger_than_the_system_allows_is_told_in_a_sentence(tmp_path: Path) -> None:
    """The real writer of torch, not a stand-in, against a limit of the system."""
    code = (
        "import resource, signal, sys, torch\nfrom pathlib import Path\n"
        "from depth_anything_v2.errors import OutputError\nfrom depth_anything_v2.training.state import write_state\n"
        "path = Path(sys.argv[1]); write_state(path, {'good': torch.ones(3)})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try: write_state(path, {'x': torch.zeros(100_000)})\nexcept OutputError as e: print('told:', e)\n"
        "print(torch.load(path, weights_only=True))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state.pt"], capture_output=True, text=True, check=False
    )
    assert "told: cannot write" in done.stdout, done.stderr
    assert "'good': tensor([1., 1., 1.])" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
