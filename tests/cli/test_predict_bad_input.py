"""Bad pictures, bad places, bad weights: a sentence each, the others done, nothing half-written."""

from __future__ import annotations

import json
import re
import resource
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import photo
from PIL import Image

from depth_anything_v2 import planner
from depth_anything_v2.io import read_depth, read_image
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
        return r"it is empty \(0 bytes\)"
    if name == "truncated.jpg":
        data = photo(path, 300, 400).read_bytes()
        path.write_bytes(data[: len(data) // 2])
        return r"the file is truncated \(its end is missing\); copy or download it again"
    if name == "text.jpg":
        path.write_text("I am not a picture\n" * 50)
        return "it is not a picture in a known format"
    if name == "deep.tif":
        Image.fromarray(np.arange(3000, dtype=np.uint16).reshape(50, 60)).save(path)
        path.write_bytes(path.read_bytes()[:100])
        return "the file is damaged"
    if name == "bomb.png":
        bomb(path, 30_000)
        return r"is 30000 x 30000 pixels \(900\.0 megapixels\), above the limit of 300: shrink it or raise the limit"
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["zero.jpg", "truncated.jpg", "text.jpg", "deep.tif", "bomb.png"])
def test_a_bad_picture_is_one_sentence_and_the_others_are_done(predict: Run, name: str) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/z.png"))
    words = spoil(Path("in"), name)
    outcome = predict("in")
    assert outcome.status == 1
    failures = [line for line in outcome.err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 1
    assert outcome.err.count("\n") == 3  # the two others, and nothing of decoders
    assert name in failures[0]
    assert re.search(words, failures[0]), failures[0]
    assert left_in("out") == ["a.png", "z.png"]
    assert outcome.out.startswith("2 done, 1 failed")


def test_thin_pictures_are_done_with_a_note_each(predict: Run) -> None:
    for name, height, width in (("flat", 1, 5000), ("tall", 5000, 1), ("band", 100, 5000), ("usual", 40, 50)):
        photo(Path(f"in/{name}.png"), height, width)
    outcome = predict("in", "--max-tokens", 1000, "-f", "npz")
    assert outcome.status == 0
    notes = [line for line in outcome.err.splitlines() if line.startswith("note: in/")]
    assert [note.split(": ")[1] for note in notes] == ["in/band.png", "in/flat.png", "in/tall.png"]
    assert all("pixels instead of" in note and "1000 tokens (max tokens)" in note for note in notes)
    for name, shape in (("flat", (1, 5000)), ("tall", (5000, 1)), ("band", (100, 5000))):
        prediction = read_depth(f"out/{name}.npz")
        assert prediction.depth.shape == shape
        assert prediction.provenance.notes == (notes[0].partition(".png: ")[2],) or name != "band"
    assert "note: in/" not in predict("in", "--max-tokens", 1000, "--overwrite", "-q").err


def test_a_picture_that_does_not_fit_into_memory_is_refused_with_the_size_that_does(
    predict: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "free_memory", lambda: 250_000_000)
    monkeypatch.setattr(planner, "resident_bytes", lambda: 0)
    photo(Path("in/large.png"), 200, 400)
    photo(Path("in/tall.png"), 60, 20)
    refused = predict("in", "--input-size", 960, "--precision", "float32")
    assert (refused.status, left_in("out")) == (1, [])
    size = re.search(
        r"failed: 'in/large.png' would need about .* an input size of (\d+) or less fits$", refused.err, re.M
    )
    assert size is not None, refused.err
    assert predict("in/large.png", "--input-size", size[1], "--precision", "float32").status == 0
    assert read_image("out/large.png").shape == (200, 400, 3)


def left_in(folder: str) -> list[str]:
    """Every file but the journal, hidden and temporary ones included."""
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path != JOURNAL)


def test_names_that_are_too_long(command: Run, checkpoint: str) -> None:
    photo(Path("a.png"))
    long = "x" * 300
    for arguments in (["a.png", "-o", long], ["a.png", "-o", "out", "--report", f"{long}/r.json"]):
        outcome = command("predict", *arguments, "-c", checkpoint)
        assert (outcome.status, outcome.err.count("\n")) == (1, 1)
        assert "the name is too long: choose a shorter one" in outcome.err
    outcome = command("predict", long, "a.png", "-o", "out", "-c", checkpoint, "--input-size", 64)
    assert (outcome.status, left_in("out")) == (1, ["a.png"])
    assert f"failed: '{long}' does not exist" in outcome.err


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
    if place == "file":
        assert "'file': it is a file, not a folder: choose another output folder" in outcome.err
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
    assert outcome.err.count("cannot write") == 1
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
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "wrong", [("-c", "vitz"), ("--device", "abacus"), ("--input-size", "0"), ("--precision", "int3")]
)
def test_wrong_usage_leaves_no_folder(predict: Run, wrong: tuple[str, str]) -> None:
    photo(Path("a.png"))
    assert predict("a.png", "--report", "reports/r.json", *wrong).status == 2
    assert not Path("out").exists()
    assert not Path("reports").exists()


@pytest.fixture
def full_disk(here: Path) -> Iterator[Path]:
    """A file system of 256 KiB, for 'out'."""
    place = here / "out"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(not shutil.which("mount"), reason="no file system can be mounted here")
def test_a_disk_that_is_really_full(predict: Run, full_disk: Path) -> None:
    for index in range(12):
        photo(Path(f"in/{index:02}.png"), 80, 100, seed=index)
    outcome = predict("in", "-f", "npy", "--report", "report.json")
    assert outcome.status == 1
    errors = [line for line in outcome.err.splitlines() if "disk is full" in line]
    assert len(errors) == 1
    assert errors[0].startswith("depth-anything: error: cannot write '")
    done = int(outcome.out.split(" done")[0])
    assert 3 <= done <= 8
    left = left_in("out")
    assert len(left) == 2 * done
    for name in left:
        if name.endswith(".npy"):
            assert read_depth(full_disk / name).depth.shape == (80, 100)
    statuses = [item["status"] for item in json.loads(Path("report.json").read_text())["inputs"]]
    assert (statuses.count("done"), statuses.count("failed") >= 1) == (done, True)


def test_a_checkpoint_that_is_missing_or_no_checkpoint(command: Run) -> None:
    photo(Path("a.png"))
    missing = command("predict", "a.png", "-o", "out", "-c", "./missing.pth")
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    picture = command("predict", "a.png", "-o", "out", "-c", "./a.png")
    assert picture.status == 1 or picture.status == 2
    assert picture.err.count("\n") == 1
