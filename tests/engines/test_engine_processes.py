"""What whole processes load, say and send: cold, and warm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_models import SMALL, opened
from picture_files import photo, save_filled

from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io import read_depth

WATCHED = """
import sys
from depth_anything_v2.cli.main import main
status = main(sys.argv[1:])
print("LOADED", *sorted({"torch", "openvino", "onnxruntime", "huggingface_hub"} & set(sys.modules)))
sys.exit(status)
"""


def predict(work: Path, cache: Path, *arguments: object) -> tuple[list[str], list[str]]:
    """Run the command in a process of its own; return the heavy modules it loaded, and its notes."""
    command = [sys.executable, "-c", WATCHED, "predict", *map(str, arguments), "--overwrite"]
    environment = {**os.environ, "DEPTH_ANYTHING_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    return done.stdout.splitlines()[-1].split()[1:], notes


@pytest.mark.parametrize("checkpoint", ["builtin", "small"])
def test_a_warm_cache_needs_no_torch(checkpoint: str, small: Path, shared_cache: Path, tmp_path: Path) -> None:
    name = small if checkpoint == "small" else checkpoint
    photo(tmp_path / "a.png")
    first = DepthEstimator.from_pretrained(name, device="cpu", input_size=56)(tmp_path / "a.png").depth
    arguments = ["a.png", "-o", "out", "-c", name, "--input-size", 56, "-f", "png,npy", "--device", "cpu"]
    assert predict(tmp_path, shared_cache, *arguments) == (["openvino"], [])
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"a.png", "a.npy"}
    np.testing.assert_allclose(read_depth(tmp_path / "out" / "a.npy").depth, first, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="auto may find a GPU elsewhere")
def test_a_warm_cache_says_what_a_cold_one_said(small: Path, tmp_path: Path) -> None:
    """A name that is not believed and an option that contradicts the file, but no word on converting."""
    work, cache = tmp_path / "work", tmp_path / "cache"
    photo(work / "a.png")
    shutil.copy(small, work / "depth_anything_v2_vitl.safetensors")
    arguments = ["a.png", "-o", "out", "-c", "./depth_anything_v2_vitl.safetensors", "--input-size", 56, "--v1"]
    arguments += ["--max-depth", "80", "--device", "cpu", "--precision", "float32"]
    loaded, cold = predict(work, cache, *arguments)
    assert "torch" in loaded
    once = [note for note in cold if note.endswith(", once ...")]
    assert len(once) == 1
    lasting = [note for note in cold if note not in once]
    assert len(lasting) >= 2
    assert predict(work, cache, *arguments) == (["openvino"], lasting)


def test_warnings_come_again_from_a_warm_cache(small: Path, own_cache: Path) -> None:
    said: list[Any] = []
    for _ in range(2):
        with pytest.warns(UserWarning, match="metric up to 5 m") as caught:
            estimator = DepthEstimator.from_pretrained(small, engine="openvino", precision="float32", max_depth_m=5)
        said.append(([str(warning.message) for warning in caught], estimator.notes, estimator.config))
        assert all(Path(warning.filename) == Path(__file__) for warning in caught)
    assert said[0] == said[1]


def test_a_file_that_changes_is_read_again(small: Path, tmp_path: Path, own_cache: Path) -> None:
    path = Path(shutil.copy(small, tmp_path / "mine.safetensors"))
    first = opened(path, "openvino").config
    with pytest.warns(UserWarning, match="metric up to 5 m"):
        assert opened(path, "openvino", max_depth_m=5.0).config.max_depth_m == 5
    assert opened(path, "openvino").config == first
    (tmp_path / "config.json").write_text('{"model_type": "depth_anything", "depth_estimation_type": "metric"}')
    assert opened(path, "openvino").config == first  # the file's own word weighs more
    said: list[str] = []
    opened(path, "openvino", on_wait=said.append)
    assert said == []
    save_filled(path, SMALL.with_max_depth(7))
    assert opened(path, "openvino", on_wait=said.append).config.max_depth_m == 7
    assert len(said) == 1


AUDITED = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(2, f"AUDIT {event} {arguments[-1] if event == 'socket.connect' else arguments}\\n".encode())
sys.addaudithook(watch)
sys.path[:0] = sys.argv[1].split(os.pathsep)
from engine_models import batch, opened
opened(sys.argv[2], "openvino").engine(batch(1, 28, 42))
os.environ["DEPTH_ANYTHING_CACHE"] = sys.argv[3]
opened(sys.argv[2], "onnx").engine(batch(1, 28, 42))
import time
time.sleep(0.5)  # for a thread that would report
for place in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
    try:
        target = os.readlink(f"/proc/self/fd/{place}")
    except OSError:
        continue
    if target.startswith("socket:"):  # of native code, of which no hook tells
        os.write(2, b"AUDIT socket\\n")
"""


def test_converting_and_running_tells_nobody(small: Path, shared_cache: Path, tmp_path: Path) -> None:
    """A process with a home of its own: it opens no connection, and leaves no trace but the cache.

    OpenVINO would make ~/intel, ONNX Runtime ~/.cache/Microsoft, for what they report.
    """
    tests = Path(__file__).parents[1]
    kept = ("PATH", "LANG", "SYSTEMROOT", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(tmp_path), "DEPTH_ANYTHING_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join(map(str, (tests, tests / "engines", tests.parent)))
    command = [sys.executable, "-c", AUDITED, paths, str(small), str(shared_cache)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "AUDIT" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
