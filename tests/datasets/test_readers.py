from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from dataset_files import (
    HEIGHT,
    WIDTH,
    picture,
    ramp,
    write_counts,
    write_dpt,
    write_hdf5,
    write_npy,
    write_picture,
)

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets import hypersim
from depth_anything_v2.datasets.diode import Diode
from depth_anything_v2.datasets.eth3d import Eth3d
from depth_anything_v2.datasets.hypersim import Hypersim
from depth_anything_v2.datasets.kitti import Kitti
from depth_anything_v2.datasets.readers import DATASETS, open_dataset, recognise
from depth_anything_v2.datasets.rgbd import ScanNet, TumRgbd
from depth_anything_v2.datasets.sample import DepthMap, Frame, make_sample
from depth_anything_v2.datasets.sintel import Sintel
from depth_anything_v2.datasets.vkitti2 import VirtualKitti2
from depth_anything_v2.errors import InputError, NoInputError, OptionError

# Row, column, distance and depth: the published conversion at four pixels of 1024 x 768.
GOLDEN = (
    (0, 0, 4.4948545, 3.6461747),
    (96, 160, 1.0297403, 0.916563),
    (384, 512, 2.1856341, 2.1856332),
    (736, 992, 2.1236777, 1.7626585),
)


def make_hypersim(root: Path, scenes: tuple[str, ...] = ("ai_001_001",), frames: int = 2) -> None:
    for scene in scenes:
        for number in range(frames):
            distance = ramp(1, 6)
            distance[3, 4] = np.nan
            base = root / scene / "images"
            write_picture(base / "scene_cam_00_final_preview" / f"frame.{number:04d}.tonemap.jpg", picture(number))
            write_hdf5(
                base / "scene_cam_00_geometry_hdf5" / f"frame.{number:04d}.depth_meters.hdf5",
                dataset=distance.astype(np.float16),
            )


def test_hypersim_distance_becomes_planar_depth(tmp_path: Path) -> None:
    make_hypersim(tmp_path)
    dataset = Hypersim(tmp_path)
    assert [frame.name for frame in dataset.frames] == ["ai_001_001/cam_00/0000", "ai_001_001/cam_00/0001"]
    sample = dataset[1]
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(sample.image.astype(int) - picture(1)).mean() < 8
    assert (sample.kind, sample.geometry, sample.stored_geometry) == ("metric", "planar", "ray")
    focal = 886.81 * WIDTH / 1024
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    off_centre = np.hypot(x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2)
    expected = ramp(1, 6).astype(np.float16).astype(float) * focal / np.sqrt(off_centre**2 + focal**2)
    assert not sample.valid[3, 4]
    assert sample.depth[3, 4] == 0
    assert sample.valid.sum() == HEIGHT * WIDTH - 1
    np.testing.assert_allclose(sample.depth[sample.valid], expected[sample.valid], rtol=1e-5)
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(focal)


def test_hypersim_equals_the_original_at_full_size() -> None:
    distance = np.ones((768, 1024), np.float32)
    for row, column, value, _ in GOLDEN:
        distance[row, column] = value
    depth = hypersim.CAMERA.ray_to_planar(distance)
    for row, column, _, expected in GOLDEN:
        assert depth[row, column] == pytest.approx(expected, rel=1e-6)


def test_hypersim_official_splits(tmp_path: Path) -> None:
    make_hypersim(tmp_path, ("ai_001_001", "ai_002_001"))
    rows = ["scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name"]
    rows += ["ai_001_001,cam_00,0,True,,train", "ai_001_001,cam_00,1,False,bad,train", "ai_002_001,cam_00,0,True,,val"]
    (tmp_path / hypersim.SPLIT_FILE).write_text("\n".join(rows))
    assert Hypersim(tmp_path).splits() == {"train": 1, "val": 1}
    assert [frame.scene for frame in Hypersim(tmp_path, split="val").frames] == ["ai_002_001"]
    with pytest.raises(NoInputError, match="no split 'test': there are train, val"):
        Hypersim(tmp_path, split="test")


def test_file_list_of_another_machine(tmp_path: Path) -> None:
    make_hypersim(tmp_path / "data")
    base = "/mnt/somebody/HyperSim/all/ai_001_001/images"
    lines = [
        f"{base}/scene_cam_00_final_preview/frame.000{n}.tonemap.jpg "
        f"{base}/scene_cam_00_geometry_hdf5/frame.000{n}.depth_meters.hdf5"
        for n in (1, 0)
    ]
    (tmp_path / "val.txt").write_text("\n".join(lines) + "\n")
    dataset = Hypersim(tmp_path / "data", file_list=tmp_path / "val.txt")
    assert [(frame.split, frame.name[-4:]) for frame in dataset.frames] == [("val", "0001"), ("val", "0000")]
    assert dataset[0].valid.any()
    (tmp_path / "bad.txt").write_text(lines[0] + "\nonly_one.jpg\n")
    with pytest.raises(InputError, match=r"line 2: 'picture depth' is expected"):
        Hypersim(tmp_path / "data", file_list=tmp_path / "bad.txt")


