from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import FILM, frame, level, make_clip

from depth_anything_v2.errors import InputError, OutputError
from depth_anything_v2.video import Frame, VideoReader, VideoWriter, read_frames, write_video


def stream_of(count: int, size: tuple[int, int] = (64, 48), time_base: Fraction = 1 / FILM) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(frame(index, *size), index, time_base, 1)


def test_what_is_written_plays_in_browsers(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    assert write_video(path, stream_of(30), rate=FILM) == 30
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 64, 48)
        assert context.profile in ("High", "Main", "Constrained Baseline", "Baseline")
        assert (context.colorspace, context.color_range, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
        assert (stream.average_rate, stream.frames) == (FILM, 30)
        assert stream.duration * stream.time_base == 30 / FILM
        frames = list(container.decode(stream))
    assert [f.pts * f.time_base for f in frames] == [i / FILM for i in range(30)]


def test_colours_are_those_of_bt709(tmp_path: Path) -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:, :32] = (255, 0, 0)
    rgb[:, 32:] = (0, 0, 255)
    write_video(tmp_path / "c.mp4", [Frame(rgb, 0, Fraction(1, 25))], rate=Fraction(25), crf=1)
    with av.open(str(tmp_path / "c.mp4")) as container:
        picture = next(container.decode(video=0))
    luma = np.frombuffer(picture.planes[0], np.uint8).reshape(48, picture.planes[0].line_size)
    assert abs(int(luma[24, 10]) - 63) <= 1  # 16 + 219 * 0.2126
    assert abs(int(luma[24, 50]) - 32) <= 1  # 16 + 219 * 0.0722
    back = next(read_frames(tmp_path / "c.mp4")).rgb.astype(int)
    assert np.abs(back - rgb)[4:-4, 4:28].max() <= 3
    assert np.abs(back - rgb)[4:-4, 36:-4].max() <= 3


def test_a_varying_rate_keeps_its_times_and_the_length_of_the_last_frame(tmp_path: Path) -> None:
    times = [0, 3000, 5000, 11111, 20000, 21000, 30001]
    base = Fraction(1, 90000)
    frames = (Frame(frame(i, 64, 48), 7 + t, base, 4500 if t == 30001 else None) for i, t in enumerate(times))
    write_video(tmp_path / "v.mp4", frames, rate=Fraction(45, 2))
    with VideoReader(tmp_path / "v.mp4") as reader:
        back = list(reader)
    assert [f.pts * f.time_base for f in back] == [t * base for t in times]
    with av.open(str(tmp_path / "v.mp4")) as container:
        ends = [(p.pts + p.duration) * p.time_base for p in container.demux(video=0) if p.size]
    assert max(ends) == 34501 * base


def test_odd_sides_gain_a_copy_of_the_last_column_and_row(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", stream_of(3, (63, 47)), rate=FILM, crf=1)
    rgb = next(read_frames(tmp_path / "odd.mp4")).rgb.astype(int)
    assert rgb.shape == (48, 64, 3)
    assert np.abs(rgb[40:, :, 1] - level(0)).max() <= 3
    assert np.abs(rgb[:20, 62:] - (30, 30, 200)).max() <= 12


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    write_video(tmp_path / "dv.mp4", stream_of(2), rate=FILM, pixel_aspect=Fraction(16, 15))
    with VideoReader(tmp_path / "dv.mp4") as reader:
        assert reader.info.pixel_aspect == Fraction(16, 15)


class TestNothingIsLeft:
    def left(self, folder: Path) -> list[str]:
        return sorted(entry.name for entry in folder.iterdir())

    @pytest.mark.parametrize("error", [RuntimeError("defect"), KeyboardInterrupt(), InputError("bad frame")])
    def test_after_an_error_of_the_frames(self, tmp_path: Path, error: BaseException) -> None:
        (tmp_path / "out.mp4").write_bytes(b"from before")

        def frames() -> Iterator[Frame]:
            yield from stream_of(5)
            raise error

        with pytest.raises(type(error)):
            write_video(tmp_path / "out.mp4", frames(), rate=FILM)
        assert self.left(tmp_path) == ["out.mp4"]
        assert (tmp_path / "out.mp4").read_bytes() == b"from before"

    def test_without_a_frame(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="no frame"):
            write_video(tmp_path / "out.mp4", [], rate=FILM)
        with (
            pytest.raises(OutputError, match="no frame"),
            VideoWriter(tmp_path / "out.mp4", rate=FILM, time_base=1 / FILM),
        ):
            pass
        assert self.left(tmp_path) == []

    def test_when_the_folder_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="folder does not exist"):
            write_video(tmp_path / "no" / "out.mp4", stream_of(2), rate=FILM)

    @pytest.mark.parametrize("limit", [1_000, 60_000, 300_000])
    def test_when_the_system_takes_no_more(self, tmp_path: Path, limit: int) -> None:
        random = np.random.default_rng(1)
        noise = (Frame(random.integers(0, 256, (96, 128, 3), np.uint8), i, 1 / FILM) for i in range(40))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OutputError, match="larger than the system allows"):
                write_video(tmp_path / "out.mp4", noise, rate=FILM)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert self.left(tmp_path) == []

    def test_when_a_packet_gets_lost(self, tmp_path: Path) -> None:
        def lose() -> None:
            with VideoWriter(tmp_path / "out.mp4", rate=FILM, time_base=1 / FILM) as writer:
                for item in stream_of(3):
                    writer.write(item.rgb, item.pts)
                writer._packets -= 1

        with pytest.raises(OutputError, match="3 frames went in and 2 came out"):
            lose()
        assert self.left(tmp_path) == []


@pytest.mark.parametrize(
    ("rgb", "pts", "words"),
    [
        (np.zeros((48, 64, 3), np.float32), 1, "uint8"),
        (np.zeros((48, 64), np.uint8), 1, "uint8 array"),
        (np.zeros((48, 66, 3), np.uint8), 1, "one size"),
        (np.zeros((48, 64, 3), np.uint8), 0, "not later"),
    ],
)
def test_frames_that_do_not_fit_are_refused(tmp_path: Path, rgb: np.ndarray, pts: int, words: str) -> None:
    frames = [Frame(frame(0, 64, 48), 0, 1 / FILM), Frame(rgb, pts, 1 / FILM)]
    with pytest.raises(InputError, match=words):
        write_video(tmp_path / "o.mp4", frames, rate=FILM)


def test_more_than_h264_allows_is_refused_with_a_way_out(tmp_path: Path) -> None:
    wide = Frame(np.zeros((2, 16400, 3), np.uint8), 0, 1 / FILM)
    with pytest.raises(OutputError, match="depth alone"):
        write_video(tmp_path / "o.mp4", [wide], rate=FILM)


def test_memory_stays_flat(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "long.mp4", count=300, options={"preset": "ultrafast"})
    tracemalloc.start()
    try:
        write_video(tmp_path / "out.mp4", read_frames(source), rate=FILM)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * 64 * 48 * 3  # of 300 frames
