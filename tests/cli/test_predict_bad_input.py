"""Bad pictures, bad places, bad weights: a sentence each, the others done, nothing half-written."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from picture_files import photo

from depth_anything_v2.jobs.journal import JOURNAL

Run = Callable[..., Any]


def bomb(path: Path, side: int) -> None:
    """Write a valid start of a PNG that says it is side x side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def spoil(folder: Path, name: str) -> str:
    """Put one bad picture into the folder; return words that its sentence must have."""
    path = folder / name
    if name == "zero.jpg":
        path.write_bytes(b"")
        return "empty"
    if name == "truncated.jpg":
        data = photo(path, 300, 400).read_bytes()
        path.write_bytes(data[: len(data) // 2])
        return "truncated|damaged|cut off|incomplete|cannot"
    if name == "text.jpg":
        path.write_text("I am not a picture\n" * 50)
        return "not a picture|text|cannot"
    if name == "bomb.png":
        bomb(path, 30_000)
        return "900|pixels"
    if name == "thin.png":
        photo(path, 1, 5000)
        return "input size of .* fits|tokens"
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["zero.jpg", "truncated.jpg", "text.jpg", "bomb.png", "thin.png"])
def test_a_bad_picture_is_one_sentence_and_the_others_are_done(predict: Run, name: str) -> None:
    import re

    photo(Path("in/a.png"))
    photo(Path("in/z.png"))
    words = spoil(Path("in"), name)
    outcome = predict("in")
    assert outcome.status == 1
    failures = [line for line in outcome.err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 1
    assert name in failures[0]
    assert re.search(words, failures[0]), failures[0]
    assert left_in("out") == ["a.png", "z.png"]
    assert outcome.out.startswith("2 done, 1 failed")


def left_in(folder: str) -> list[str]:
    """Every file but the journal, hidden and temporary ones included."""
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path != JOURNAL)


def test_one_pixel_is_a_picture(predict: Run) -> None:
    photo(Path("one.png"), 1, 1)
    assert predict("one.png", "-f", "png,npz,png16").status == 0
    assert left_in("out") == ["one.npz", "one.png", "one_depth16.png"]


def test_a_missing_path_and_an_empty_folder_among_others(predict: Run) -> None:
    photo(Path("in/a.png"))
    Path("empty").mkdir()
    outcome = predict("gone.png", "in", "empty")
    assert outcome.status == 1
    assert "failed: 'gone.png' does not exist" in outcome.err
    assert "failed: the folder 'empty' holds no pictures" in outcome.err
    assert left_in("out") == ["a.png"]


def test_a_folder_without_pictures_alone(predict: Run) -> None:
    Path("empty").mkdir()
    outcome = predict("empty")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "the folder 'empty' holds no pictures" in outcome.err
    assert not Path("out").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_an_output_folder_that_cannot_be_written(command: Run, checkpoint: str, place: str) -> None:
    photo(Path("a.png"))
    Path("file").write_text("mine")
    outcome = command("predict", "a.png", "-o", place, "-c", checkpoint)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith("depth-anything: error: cannot write")
    assert Path("file").read_text() == "mine"


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """No file may grow beyond `limit` bytes: writing fails as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_job_with_one_sentence(predict: Run, capfd: Any) -> None:
    for index in range(3):
        photo(Path(f"in/{index}.png"), 20, 20, seed=index)
    photo(Path("in/3.png"), 400, 400)
    photo(Path("in/4.png"), 20, 20)
    with small_disk(60_000):
        outcome = predict("in", "-f", "tiff")
    assert outcome.status == 1
    errors = [line for line in outcome.err.splitlines() if line.startswith("depth-anything: error: ")]
    assert len(errors) == 1
    assert "cannot write" in errors[0]
    assert {"0.tiff", "1.tiff", "2.tiff"} <= set(left_in("out")) <= {f"{i}.tiff" for i in (0, 1, 2, 4)}
    assert predict("in", "-f", "tiff", "--resume").status == 0
    assert left_in("out") == [f"{index}.tiff" for index in range(5)]


def test_an_unknown_checkpoint_gets_the_nearest_names(command: Run) -> None:
    photo(Path("a.png"))
    outcome = command("predict", "a.png", "-o", "out", "-c", "vitz")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "vitz" in outcome.err
    assert "vits" in outcome.err


def test_weights_of_another_architecture(command: Run) -> None:
    import torch

    photo(Path("a.png"))
    torch.save({"layer.weight": torch.zeros(3, 3)}, "other.pth")
    outcome = command("predict", "a.png", "-o", "out", "-c", "other.pth", "--relative")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "other.pth" in outcome.err
    assert left_in("out") == []


def test_a_checkpoint_that_is_missing_or_no_checkpoint(command: Run) -> None:
    photo(Path("a.png"))
    missing = command("predict", "a.png", "-o", "out", "-c", "./missing.pth")
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    picture = command("predict", "a.png", "-o", "out", "-c", "./a.png")
    assert picture.status == 1 or picture.status == 2
    assert picture.err.count("\n") == 1