def test_file_list_with_absolute_paths(tmp_path: Path) -> None:
    make_hypersim(tmp_path / "data")
    frame = Hypersim(tmp_path / "data").frames[0]
    (tmp_path / "train.txt").write_text(f"{frame.image} {frame.depth}\n")
    assert Hypersim(tmp_path / "elsewhere", file_list=tmp_path / "train.txt")[0].scene == "ai_001_001"


def test_broken_hdf5_is_one_sentence(tmp_path: Path) -> None:
    make_hypersim(tmp_path, frames=1)
    path = Hypersim(tmp_path).frames[0].depth
    path.write_bytes(b"not at all")
    with pytest.raises(InputError, match="not an HDF5 file"):
        Hypersim(tmp_path)[0]
    write_hdf5(path, other=np.ones((2, 2)))
    with pytest.raises(InputError, match="no dataset 'dataset', only other"):
        Hypersim(tmp_path)[0]


def make_vkitti2(root: Path, depth: np.ndarray, archives: bool = False) -> None:
    for scene, variation in (("Scene01", "clone"), ("Scene01", "fog"), ("Scene20", "clone")):
        tail = Path(scene, variation, "frames")
        rgb = root / "vkitti_2.0.3_rgb" if archives else root
        deep = root / "vkitti_2.0.3_depth" if archives else root
        text = root / "vkitti_2.0.3_textgt" if archives else root
        write_picture(rgb / tail / "rgb" / "Camera_0" / "rgb_00007.jpg", picture(height=25, width=83))
        write_counts(deep / tail / "depth" / "Camera_0" / "depth_00007.png", depth)
        (text / tail).parent.mkdir(parents=True, exist_ok=True)
        (text / tail).with_name("intrinsic.txt").write_text(
            "frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]\n7 0 725.0087 725.0087 620.5 187.0\n"
        )


@pytest.mark.parametrize("archives", [False, True])
def test_vkitti2_is_in_centimetres_with_a_sky(tmp_path: Path, archives: bool) -> None:
    counts = np.linspace(500, 9000, 25 * 83).reshape(25, 83).astype(np.uint16)
    counts[:5] = 65535
    make_vkitti2(tmp_path, counts, archives)
    dataset = VirtualKitti2(tmp_path)
    assert [frame.scene for frame in dataset.frames] == ["Scene01", "Scene01", "Scene20"]
    sample = dataset[0]
    np.testing.assert_allclose(sample.depth[5:], counts[5:] / 100, rtol=1e-6)
    assert sample.sky is not None
    assert sample.sky[:5].all()
    assert not sample.sky[5:].any()
    assert not sample.valid[:5].any()
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(725.0087 * 83 / 1242)
    assert sample.camera.source == "file"


def test_kitti_counts_and_calibration(tmp_path: Path) -> None:
    drive, camera = "2011_09_26_drive_0002_sync", "image_02"
    counts = np.zeros((20, 66), np.uint16)
    counts[10:, ::3] = 2560
    raw = tmp_path / "raw_data" / "2011_09_26"
    for name in ("0000000005.png", "0000000008.png"):
        write_picture(raw / drive / camera / "data" / name, picture(height=20, width=66))
        write_counts(
            tmp_path / "data_depth_annotated" / "val" / drive / "proj_depth" / "groundtruth" / camera / name, counts
        )
    (raw / "calib_cam_to_cam.txt").write_text(
        "calib_time: 09-Jan-2012 13:57:47\nS_rect_02: 1.242000e+03 3.750000e+02\n"
        "P_rect_02: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.7e-03\n"
    )
    dataset = Kitti(tmp_path)
    assert dataset.splits() == {"val": 2}
    sample = dataset[0]
    assert sample.scene == drive
    assert set(np.unique(sample.depth)) == {0.0, 10.0}
    assert (sample.valid == (counts > 0)).all()
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(721.5377 * 66 / 1242)
    lines = (
        f"2011_09_26/{drive}/{camera}/data/0000000005.png {drive}/proj_depth/groundtruth/{camera}/0000000005.png 721.5"
    )
    without = f"2011_09_26/{drive}/{camera}/data/0000000008.png None 721.5377"
    (tmp_path / "eigen.txt").write_text(f"{lines}\n{without}\n")
    (tmp_path / "raw_data" / drive).symlink_to(tmp_path / "data_depth_annotated" / "val" / drive)
    listed = Kitti(tmp_path / "raw_data", file_list=tmp_path / "eigen.txt", split="test")
    assert len(listed) == 1
    np.testing.assert_array_equal(listed[0].depth, sample.depth)


