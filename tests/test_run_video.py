"""`run_video.py`: options, names and pictures of the original; streams in, playable videos out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from picture_files import replace_model, save_tiny_checkpoint
from video_clips import FILM, Brightness, make_clip, sound_only

from depth_anything_v2.cli.video import main
from depth_anything_v2.io.colormaps import original_picture
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.video import VideoReader, read_frames

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[EstimatorOptions]:
    """Replace the model by one without weights; the options it was loaded with are in the list."""

    def make(_options: EstimatorOptions) -> Brightness:
        estimator = Brightness()
        estimator.notes = ("a stand-in",)
        return estimator

    return replace_model(monkeypatch, make)


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.parametrize("flags", [[], ["--pred-only"], ["--grayscale"], ["--pred-only", "--grayscale"]])
def test_the_frames_are_the_originals(
    loaded: list[EstimatorOptions], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(Path("clip one.mp4"), count=8)
    assert main(["--video-path", "clip one.mp4", *flags]) == 0
    out, err = capsys.readouterr()
    assert "Progress 1/1: clip one.mp4" in out
    assert "8 frames at 24000/1001 fps" in out
    assert "note: a stand-in" in err
    assert names("vis_video_depth") == ["clip one.mp4"]
    sources = list(read_frames("clip one.mp4"))
    with VideoReader("vis_video_depth/clip one.mp4") as reader:
        frames = list(reader)
        assert reader.info.rate == FILM
    assert len(frames) == 8
    for shown, source in zip(frames, sources, strict=True):
        expected = original_picture(
            np.ascontiguousarray(source.rgb[:, :, ::-1]),
            Brightness()(source.rgb).depth,
            pred_only="--pred-only" in flags,
            grayscale="--grayscale" in flags,
        )[:, :, ::-1]
        assert shown.rgb.shape == expected.shape
        assert np.abs(shown.rgb.astype(int) - expected)[2:-2:4, 2:-2:4].mean() < 6


def test_which_checkpoint_is_taken(loaded: list[EstimatorOptions]) -> None:
    make_clip(Path("a.mp4"), count=2)
    run = ["--video-path", "a.mp4"]
    assert main(run) == 0
    Path("checkpoints").mkdir()
    Path("checkpoints/depth_anything_v2_vitl.pth").touch()
    assert main(run) == 0
    assert main([*run, "--encoder", "vitb", "--input-size", "280", "--device", "cpu"]) == 0
    assert main([*run, "--checkpoint", "mine.pth", "--max-depth", "20"]) == 0
    assert [o.checkpoint for o in loaded] == ["auto", "vitl", "vitb", "mine.pth"]
    assert (loaded[2].input_size, loaded[2].device, loaded[3].max_depth_m) == (280, "cpu", 20.0)


def test_a_folder_with_bad_videos_does_the_good_ones(
    loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/sub").mkdir(parents=True)
    make_clip(Path("in/a.mp4"), count=3)
    make_clip(Path("in/a.avi"), count=4, codec="mpeg4")
    make_clip(Path("in/sub/c.webm"), count=5, codec="libvpx-vp9")
    sound_only(Path("in/b.mp4"))
    Path("in/empty.mp4").touch()
    Path("in/letter.mov").write_text("dear reader " * 100)
    Path("in/notes.md").write_text("no video")
    assert main(["--video-path", "in", "--outdir", "in/out"]) == 1
    assert names("in/out") == ["a.avi.mp4", "a.mp4.mp4", "c.mp4"]
    _, err = capsys.readouterr()
    assert err.count("failed: ") == 3
    assert "3 of 6 videos failed" in err
    assert "Traceback" not in err
    assert len(list(read_frames("in/out/a.avi.mp4"))) == 4
    assert main(["--video-path", "in", "--outdir", "in/out"]) == 1  # its own results are no input
    assert names("in/out") == ["a.avi.mp4", "a.mp4.mp4", "c.mp4"]


def test_videos_of_one_name_in_two_folders_stay_apart(loaded: list[EstimatorOptions]) -> None:
    for folder, count in (("x", 2), ("y", 3)):
        Path("in", folder).mkdir(parents=True)
        make_clip(Path("in", folder, "v.mp4"), count=count)
    assert main(["--video-path", "in", "--outdir", "out"]) == 0
    counts = [len(list(read_frames(path))) for path in sorted(Path("out").rglob("*.mp4"))]
    assert counts == [2, 3]


def test_a_list_names_videos(loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]) -> None:
    Path("lists").mkdir()
    make_clip(Path("one.mp4"), count=2)
    make_clip(Path("lists/two.mp4"), count=2)
    Path("lists/all.txt").write_text("# mine\none.mp4\n\ntwo.mp4\none.mp4\nthree.mp4\n", encoding="utf-8-sig")
    assert main(["--video-path", "lists/all.txt", "--outdir", "out"]) == 1
    assert names("out") == ["one.mp4", "two.mp4"]
    assert "'three.mp4' does not exist" in capsys.readouterr().err


def test_the_range_of_the_clip_is_said(loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]) -> None:
    make_clip(Path("a.mp4"), count=6)
    assert main(["--video-path", "a.mp4", "--range", "clip"]) == 0
    out, _ = capsys.readouterr()
    low, high = out.split("range ")[1].split(" ")[0].split(",")
    assert main(["--video-path", "a.mp4", f"--range={low},{high}", "--outdir", "again"]) == 0
    first, second = (list(read_frames(f"{folder}/a.mp4")) for folder in ("vis_video_depth", "again"))
    assert all(np.abs(a.rgb.astype(int) - b.rgb).mean() < 1 for a, b in zip(first, second, strict=True))


def test_a_cut_video_is_kept_and_counted_as_failed(
    loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_clip(Path("a.mp4"), count=60, container_options={"movflags": "+faststart"}, options={"g": "5"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert main(["--video-path", "a.mp4"]) == 1
    frames = len(list(read_frames("vis_video_depth/a.mp4")))
    assert f"{frames} of 60 frames could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--video-path", "no.mp4"], "'no.mp4' does not exist"),
        (["--video-path", "empty"], "holds no videos"),
        (["--video-path", "empty.txt"], "names no videos"),
        (["--video-path", "a.mp4", "--range", "2,1"], "the smaller first"),
        (["--video-path", "a.mp4", "--range", "scene"], "'frame', 'clip' or two numbers"),
        (["--video-path", "a.mp4", "--outdir", "."], "would be overwritten"),
    ],
)
def test_wrong_usage(
    loaded: list[EstimatorOptions], arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(Path("a.mp4"), count=2)
    before = Path("a.mp4").read_bytes()
    Path("empty").mkdir()
    Path("empty.txt").touch()
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not loaded
    assert Path("a.mp4").read_bytes() == before


def test_without_pyav_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["--video-path", "a.mp4"]) == 1
    assert "video needs the package 'av': pip install av" in capsys.readouterr().err


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = "import sys, depth_anything_v2.cli.video; print({'av', 'torch', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def test_an_output_folder_that_is_a_file(loaded: list[EstimatorOptions], capsys: pytest.CaptureFixture[str]) -> None:
    make_clip(Path("a.mp4"), count=2)
    Path("out").touch()
    assert main(["--video-path", "a.mp4", "--outdir", "out/deep"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_ctrl_c_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Brightness):
        notes = ()

        def __call__(self, rgb: np.ndarray) -> DepthPrediction:
            if len(self.calls) > 3:
                raise KeyboardInterrupt
            return super().__call__(rgb)

    monkeypatch.setattr(EstimatorOptions, "load", lambda self, **_how: Interrupted())
    make_clip(Path("a.mp4"))
    assert main(["--video-path", "a.mp4"]) == 130
    assert names("vis_video_depth") == []


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def test_the_script_with_a_real_network(here: Path) -> None:
    weights = save_tiny_checkpoint(here / "tiny.safetensors")
    make_clip(
        Path("phone.mov"),
        count=5,
        size=(62, 46),
        times=[0, 20, 37, 60, 81],
        time_base=Fraction(1, 600),
        rotation=(-90, False),
    )
    command = [sys.executable, str(ROOT / "run_video.py"), "--video-path", "phone.mov", "--input-size", "64"]
    done = subprocess.run(
        [*command, "--checkpoint", str(weights), "--device", "cpu"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with av.open("vis_video_depth/phone.mp4") as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert (frames[0].width, frames[0].height) == (46 + 50 + 46, 62)
    assert [f.pts * f.time_base for f in frames] == [Fraction(t, 600) for t in (0, 20, 37, 60, 81)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_a_signal_in_the_middle_ends_cleanly(here: Path) -> None:
    weights = save_tiny_checkpoint(here / "tiny.safetensors")
    make_clip(Path("long.mp4"), count=3000, size=(32, 32), options={"preset": "ultrafast"})
    command = [sys.executable, str(ROOT / "run_video.py"), "--video-path", "long.mp4", "--input-size", "64"]
    process = subprocess.Popen(
        [*command, "--checkpoint", str(weights), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    out = Path("vis_video_depth")
    deadline = time.monotonic() + 60
    while not (out.is_dir() and names(out)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert names(out) == []
