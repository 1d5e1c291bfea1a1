from __future__ import annotations

import gc
import itertools
import os
import struct
import sys
import threading
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_clips import BLUE, FILM, RED, decode, frame, level, make_clip, sound_only

from depth_anything_v2.errors import InputError, MissingExtraError
from depth_anything_v2.video import VideoReader, read_frames
from depth_anything_v2.video.frames import Orientation
from depth_anything_v2.video.reader import exact_grid

NEAR = 14  # coding and chroma at quarter resolution change colours by this much at most, away from edges


def colour(rgb: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = rgb.shape[:2]
    return rgb[int(y * height), int(x * width)].astype(int)


def looks_like(rgb: np.ndarray, index: int) -> bool:
    return all(
        np.abs(colour(rgb, x, y) - expected).max() <= NEAR
        for x, y, expected in [(0.25, 0.25, RED), (0.75, 0.25, BLUE), (0.5, 0.8, (level(index),) * 3)]
    )


@pytest.mark.parametrize(
    ("name", "codec", "time_base"),
    [
        ("film.mp4", "libx264", None),
        ("film.mov", "libx264", Fraction(1, 24000)),
        ("old.avi", "mpeg4", None),
        ("web.webm", "libvpx-vp9", None),
        ("film.mkv", "libx264", None),
        ("camera.ts", "libx264", Fraction(1, 90000)),
    ],
)
def test_every_frame_comes_at_its_exact_time(tmp_path: Path, name: str, codec: str, time_base: Fraction | None) -> None:
    times = None if time_base is None else [round(i / FILM / time_base) for i in range(30)]
    path = make_clip(tmp_path / name, count=30, codec=codec, time_base=time_base, times=times)
    with VideoReader(path) as reader:
        frames = list(reader)
        info = reader.info
    assert (info.width, info.height, info.rate, info.turned, info.has_audio) == (64, 48, FILM, False, False)
    assert len(frames) == reader.frames_read == 30
    assert reader.problem is None
    first = frames[0].pts
    assert [(f.pts - first) * f.time_base for f in frames] == [i / FILM for i in range(30)]
    assert looks_like(frames[0].rgb, 0)
    assert looks_like(frames[-1].rgb, 29)


def test_times_of_a_varying_rate_are_kept(tmp_path: Path) -> None:
    times = [0, 3000, 5000, 11111, 20000, 21000, 30001]
    path = make_clip(tmp_path / "phone.mp4", rate=Fraction(30), times=times, time_base=Fraction(1, 90000))
    frames = list(read_frames(path))
    assert [f.pts * f.time_base for f in frames] == [Fraction(t, 90000) for t in times]
    assert frames[3].time_s == pytest.approx(11111 / 90000)


@pytest.mark.parametrize(("degrees", "mirrored"), [(d, m) for d in (0, 90, 180, -90) for m in (False, True)])
def test_frames_are_turned_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    path = make_clip(tmp_path / "turned.mp4", count=3, rotation=(degrees, mirrored))
    stored = decode(path)[0]
    shown = np.rot90(frame(0, 64, 48), degrees // 90)  # both counter-clockwise
    if mirrored:
        shown = shown[:, ::-1]
    with VideoReader(path) as reader:
        rgb = next(iter(reader)).rgb
        assert (reader.info.height, reader.info.width) == rgb.shape[:2] == shown.shape[:2]
        assert reader.info.turned == (degrees != 0 or mirrored)
    assert (stored.width, stored.height) == (64, 48)
    assert rgb.flags["C_CONTIGUOUS"]
    inner = np.s_[4:-4:8, 4:-4:8]
    assert np.median(np.abs(rgb[inner].astype(int) - shown[inner])) <= NEAR
    corners = [(0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)]
    assert all(np.abs(colour(rgb, *c) - colour(shown, *c)).max() <= NEAR for c in corners)


def test_orientations_in_between_take_the_nearest() -> None:
    tilted = np.array([9000, -65000, 0, 65000, 9000, 0, 0, 0, 1 << 30], np.int32)
    assert Orientation.from_display_matrix(tilted) == Orientation(transpose=True, flip_y=True)


def test_odd_sizes_come_whole(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "odd.avi", size=(63, 47), codec="ffv1", pixel_format="yuv444p")
    frames = list(read_frames(path))
    assert {f.rgb.shape for f in frames} == {(47, 63, 3)}
    assert np.abs(frames[5].rgb.astype(int) - frame(5, 63, 47)).max() <= 3


@pytest.mark.parametrize(
    "tags",
    [{"colorspace": 1, "color_range": 1}, {"colorspace": 5, "color_range": 1}, {"colorspace": 1, "color_range": 2}],
)
def test_colours_follow_the_tags(tmp_path: Path, tags: dict[str, int]) -> None:
    path = make_clip(tmp_path / "c.mp4", count=3, pixel_format="yuv444p", tags=tags, options={"crf": "4"})
    rgb = next(read_frames(path)).rgb
    assert np.abs(rgb.astype(int) - frame(0, 64, 48))[4:20, 4:28].max() <= 4


def test_ten_bit_video_is_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "ten.mkv", count=3, codec="ffv1", pixel_format="yuv420p10le")
    assert looks_like(next(read_frames(path)).rgb, 0)


def test_the_first_video_stream_counts_and_audio_is_noted(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "talk.mp4", audio=True)
    with VideoReader(path) as reader:
        assert reader.info.has_audio
        assert len(list(reader)) == 12


def test_a_name_with_a_colon_and_unicode_is_a_file(tmp_path: Path) -> None:
    assert len(list(read_frames(make_clip(tmp_path / "x.mp4").rename(tmp_path / "http:Ünï cöde.mp4")))) == 12


def test_a_pipe_that_cannot_seek_is_read(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.webm", codec="libvpx-vp9")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(source.read_bytes()))
    feeder.start()
    frames = list(read_frames(pipe))
    feeder.join()
    assert len(frames) == 12


def test_frames_are_not_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "long.mp4", count=300, options={"preset": "ultrafast"})
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    for item in read_frames(path):
        alive.append(weakref.ref(item.rgb))
        del item
        most = max(most, sum(ref() is not None for ref in alive[-20:]))
    gc.collect()
    assert len(alive) == 300
    assert most <= 2
    assert not any(ref() for ref in alive)


class TestBadFiles:
    def refused(self, path: Path, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            VideoReader(path)
        assert str(path) in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "no.mp4", "there is no video")

    def test_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is a folder")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "e.mp4").touch()
        self.refused(tmp_path / "e.mp4", "0 bytes")

    @pytest.mark.parametrize(
        "text",
        [
            "this is a letter, not a video\n" * 40,
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        ],
    )
    def test_text(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "letter.mp4").write_text(text)
        self.refused(tmp_path / "letter.mp4", "can't be read as a video|has no video stream")

    def test_sound_only(self, tmp_path: Path) -> None:
        self.refused(sound_only(tmp_path / "song.m4a"), "no video stream .only audio.")

    def test_never_finished(self, tmp_path: Path) -> None:
        whole = make_clip(tmp_path / "a.mp4", count=30).read_bytes()
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(whole[: whole.index(b"moov") - 4])
        self.refused(cut, "can't be read as a video")


def cut_short(tmp_path: Path, name: str, codec: str, share: float) -> Path:
    path = make_clip(
        tmp_path / name,
        count=60,
        codec=codec,
        container_options={"movflags": "+faststart"} if name.endswith("mp4") else None,
        options={"g": "5"},
    )
    data = path.read_bytes()
    begin, end = data.find(b"movi"), data.find(b"idx1")  # of AVI, where header and index outweigh a small clip
    path.write_bytes(data[: int(begin + (end - begin) * share) if begin > 0 else int(len(data) * share)])
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_a_file_cut_in_the_middle_gives_what_is_there(tmp_path: Path, name: str, codec: str) -> None:
    path = cut_short(tmp_path, name, codec, 0.6)
    with VideoReader(path, strict=False) as reader:
        frames = list(reader)
    assert 5 < len(frames) < 60
    assert looks_like(frames[4].rgb, 4)
    assert reader.problem is not None
    assert f"{len(frames)}" in reader.problem
    strict = read_frames(path)
    with pytest.raises(InputError, match="cut off"):
        list(strict)


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", count=60, options={"crf": "10", "g": "10"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (data.index(b"moov") - start) // 2
    data[middle : middle + 400] = b"\x00" * 400
    path.write_bytes(data)
    with VideoReader(path, strict=False) as reader:
        frames = list(reader)
    assert 30 < len(frames) <= 60
    assert reader.problem is not None


def test_rates_that_ticks_cannot_express_get_a_common_time_base() -> None:
    assert exact_grid(Fraction(1, 1000), FILM) == (Fraction(1, 24000), 1 / FILM)
    assert exact_grid(Fraction(1, 24000), FILM) == (Fraction(1, 24000), None)
    assert exact_grid(Fraction(1, 1000), Fraction(25)) == (Fraction(1, 1000), None)
    assert exact_grid(Fraction(1, 1000), Fraction(1000, 37)) == (Fraction(1, 1000), None)
    assert exact_grid(Fraction(1, 600), Fraction(17)) == (Fraction(1, 600), None)


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match="pip install av"):
        VideoReader(tmp_path / "a.mp4")