def test_diode_mask_and_subset(tmp_path: Path) -> None:
    for kind in ("indoors", "outdoor"):
        folder = tmp_path / "val" / kind / "scene_00019" / "scan_00183"
        write_picture(folder / f"00019_00183_{kind}_000_010.png", picture())
        write_npy(folder / f"00019_00183_{kind}_000_010_depth.npy", ramp(1, 20)[:, :, None])
        mask = np.ones((HEIGHT, WIDTH), np.float32)
        mask[:, :4] = 0
        write_npy(folder / f"00019_00183_{kind}_000_010_depth_mask.npy", mask)
    assert Diode(tmp_path).splits() == {"val": 2}
    dataset = Diode(tmp_path, subset="outdoor")
    assert len(dataset) == 1
    assert len(Diode(tmp_path / "val")) == 2
    sample = dataset[0]
    assert sample.scene == "scene_00019"
    np.testing.assert_array_equal(sample.image, picture())
    np.testing.assert_array_equal(sample.depth[:, 4:], ramp(1, 20)[:, 4:])
    assert not sample.valid[:, :4].any()
    assert sample.camera is not None
    assert sample.camera.fy == pytest.approx(927.06 * HEIGHT / 768)


def test_eth3d_raw_floats_need_their_size(tmp_path: Path) -> None:
    depth = ramp(2, 30)
    depth[0, 0] = np.inf
    scene = tmp_path / "courtyard"
    write_picture(scene / "images" / "dslr_images" / "DSC_0286.JPG", picture())
    target = scene / "ground_truth_depth" / "dslr_images" / "DSC_0286.JPG"
    target.parent.mkdir(parents=True)
    target.write_bytes(depth.astype("<f4").tobytes())
    sample = Eth3d(tmp_path, depth_size=(HEIGHT, WIDTH))[0]
    assert (sample.name, sample.scene, sample.camera) == ("courtyard/DSC_0286", "courtyard", None)
    assert not sample.valid[0, 0]
    np.testing.assert_array_equal(sample.depth[sample.valid], depth[np.isfinite(depth)])
    with pytest.raises(InputError, match=r"3,072 bytes, 6048 x 4032 float32 have 97,542,144"):
        Eth3d(tmp_path)[0]


def test_sintel_dpt_and_cam(tmp_path: Path) -> None:
    depth = ramp(2, 500, 20, 47)
    for name in ("final", "clean"):
        write_picture(tmp_path / "training" / name / "alley_1" / "frame_0001.png", picture(len(name), 20, 47))
    path = write_dpt(tmp_path / "training" / "depth" / "alley_1" / "frame_0001.dpt", depth)
    cam = tmp_path / "training" / "camdata_left" / "alley_1" / "frame_0001.cam"
    cam.parent.mkdir(parents=True)
    k = np.array([[1120.0, 0, 511.5], [0, 1120.0, 217.5], [0, 0, 1]])
    cam.write_bytes(struct.pack("<f", 202021.25) + k.tobytes() + np.eye(3, 4).tobytes())
    sample = Sintel(tmp_path)[0]
    np.testing.assert_array_equal(sample.depth, depth)
    np.testing.assert_array_equal(sample.image, picture(5, 20, 47))
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(1120 * 47 / 1024)
    np.testing.assert_array_equal(Sintel(tmp_path / "training", render_pass="clean")[0].image, picture(5, 20, 47))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="says 47 x 20, and has 3,768 bytes"):
        Sintel(tmp_path)[0]
    path.write_bytes(bytes(100))
    with pytest.raises(InputError, match="does not begin with Sintel's tag"):
        Sintel(tmp_path)[0]


def test_tum_matches_by_time(tmp_path: Path) -> None:
    sequence = tmp_path / "rgbd_dataset_freiburg2_desk"
    rgb, depth = [10.000, 10.033, 10.066, 11.0], [10.012, 10.030, 10.070, 12.0]
    for number, stamp in enumerate(rgb):
        write_picture(sequence / "rgb" / f"{stamp:.6f}.png", picture(number))
    for stamp in depth:
        write_counts(sequence / "depth" / f"{stamp:.6f}.png", (ramp(1, 3) * 5000).astype(np.uint16))
    for name, stamps in (("rgb", rgb), ("depth", depth)):
        lines = [f"{stamp:.6f} {name}/{stamp:.6f}.png" for stamp in stamps]
        (sequence / f"{name}.txt").write_text("# color images\n# timestamp filename\n" + "\n".join(lines) + "\n")
    dataset = TumRgbd(tmp_path)
    matched = [(frame.image.stem, frame.depth.stem) for frame in dataset.frames]
    assert matched == [("10.000000", "10.012000"), ("10.033000", "10.030000"), ("10.066000", "10.070000")]
    sample = TumRgbd(sequence)[0]
    np.testing.assert_allclose(sample.depth, ramp(1, 3), atol=2e-4)
    assert sample.camera is not None
    assert sample.camera.fx == pytest.approx(520.9 * WIDTH / 640)
    assert sample.scene == "rgbd_dataset_freiburg2_desk"
    (sequence / "associations.txt").write_text("12.0 depth/12.000000.png 11.0 rgb/11.000000.png\n")
    assert [frame.image.stem for frame in TumRgbd(sequence).frames] == ["11.000000"]


