"""From a benchmark and a folder to samples."""

from __future__ import annotations

import csv
import json
import pickle

import numpy as np
import pytest
from evaluation_samples import scene_depth
from PIL import Image

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.errors import InputError, NoInputError, OptionError
from depth_anything_v2.evaluation import Benchmark, evaluate, load_benchmark, open_source
from depth_anything_v2.evaluation.rendered import RenderedScenes
from depth_anything_v2.evaluation.scoring import true_depth

RNG = np.random.default_rng(0)


def write_picture(path, height=24, width=32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def write_counts(path, depth, counts_per_metre) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(depth * counts_per_metre).astype(np.uint16)).save(path)


def test_rendered_scenes_are_the_same_everywhere() -> None:
    scenes = RenderedScenes(count=6, height=48, width=64)
    sample, again = scenes[2], pickle.loads(pickle.dumps(scenes))[2]
    assert np.array_equal(sample.image, again.image)
    assert np.array_equal(sample.depth, again.depth)
    assert len({scenes[i].group for i in range(6)}) == 6
    assert scenes.identity == RenderedScenes(6, 48, 64).identity != RenderedScenes(6, 48, 80).identity
    assert np.isposinf(true_depth(sample)[sample.sky]).all()
    assert list(scenes)[-1].name == scenes[-1].name


def test_pairs_in_folders(tmp_path) -> None:
    for name in ("hall/one", "hall/two", "three"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
        write_counts(tmp_path / "depth" / f"{name}.png", scene_depth(1), 1000)
    write_picture(tmp_path / "images" / "alone.jpg")
    source = open_source(load_benchmark("own"), tmp_path, scale=0.001)
    assert [(s.name, s.scene) for s in source.samples] == [("hall/one", "hall"), ("hall/two", "hall"), ("three", "")]
    np.testing.assert_allclose(source.samples[0].depth, scene_depth(1), atol=6e-4)
    assert "3 samples" in source.identity
    write_picture(tmp_path / "images" / "four.jpg")
    np.save(tmp_path / "depth" / "four.npy", scene_depth(2))
    assert open_source(load_benchmark("own"), tmp_path, scale=0.001).identity != source.identity
    with pytest.raises(InputError, match="does not say"):
        open_source(load_benchmark("own"), tmp_path).samples[0]


def test_pairs_in_one_folder(tmp_path) -> None:
    write_picture(tmp_path / "one.png")
    DepthPrediction(scene_depth(1), "metric").save(tmp_path / "one_depth.png")
    (sample,) = open_source(load_benchmark("own"), tmp_path).samples
    np.testing.assert_allclose(sample.depth, scene_depth(1), atol=6e-4)


def test_a_manifest(tmp_path) -> None:
    write_picture(tmp_path / "a.png")
    write_counts(tmp_path / "a16.png", scene_depth(1), 256)
    (tmp_path / "list.csv").write_text("image,depth,scale\na.png,a16.png,1/256\n")
    (sample,) = open_source(load_benchmark("own"), tmp_path / "list.csv").samples
    np.testing.assert_allclose(sample.depth, scene_depth(1), atol=3e-3)


def test_a_folder_with_an_index(tmp_path) -> None:
    """Two views of one desk count as one scene; inverse depth is taken as it is."""
    rows = [("tum/a", 5000, "depth_mm_scale", "desk"), ("tum/b", 5000, "depth_mm_scale", "desk")]
    rows += [("own/c", 1000, "disparity", "")]
    with (tmp_path / "INDEX.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "rgb_path", "gt_path", "gt_kind", "scale", "group"])
        for name, scale, kind, group in rows:
            stem = name.split("/")[1]
            write_picture(tmp_path / f"{stem}.png")
            values = 1 / scene_depth(1) if kind == "disparity" else scene_depth(1)
            write_counts(tmp_path / f"{stem}_gt.png", values, scale)
            table.writerow([name, f"{stem}.png", f"{stem}_gt.png", kind, scale, group])
    samples = open_source(load_benchmark("photographs"), tmp_path).samples
    assert [(s.scene, s.group, s.kind) for s in samples] == [
        ("tum, desk", "tum", "metric"),
        ("tum, desk", "tum", "metric"),
        ("own/c", "own", "relative"),
    ]
    for sample in samples:
        np.testing.assert_allclose(true_depth(sample), scene_depth(1), rtol=6e-3)
    done = evaluate(
        lambda image: DepthPrediction(2 / scene_depth(1) + 1, "relative"), samples, load_benchmark("photographs")
    )
    assert done.records[0].metrics["abs_rel"] < 1e-3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,rgb_path,scale\nx,y,1\n", "no column gt_path"),
        ("name,rgb_path,gt_path,scale\n", "lists nothing"),
        ("name,rgb_path,gt_path,scale\na,b.png,c.png,zero\n", "is no number"),
    ],
)
def test_an_index_that_makes_no_sense(tmp_path, text, said) -> None:
    (tmp_path / "INDEX.csv").write_text(text)
    with pytest.raises((InputError, NoInputError), match=said):
        open_source(load_benchmark("photographs"), tmp_path).samples[0]


def test_da2k(tmp_path) -> None:
    write_picture(tmp_path / "images" / "indoor" / "a.jpg")
    annotation = {"point1": [2, 3], "point2": [20, 30], "closer_point": "point2"}
    (tmp_path / "annotations.json").write_text(json.dumps({"images/indoor/a.jpg": [annotation]}))
    source = open_source(load_benchmark("da2k"), tmp_path)

    def lower_is_nearer(image: np.ndarray) -> DepthPrediction:
        return DepthPrediction(np.arange(image.shape[0])[:, None].repeat(image.shape[1], 1), "relative")

    (record,) = evaluate(lower_is_nearer, source.samples, load_benchmark("da2k")).records
    assert (record.metrics, record.group, record.scene) == ({"accuracy": 1.0}, "indoor", "images/indoor/a.jpg")


def test_a_dataset_of_the_package(tmp_path) -> None:
    """Sintel, in its own format and layout."""
    write_picture(tmp_path / "training" / "final" / "alley" / "frame_0001.png")
    depth = tmp_path / "training" / "depth" / "alley" / "frame_0001.dpt"
    depth.parent.mkdir(parents=True)
    header = np.float32(202021.25).tobytes() + np.array([32, 24], "<i4").tobytes()
    depth.write_bytes(header + scene_depth(1).astype("<f4").tobytes())
    (sample,) = open_source(load_benchmark("sintel"), tmp_path).samples
    assert (sample.scene, sample.depth.shape) == ("alley", (24, 32))
    with pytest.raises(NoInputError, match="has no split 'train'"):
        open_source(load_benchmark("sintel"), tmp_path, split="train")


def test_what_does_not_go_together(tmp_path) -> None:
    with pytest.raises(OptionError, match="needs its data"):
        open_source(load_benchmark("nyuv2"))
    with pytest.raises(OptionError, match="makes its own pictures"):
        open_source(load_benchmark("rendered"), tmp_path)
    with pytest.raises(NoInputError, match="there is no"):
        open_source(load_benchmark("eth3d"), tmp_path / "missing")
    with pytest.raises(NoInputError):
        open_source(load_benchmark("eth3d"), tmp_path)
    with pytest.raises(OptionError, match="no option 'scale'"):
        open_source(load_benchmark("sintel"), tmp_path, scale=0.1)
    with pytest.raises(OptionError, match="unknown data set 'moon'"):
        open_source(Benchmark("x", "x", dataset="moon", limits="scene"), tmp_path)
