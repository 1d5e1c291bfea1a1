from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_clips import FILM, Brightness, frame, make_clip

from depth_anything_v2.errors import InputError, OptionError, OutputError
from depth_anything_v2.io.colormaps import original_picture, table
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.video import (
    Frame,
    RenderOptions,
    VideoReader,
    clip_range,
    depth_frames,
    depth_picture,
    parse_range,
    read_frames,
    render_video,
)


def prediction(seed: int = 0, kind: str = "relative") -> DepthPrediction:
    depth = np.random.default_rng(seed).uniform(-3, 9, (48, 64)).astype(np.float32)
    return DepthPrediction(depth, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("pred_only", [False, True])
@pytest.mark.parametrize("grayscale", [False, True])
def test_without_a_range_the_picture_is_the_originals(pred_only: bool, grayscale: bool) -> None:
    rgb, depth = frame(3, 64, 48), prediction()
    expected = original_picture(
        np.ascontiguousarray(rgb[:, :, ::-1]), depth.depth, pred_only=pred_only, grayscale=grayscale
    )
    shown = depth_picture(rgb, depth, RenderOptions(pred_only=pred_only, grayscale=grayscale))
    assert np.array_equal(shown, expected[:, :, ::-1])


def test_a_range_clips_and_scales() -> None:
    depth = prediction()
    shown = depth_picture(frame(0, 64, 48), depth, RenderOptions(pred_only=True, grayscale=True), (0.0, 5.0))
    expected = np.clip(depth.depth / 5.0, 0, 1) * 255
    assert np.abs(shown[:, :, 0] - np.floor(expected)).max() <= 1
    assert (shown[:, :, 0][depth.depth >= 5] == 255).all()
    own = (float(depth.depth.min()), float(depth.depth.max()))
    side = depth_picture(frame(0, 64, 48), depth, RenderOptions(), own)
    assert np.array_equal(side, depth_picture(frame(0, 64, 48), depth, RenderOptions()))


def test_near_is_warm_in_metres_too() -> None:
    depth = np.full((48, 64), 9, np.float32)
    depth[:, :32] = 1
    shown = depth_picture(frame(0, 64, 48), DepthPrediction(depth, "metric"), RenderOptions(pred_only=True))
    assert np.array_equal(shown[0, 0], table("spectral_r")[255])


def test_values_that_are_not_finite_do_no_harm() -> None:
    depth = prediction().depth.copy()
    depth[0, :3] = (np.nan, np.inf, -np.inf)
    options = RenderOptions(pred_only=True, grayscale=True)
    for value_range in (None, (0.0, 1.0)):
        shown = depth_picture(frame(0, 64, 48), DepthPrediction(depth, "relative"), options, value_range)
        assert shown[0, :3, 0].tolist() == [0, 255, 0]


def test_the_range_of_a_clip_ignores_single_pixels_and_spans_all_frames() -> None:
    def predictions() -> Iterator[DepthPrediction]:
        for low, high in [(10, 20), (4, 12), (6, 31)]:
            depth = np.linspace(low, high, 2000, dtype=np.float32).reshape(40, 50).copy()
            depth[0, 0], depth[0, 1], depth[0, 2] = 9999, np.nan, -np.inf
            yield DepthPrediction(depth, "relative")

    low, high = clip_range(predictions())
    assert low == pytest.approx(4 + 0.01 * 8, abs=0.05)
    assert high == pytest.approx(6 + 0.99 * 25, abs=0.05)
    assert clip_range([]) == (0.0, 1.0)
    assert clip_range([DepthPrediction(np.full((4, 4), 7, np.float32), "relative")]) == (7.0, 8.0)


@pytest.mark.parametrize(
    ("text", "value"), [("frame", "frame"), ("clip", "clip"), ("0.5,20", (0.5, 20.0)), ("-1,2", (-1.0, 2.0))]
)
def test_ranges_are_read(text: str, value: object) -> None:
    assert parse_range(text) == value


@pytest.mark.parametrize("text", ["", "scene", "1", "1,2,3", "a,b", "2,1", "1,1", "nan,1", "0,inf"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="range"):
        parse_range(text)


@pytest.mark.parametrize("bad", [{"value_range": "scene"}, {"value_range": (2.0, 1.0)}, {"batch_size": 0}, {"crf": 52}])
def test_options_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        RenderOptions(**bad)  # type: ignore[arg-type]


def test_batches_keep_the_order_and_the_last_may_be_short() -> None:
    estimator = Brightness()
    frames = [Frame(frame(i, 64, 48), i, 1 / FILM) for i in range(7)]
    pairs = list(depth_frames(iter(frames), estimator, batch_size=3))
    assert estimator.calls == [3, 3, 1]
    assert [f.pts for f, _ in pairs] == list(range(7))
    assert all(np.array_equal(d.depth, Brightness()(f.rgb).depth) for f, d in pairs)
    assert len(list(depth_frames(frames, lambda rgb: Brightness()(rgb), batch_size=3))) == 7


def test_an_estimator_that_loses_a_frame_is_an_error() -> None:
    class Lossy(Brightness):
        def predict_arrays(self, pictures: object) -> list[DepthPrediction]:
            return super().predict_arrays(pictures)[:-1]  # type: ignore[arg-type]

    frames = [Frame(frame(i, 64, 48), i, 1 / FILM) for i in range(3)]
    with pytest.raises(InputError, match="2 depth maps to 3 frames"):
        list(depth_frames(frames, Lossy(), batch_size=3))


def test_a_video_becomes_its_depth_frame_for_frame(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.webm", codec="libvpx-vp9", count=25)
    steps: list[tuple[str, int, int | None]] = []
    result = render_video(source, tmp_path / "out.mp4", Brightness(), on_frame=lambda *step: steps.append(step))
    assert (result.frames, result.rate, result.value_range, result.problem) == (25, FILM, None, None)
    assert steps == [("depth", i, None) for i in range(1, 26)]
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = list(reader)
        assert (reader.info.rate, reader.info.width, reader.info.height) == (FILM, 64 + 50 + 64, 48)
    assert [f.pts * f.time_base for f in frames] == [i / FILM for i in range(25)]
    originals = list(read_frames(source))
    for index in (0, 24):
        expected = depth_picture(originals[index].rgb, Brightness()(originals[index].rgb), RenderOptions())
        assert np.abs(frames[index].rgb.astype(int) - expected)[4:-4:6, 4:-4:6].mean() < 4


def test_a_turned_phone_video_with_odd_sides_and_a_varying_rate(tmp_path: Path) -> None:
    times = [9, 40, 71, 105, 130, 190]
    source = make_clip(
        tmp_path / "phone.mov",
        size=(62, 46),
        times=times,
        time_base=Fraction(1, 600),
        rate=Fraction(20),
        rotation=(-90, False),
    )
    result = render_video(source, tmp_path / "o.mp4", Brightness(), RenderOptions(batch_size=4))
    assert result.frames == 6
    with VideoReader(tmp_path / "o.mp4") as reader:
        frames = list(reader)
        assert (reader.info.width, reader.info.height) == (46 + 50 + 46, 62)
    assert [f.pts * f.time_base for f in frames] == [Fraction(t - 9, 600) for t in times]


def test_a_clip_range_takes_two_passes_and_holds_for_every_frame(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", count=10)
    estimator, stages = Brightness(), []
    options = RenderOptions("clip", pred_only=True, grayscale=True)
    result = render_video(source, tmp_path / "o.mp4", estimator, options, on_frame=lambda s, *_: stages.append(s))
    assert stages == ["range"] * 10 + ["depth"] * 10
    assert result.value_range is not None
    low, high = result.value_range
    grey = [int(np.median(f.rgb[30:44, 8:56])) for f in read_frames(tmp_path / "o.mp4")]
    depths = [float(np.median(Brightness()(f.rgb).depth[30:44])) for f in read_frames(source)]
    expected = [np.clip((d - low) / (high - low), 0, 1) * 255 for d in depths]
    assert np.abs(np.array(grey) - expected).max() < 6
    assert max(grey) - min(grey) > 60  # by its own range, each frame would differ less


def test_a_cut_video_is_kept_and_told(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "cut.mp4", count=60, container_options={"movflags": "+faststart"}, options={"g": "5"})
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 6 // 10])
    result = render_video(source, tmp_path / "o.mp4", Brightness())
    assert result.problem is not None
    assert f"{result.frames} of 60 frames" in result.problem
    assert len(list(read_frames(tmp_path / "o.mp4"))) == result.frames > 5


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    before = source.read_bytes()
    with pytest.raises(OutputError, match="the video itself"):
        render_video(source, tmp_path / "." / "in.mp4", Brightness())
    assert source.read_bytes() == before


def test_an_error_of_the_estimator_leaves_nothing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")

    def broken(rgb: np.ndarray) -> DepthPrediction:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        render_video(source, tmp_path / "o.mp4", broken)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.mp4"]
