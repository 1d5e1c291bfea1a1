"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_anything_v2.errors import OutputError
from depth_anything_v2.io import FORMATS, atomic_path, output_name, write_depth, write_image
from depth_anything_v2.prediction import DepthPrediction


def prediction(height: int = 30, width: int = 40) -> DepthPrediction:
    return DepthPrediction(np.random.default_rng(0).random((height, width), dtype=np.float32), "relative")


def fail_half_way(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(exception: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(exception):
        fail_half_way(path, exception())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EFBIG, "larger than"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_system_errors_become_one_sentence(code: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with pytest.raises(OutputError, match=words) as caught:
        fail_half_way(path, OSError(code, os.strerror(code)))
    assert str(path) in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_full_disk_in_the_middle_of_every_format(
    format: str, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if format == "exr":
        pytest.importorskip("OpenEXR")

    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "replace":
        monkeypatch.setattr(Path, "replace", full)
    elif format == "exr":
        pytest.skip("its library opens the file itself; see the test with a limit on the size of files")
    else:
        monkeypatch.setattr(Path, "write_bytes", full)
        monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_depth(prediction(), tmp_path / output_name("x", format), format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_real_limit_on_the_size_of_files(format: str, tmp_path: Path) -> None:
    if format == "exr":
        pytest.importorskip("OpenEXR")
    old = tmp_path / output_name("x", format)
    old.write_bytes(b"old")
    code = f"""
import signal, numpy as np
from pathlib import Path
from depth_anything_v2.errors import OutputError
from depth_anything_v2.io import write_depth
from depth_anything_v2.prediction import DepthPrediction
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
p = DepthPrediction(np.random.default_rng(0).random((300, 400), dtype=np.float32), "relative")
try:
    write_depth(p, {str(old)!r}, {format!r})
except OutputError as error:
    print(error)
"""
    limit = 20_000
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "larger than the system allows" in result.stdout, result.stderr
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_ctrl_c_while_the_numbers_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: object, values: np.ndarray, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_depth(prediction(), tmp_path / "x.npy")
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.npy").mkdir()
    cases = {
        tmp_path / "missing" / "x.npy": "folder does not exist",
        tmp_path / "file" / "x.npy": "not a folder",
        tmp_path / "folder.npy": "folder of that name",
        tmp_path / ("x" * 300 + ".npy"): "too long",
    }
    for path, words in cases.items():
        with pytest.raises(OutputError, match=words):
            write_depth(prediction(), path)
    with pytest.raises(OutputError, match="folder does not exist"):
        write_image(tmp_path / "missing" / "x.png", np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize("name", ["x.npy", "x.pfm"])
@pytest.mark.parametrize("which", ["numbers", "metadata"])
def test_the_file_that_failed_is_named(name: str, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes" if which == "numbers" else "write_text", full)
    with pytest.raises(OutputError) as caught:
        write_depth(prediction(), tmp_path / name)
    failed = tmp_path / (name if which == "numbers" else f"{name}.json")
    assert str(caught.value).startswith(f"cannot write '{failed}': the disk is full")
    assert not list(tmp_path.iterdir())


def test_a_name_of_the_greatest_length_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".npz")
    assert write_depth(prediction(), path) == path
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_device() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    from depth_anything_v2.io.atomic import output_error

    with pytest.raises(OSError) as caught:
        full.write_bytes(b"x" * 100_000)
    assert "disk is full" in str(output_error(full, caught.value))
