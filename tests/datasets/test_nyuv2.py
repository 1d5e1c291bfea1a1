from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from depth_anything_v2.datasets.matlab5 import read_mat5
from depth_anything_v2.datasets.nyuv2 import NyuV2
from depth_anything_v2.errors import InputError


def make_nyu(root: Path, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Write the labelled file as MATLAB does: axes in reverse order, strings as references to columns of codes."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 480, 640, 3), dtype=np.uint8)
    raw = rng.uniform(1, 5, (count, 480, 640)).astype(np.float32)
    raw[:, 100:110] = 0
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["depths"] = np.where(raw > 0, raw, 3).transpose(0, 2, 1).astype(np.float32)
        file["rawDepths"] = raw.transpose(0, 2, 1)
        names = file.create_dataset("scenes", (1, count), dtype=h5py.ref_dtype)
        for index in range(count):
            text = f"kitchen_000{index}"
            codes = file.create_dataset(f"#refs#/{index}", data=np.array([[ord(c)] for c in text], np.uint16))
            names[0, index] = codes.ref
    return images, raw


@pytest.mark.parametrize("compressed", [False, True])
def test_nyu_is_turned_the_right_way(tmp_path: Path, compressed: bool) -> None:
    images, raw = make_nyu(tmp_path)
    numbers = {"trainNdxs": np.array([[2.0]]), "testNdxs": np.array([[1], [3]], np.uint16)}
    savemat(tmp_path / "splits.mat", {**numbers, "note": "text is left out"}, do_compression=compressed)
    dataset = NyuV2(tmp_path, split="test")
    assert [(frame.name, frame.scene) for frame in dataset.frames] == [
        ("0001", "kitchen_0000"),
        ("0003", "kitchen_0002"),
    ]
    sample = dataset[1]
    np.testing.assert_array_equal(sample.image, images[2])
    np.testing.assert_array_equal(sample.depth, raw[2])
    assert (sample.valid == (raw[2] > 0)).all()
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(518.857901)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[1].image, images[2])
    filled = NyuV2(tmp_path / "nyu_depth_v2_labeled.mat", filled=True)[0]
    assert filled.valid.all()


def test_mat_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.mat"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    with pytest.raises(InputError, match="not a MATLAB file of version 5"):
        read_mat5(path)
    savemat(path, {"trainNdxs": np.arange(500.0)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        read_mat5(path)