def test_a_clip_trimmed_by_its_edit_list_is_not_cut_off(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "trimmed.mp4", count=30)
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12  # segment duration in milliseconds, then media time in 1/24000 s
    duration, start = struct.unpack_from(">ii", data, entry)
    struct.pack_into(">ii", data, entry, duration - 417, start + 5 * 1001)
    path.write_bytes(data)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert (len(frames), reader.info.frame_count) == (21, 30)
    assert looks_like(frames[0].rgb, 5)
    assert [f.pts for f in frames] == [1001 * i for i in range(21)]


def test_joined_recordings_go_on_in_one_size_and_one_time(tmp_path: Path) -> None:
    base = Fraction(1, 90000)
    parts = [
        make_clip(
            tmp_path / f"{n}.ts", count=40, size=size, rate=Fraction(25), times=range(0, 144000, 3600), time_base=base
        )
        for n, size in enumerate([(64, 48), (96, 64)])
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(read_frames(joined))
    assert len(frames) == 80
    assert {f.rgb.shape for f in frames} == {(48, 64, 3)}
    assert looks_like(frames[79].rgb, 39)
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == {3600}


def test_a_fault_of_the_clock_never_runs_backwards(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.avi", codec="mpeg4", count=6)
    with VideoReader(path) as reader:
        pictures = [reader._first, *reader._pictures]
        for picture, pts in zip(pictures, [0, 1, 1, None, 3, 9], strict=True):
            picture.pts = picture.dts = pts
        reader._first, reader._pictures = pictures[0], iter(pictures[1:])
        assert [f.pts for f in reader] == [0, 1, 2, 3, 4, 9]