def test_scannet_pictures_are_made_as_small_as_depth(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    write_picture(scene / "color" / "12.jpg", picture(3, 2 * HEIGHT, 2 * WIDTH))
    write_counts(scene / "depth" / "12.png", (ramp(1, 3) * 1000).astype(np.uint16))
    (scene / "intrinsic").mkdir()
    (scene / "intrinsic" / "intrinsic_depth.txt").write_text("28 0 15.5 0\n0 28 11.5 0\n0 0 1 0\n0 0 0 1\n")
    sample = ScanNet(tmp_path)[0]
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(sample.depth, ramp(1, 3), atol=1e-3)
    assert sample.camera is not None
    assert (sample.camera.fx, sample.camera.cx) == (28, 15.5)
    with pytest.raises(InputError, match="64 x 48 pixels, its depth map 32 x 24; they have the same shape"):
        ScanNet(tmp_path, resize_image=False)[0]


def test_sequence_protocol(tmp_path: Path) -> None:
    make_hypersim(tmp_path, frames=3)
    dataset = Hypersim(tmp_path)
    assert len(dataset) == 3
    assert [sample.name[-1] for sample in dataset] == ["0", "1", "2"]
    assert dataset[-1].name == dataset.frames[2].name
    half = dataset[1:]
    assert isinstance(half, Hypersim)
    assert [sample.name[-1] for sample in half] == ["1", "2"]
    with pytest.raises(IndexError):
        dataset[3]
    again = pickle.loads(pickle.dumps(half))
    np.testing.assert_array_equal(again[0].depth, half[0].depth)


def test_folders_are_recognised(tmp_path: Path) -> None:
    make_hypersim(tmp_path / "a")
    make_vkitti2(tmp_path / "b", np.full((25, 83), 900, np.uint16), archives=True)
    write_dpt(tmp_path / "c" / "training" / "depth" / "alley_1" / "frame_0001.dpt", ramp(1, 2))
    assert [recognise(tmp_path / name) for name in "abc"] == ["hypersim", "vkitti2", "sintel"]
    assert recognise(tmp_path / "mine.jsonl") == "manifest"
    (tmp_path / "d").mkdir()
    with pytest.raises(OptionError, match="say which it is"):
        recognise(tmp_path / "d")
    with pytest.raises(NoInputError, match="does not exist"):
        recognise(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="did you mean 'hypersim'"):
        open_dataset("hypersin", tmp_path)
    with pytest.raises(OptionError, match="no option 'sise'"):
        open_dataset("eth3d", tmp_path, sise=1)
    with pytest.raises(NoInputError, match="holds no frames of kitti"):
        open_dataset("kitti", tmp_path / "d")
    assert "manifest" in DATASETS


def test_ray_distance_without_a_camera_is_refused() -> None:
    frame = Frame(Path("a.png"), Path("a.npy"), name="a")
    stored = DepthMap(ramp(1, 2), np.ones((HEIGHT, WIDTH), bool), geometry="ray")
    with pytest.raises(InputError, match="without intrinsics they cannot become depth"):
        make_sample(frame, picture(), stored)


def test_what_is_not_finite_or_positive_is_never_valid() -> None:
    depth = ramp(1, 2)
    depth[0, :4] = [np.nan, np.inf, 0, -1]
    frame = Frame(Path("a.png"), Path("a.npy"), name="a")
    sample = make_sample(frame, picture(), DepthMap(depth, np.ones(depth.shape, bool)))
    assert not sample.valid[0, :4].any()
    assert (sample.depth[0, :4] == 0).all()
    assert sample.valid.sum() == depth.size - 4
    camera = Camera.from_pixels(WIDTH + 1, HEIGHT, 30)
    with pytest.raises(InputError, match="the camera of 'a' is 33 x 24 pixels, its depth map 32 x 24"):
        make_sample(frame, picture(), DepthMap(depth, np.ones(depth.shape, bool), camera=camera))
