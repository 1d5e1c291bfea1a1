"""Batches are a function of seed and step; what cannot be read or judged is told."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_data import tiny, write_scenes

from depth_anything_v2.datasets.rendered import write_shards
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.errors import DepthKindError, InputError, NoInputError, OptionError
from depth_anything_v2.training.augment import Crop, disturb, random_crop
from depth_anything_v2.training.batches import Batch, Share, StepBatches, check_sources, load_batches
from depth_anything_v2.training.config import AugmentationConfig, Source, TrainConfig
from depth_anything_v2.training.learner import make_task
from depth_anything_v2.training.sources import RenderedShards, open_sources, refuse_shared_scenes


@pytest.fixture
def manifest(scenes: tuple[Path, Path]) -> Path:
    return scenes[0]


def batches(config: TrainConfig, share: Share | None = None) -> StepBatches:
    sources = open_sources(config.data.train, "train")
    return StepBatches(config, sources, make_task(config), config.model.build().preprocessing, share)


def same(one: Batch, other: Batch) -> None:
    assert one.names == other.names
    for name in ("pictures", "target", "valid"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_batch_is_a_function_of_seed_and_step(manifest: Path) -> None:
    config = tiny("metric", manifest, augmentation={"colour": 1.0, "noise": 1.0, "zoom": [0.5, 1.0]})
    first, second = batches(config), pickle.loads(pickle.dumps(batches(config)))
    ahead = [first[step] for step in range(4)]
    for step in (3, 1):
        same(ahead[step], second[step])
    assert not torch.equal(ahead[0].pictures, ahead[1].pictures)
    other = batches(tiny("metric", manifest, run={"seed": 9}))[0]
    assert not torch.equal(other.pictures, ahead[0].pictures)
    assert ahead[0].pictures.shape == (4, 3, 56, 56)
    assert ahead[0].target.shape == ahead[0].valid.shape == (4, 56, 56)


def test_reading_processes_change_nothing(manifest: Path) -> None:
    config = tiny("metric", manifest, data={"workers": 1})
    here = batches(config)
    for step, batch in zip(range(1, 3), load_batches(here, 1, 3), strict=True):
        same(batch, here[step])


def test_two_processes_have_the_two_halves_of_one_batch(manifest: Path) -> None:
    config = tiny("metric", manifest)
    whole = batches(config)[2]
    halves = [batches(config, Share(index, 2))[2] for index in range(2)]
    assert sum((half.names for half in halves), ()) == whole.names
    assert torch.equal(torch.cat([half.pictures for half in halves]), whole.pictures)
    assert torch.equal(torch.cat([whole.part(i, 4).target for i in range(4)]), whole.target)


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can(manifest: Path) -> None:
    config = tiny("metric", manifest, data={"batch_size": 6}, loss={"silog_pictures": 2})
    with pytest.raises(OptionError, match=r"data\.batch_size \(6\) cannot be shared by 2 processes.*take 8"):
        batches(config, Share(0, 2))


def test_every_sample_comes_once_in_an_epoch(manifest: Path) -> None:
    one = batches(tiny("metric", manifest, data={"batch_size": 1}))
    epochs = [[one[5 * epoch + step].names[0] for step in range(5)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [f"{seed}.png" for seed in range(5)]
    assert epochs[0] != epochs[1]


def test_as_many_pictures_as_have_so_many_pixels(manifest: Path) -> None:
    config = tiny("metric", manifest, data={"batch_pixels": 4 * 56 * 56, "sizes": [[56, 56], [28, 28], [28, 56]]})
    shapes = {tuple(batches(config)[step].pictures.shape) for step in range(12)}
    assert shapes == {(4, 3, 56, 56), (16, 3, 28, 28), (8, 3, 28, 56)}


def test_picture_and_depth_stay_together() -> None:
    """Depth written into the picture is found where the depth is, whatever the crop."""
    depth = np.arange(1, 41 * 61 + 1, dtype=np.float32).reshape(41, 61)
    ramp = np.stack(
        [np.broadcast_to(np.arange(61) * 4, (41, 61)), np.broadcast_to(np.arange(41)[:, None] * 6, (41, 61))]
    )
    picture = np.concatenate([ramp, ramp[:1]]).transpose(1, 2, 0).astype(np.uint8)
    valid = np.ones((41, 61), bool)
    valid[:5] = False
    config = AugmentationConfig(flip=0.5, zoom=(0.4, 1.0))
    for seed in range(8):
        crop = random_crop(Crop(picture, depth, valid), (28, 42), config, np.random.default_rng(seed))
        rows, columns = np.divmod(crop.target - 1, 61)
        assert crop.picture.shape == (28, 42, 3)
        assert np.abs(crop.picture[:, :, 0].astype(float) - 4 * columns).max() <= 6
        assert np.abs(crop.picture[:, :, 1].astype(float) - 6 * rows).max() <= 9
        assert np.array_equal(crop.valid, rows >= 5)


def test_disturbing_keeps_the_range_and_is_off_by_default() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(disturb(picture, AugmentationConfig(), rng) * 255, picture, atol=1e-4)
    strong = AugmentationConfig(light=1, colour=1, grey=1, blur=1, noise=1)
    changed = disturb(picture, strong, rng)
    assert changed.dtype == np.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert np.abs(changed * 255 - picture).mean() > 5


def test_a_picture_that_cannot_be_read_is_named_and_another_stands_for_it(tmp_path: Path) -> None:
    manifest = write_scenes(tmp_path, range(3), "train")
    (tmp_path / "1.png").write_bytes(b"no picture")
    batch = batches(tiny("metric", manifest))[0]
    assert len(batch.names) == 4
    assert "1.png" not in batch.names
    assert any("1.png" in sentence for sentence in batch.unread)


def test_depth_in_eight_bits_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    manifest = write_scenes(tmp_path, range(2), "train")
    for path in tmp_path.glob("*-depth.png"):
        cv2.imwrite(str(path), np.full((70, 98), 100, np.uint8))
    config = tiny("metric", manifest)
    sources = open_sources(config.data.train, "train")
    with pytest.raises(InputError, match="8"):
        check_sources(sources, make_task(config))
    assert "cannot be read" in str(batches(config)[0].error)


def test_a_missing_folder_and_an_unnamed_one() -> None:
    with pytest.raises(NoInputError, match="'/absent' is not a folder"):
        open_sources([Source("hypersim", "/absent")], "train")
    with pytest.raises(NoInputError, match="'/absent' is not a folder of pictures"):
        open_sources([Source("pictures", "/absent")], "train")
    with pytest.raises(OptionError, match=r"where is 'hypersim'.*--data hypersim=PATH"):
        open_sources([Source("hypersim")], "train")


def test_a_scene_on_both_sides_is_refused(tmp_path: Path) -> None:
    train, val = write_scenes(tmp_path / "a", (0, 1), "train"), write_scenes(tmp_path / "b", (1, 2), "val")
    sides = [open_sources([Source("manifest", str(path))], "train") for path in (train, val)]
    with pytest.raises(OptionError, match=r"1 scene is both trained and validated on \('scene-1'\).*split by scene"):
        refuse_shared_scenes(*sides)
    refuse_shared_scenes(sides[0], ())
    for path in (train, val):
        rows = path.read_text().splitlines()
        path.write_text("\n".join(row.rsplit(",", 1)[0] for row in rows) + "\n")
    unnamed = [open_sources([Source("manifest", str(path))], "train") for path in (train, train, val)]
    refuse_shared_scenes(unnamed[0], unnamed[2])
    with pytest.raises(OptionError, match=r"2 pictures are both .*a/0\.png"):
        refuse_shared_scenes(unnamed[0], unnamed[1])


def test_relative_targets_are_inverse_depth_and_metric_ones_are_within_limits(manifest: Path) -> None:
    relative, metric = (make_task(tiny(task, manifest)) for task in ("relative", "metric"))
    depth = np.array([[2.0, 0.0], [0.0, 100.0]], np.float32)
    valid, sky = depth > 0, np.array([[False, True], [False, False]])
    sample = Sample(np.zeros((2, 2, 3), np.uint8), depth, valid, sky=sky)
    inverse, known = relative.target(sample)
    np.testing.assert_allclose(inverse, [[0.5, 0], [0, 0.01]])
    assert known.tolist() == [[True, True], [False, True]]  # the sky is known: infinitely far
    assert metric.target(sample)[1].tolist() == [[True, False], [False, False]]  # 100 m is beyond 60
    with pytest.raises(DepthKindError, match="holds relative depth"):
        metric.target(Sample(sample.image, depth, valid, kind="relative", name="x"))


def test_rendered_shards_are_read_shard_by_shard(tmp_path: Path) -> None:
    write_shards(tmp_path, 6, seed=5, height=56, width=70, shard_size=2)
    shards = RenderedShards(tmp_path)
    sample = shards[3]
    assert len(shards) == 6
    assert (sample.kind, sample.name, sample.image.shape) == ("relative", "shard-00001/001", (56, 70, 3))
    with np.load(tmp_path / "shard-00001.npz") as data:
        np.testing.assert_array_equal(sample.image, data["image"][1])
        np.testing.assert_array_equal(sample.depth, data["inverse_depth"][1])
    config = tiny(
        "relative", tmp_path, data={"train": [{"dataset": "rendered", "root": str(tmp_path)}], "batch_size": 2}
    )
    names = [name for step in range(3) for name in batches(config)[step].names]
    assert sorted(names) == sorted(frame.name for frame in shards.frames)
    assert not pickle.loads(pickle.dumps(shards))._shards
    with pytest.raises(InputError, match="no rendered scenes in"):
        RenderedShards(tmp_path / "absent")
