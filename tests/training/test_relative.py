"""The trainer on a handful of tiny rendered scenes: it learns, resumes and refuses what is broken."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_anything_v2 import DepthEstimator, InputError
from depth_anything_v2.config import model_config
from depth_anything_v2.datasets.rendered import write_shards
from depth_anything_v2.datasets.shards import CropSampler
from depth_anything_v2.training.relative import RelativeOptions, RelativeTrainer, judge, main, train

CONFIG = model_config("lite0")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_shards(folder, 12, seed=5, height=72, width=96, shard_size=6)
    return folder


@pytest.fixture
def options(scenes: Path, tmp_path: Path) -> RelativeOptions:
    return RelativeOptions(
        scenes,
        scenes,
        tmp_path / "run",
        steps=6,
        decay_steps=2,
        warmup_steps=2,
        batch_pixels=4 * 64 * 64,
        sizes=((64, 64), (64, 96)),
        save_every=3,
        judge_every=6,
    )


def test_the_rate_warms_up_stays_and_falls_to_nothing(options: RelativeOptions) -> None:
    rates = [replace(options, steps=10, decay_steps=4).rate(step) for step in range(11)]
    assert rates[:7] == [0.5, 1, 1, 1, 1, 1, 1]
    assert rates[7:] == sorted(rates[7:], reverse=True)
    assert rates[10] == 0


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(options: RelativeOptions, monkeypatch) -> None:
    whole = train(options, CONFIG)
    step, taken = RelativeTrainer.train_step, 0

    def cut(self, batch):
        nonlocal taken
        taken += 1
        if taken == 5:
            raise KeyboardInterrupt
        return step(self, batch)

    interrupted = replace(options, run=options.run.with_name("cut"))
    monkeypatch.setattr(RelativeTrainer, "train_step", cut)
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, CONFIG)
    monkeypatch.undo()
    resumed = train(interrupted, CONFIG)
    first, second = (torch.load(path.parent / "state.pt", weights_only=True) for path in (whole, resumed))
    assert first["step"] == second["step"] == 6
    for name, value in first["model"].items():
        torch.testing.assert_close(second["model"][name], value, rtol=0, atol=0)
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    depths = [DepthEstimator.from_pretrained(path)(picture) for path in (whole, resumed)]
    np.testing.assert_array_equal(depths[0].depth, depths[1].depth)
    assert depths[0].kind == "relative"


def test_the_loss_falls_on_one_batch_repeated(options: RelativeOptions) -> None:
    trainer = RelativeTrainer(replace(options, steps=100), CONFIG)
    batch = CropSampler(options.scenes, CONFIG.preprocessing, [(64, 96)], 4 * 64 * 96, 0).batch(0)
    losses = [trainer.train_step(batch)["loss"] for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_batches_are_a_function_of_seed_and_step(scenes: Path) -> None:
    first, second = (CropSampler(scenes, CONFIG.preprocessing, [(64, 64), (32, 64)], 8000, 3) for _ in range(2))
    ahead = [first.batch(step) for step in range(4)]
    for step in (3, 1):
        for one, other in zip(ahead[step], second.batch(step), strict=True):
            np.testing.assert_array_equal(one, other)
    pictures, inverse = ahead[0]
    assert pictures.dtype == inverse.dtype == np.float32
    assert pictures.shape[0] == inverse.shape[0] >= 2
    assert np.abs(pictures).max() <= 1.0 + 1e-6
    assert inverse.min() >= 0


def test_judging_knows_right_from_wrong(scenes: Path) -> None:
    class Oracle:
        """Answers with the depth that the scene has, found by its picture."""

        def __init__(self, sign: float) -> None:
            self.sign, self.known = sign, {}
            for shard in sorted(scenes.glob("*.npz")):
                with np.load(shard) as data:
                    for image, inverse in zip(data["image"], data["inverse_depth"], strict=True):
                        self.known[image.tobytes()] = inverse.astype(np.float32)

        def __call__(self, image: np.ndarray):
            from depth_anything_v2 import DepthPrediction

            return DepthPrediction(self.sign * (3 * self.known[image.tobytes()] + 1), "relative")

    right, wrong = judge(Oracle(1), scenes), judge(Oracle(-1), scenes)
    assert right["order"] > 0.999
    assert right["abs_rel"] < 0.01
    assert right["delta1"] > 0.99
    assert wrong["order"] < 0.01
    assert wrong["abs_rel"] > 0.1


def test_a_loss_that_is_not_finite_stops_the_run(options: RelativeOptions) -> None:
    trainer = RelativeTrainer(options, CONFIG)
    pictures = np.full((2, 3, 64, 64), np.nan, np.float32)
    with pytest.raises(InputError, match="not finite at step 0"):
        trainer.train_step((pictures, np.ones((2, 64, 64), np.float32)))


def test_a_folder_without_scenes_is_named(options: RelativeOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rendered scenes in"):
        CropSampler(tmp_path, CONFIG.preprocessing, [(64, 64)], 8000, 0).batch(0)


def test_the_command_line(options: RelativeOptions) -> None:
    words = f"--scenes {options.scenes} --held-out {options.held_out} --run {options.run} --steps 2 --decay-steps 1"
    main([*words.split(), "--batch-pixels", "8192", "--sizes", "64x64", "--judge-every", "2"])
    rows = list(csv.DictReader((options.run / "held_out.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2"]
    assert 0 <= float(rows[0]["order"]) <= 1
