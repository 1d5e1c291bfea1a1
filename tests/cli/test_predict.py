"""`depth-anything predict` with a real, small model."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from picture_files import FakeEstimator, photo, save_tiny_checkpoint

from depth_anything_v2.cli import common
from depth_anything_v2.cli.main import main
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io import read_depth, read_image
from depth_anything_v2.io.exif import read_picture
from depth_anything_v2.version import __version__

Run = Callable[..., Any]


def test_a_folder_to_several_formats(predict: Run, checkpoint: str) -> None:
    photo(Path("in/a.jpg"))
    photo(Path("in/sub/b é.png"), 40, 40, seed=2)
    expected = DepthEstimator.from_pretrained(checkpoint, precision="float32", input_size=64)("in/sub/b é.png")
    outcome = predict("in", "--format", "png,npz", "-f", "png16", "--precision", "float32")
    assert outcome.status == 0
    assert sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.*") if p.is_file()) == [
        ".depth-anything/journal.jsonl",
        "a.npz",
        "a.png",
        "a_depth16.png",
        "sub/b é.npz",
        "sub/b é.png",
        "sub/b é_depth16.png",
    ]
    written = read_depth("out/sub/b é.npz")
    # The first shape of a process is compiled for itself: its last digits are others.
    np.testing.assert_allclose(written.depth, expected.depth, rtol=1e-5)
    np.testing.assert_array_equal(read_image("out/sub/b é.png"), written.colorize())
    summary = outcome.out.splitlines()
    assert summary[0].startswith("2 done in ")
    assert "in out" in summary[0]
    assert "tiny.safetensors: relative inverse depth, larger = nearer, no unit; licence apache-2.0" in summary[1]
    assert [line.split(" (")[0] for line in outcome.err.splitlines()] == [
        f"[1/2] {Path('in/a.jpg')} -> {Path('out/a.png')}",
        f"[2/2] {Path('in/sub/b é.png')} -> {Path('out/sub/b é.png')}",
    ]


def test_metric_weights_say_metres(command: Run, tmp_path: Path) -> None:
    weights = save_tiny_checkpoint(tmp_path / "metric.safetensors", max_depth_m=20)
    photo(Path("a.png"))
    outcome = command("predict", "a.png", "-f", "npz", "-c", weights, "--input-size", 64, "--max-depth", 30)
    assert outcome.status == 0
    assert "metric depth in metres, up to 30 m" in outcome.out
    assert "30" in "".join(line for line in outcome.err.splitlines() if line.startswith("note: "))
    depth = read_depth("depth/a.npz")
    assert (depth.kind, depth.max_depth_m) == ("metric", 30)


def test_stdin_is_one_picture(predict: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = photo(Path("a.png")).read_bytes()

    class Stdin:
        buffer = io.BytesIO(data)

    monkeypatch.setattr("sys.stdin", Stdin)
    assert predict("-", "--side-by-side").status == 0
    assert read_image("out/stdin.png").shape == (48, 64 + 50 + 64, 3)
    Stdin.buffer = io.BytesIO(b"")
    assert "failed: cannot read standard input: it is empty" in predict("-", "--overwrite").err.replace("'", "")


def test_existing_outputs_then_resume_then_overwrite(predict: Run) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/b.png"))
    assert predict("in").status == 0
    refused = predict("in")
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert "2 of 2 output files exist already in 'out'" in refused.err
    assert "--resume" in refused.err
    photo(Path("in/c.png"))
    resumed = predict("in", "--resume")
    assert (resumed.status, resumed.out.splitlines()[0].split(" in ")[0]) == (0, "1 done, 2 skipped")
    assert predict("in", "--overwrite").out.startswith("3 done")
    assert predict("in", "--resume", "--overwrite").status == 2


def test_the_report_and_the_quiet_run(predict: Run) -> None:
    photo(Path("in/a.png"))
    Path("in/b.png").write_bytes(b"")
    Path("list.txt").write_text("in")
    outcome = predict("list.txt", "--report", "new/report.json", "--quiet")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("failed: ")
    assert outcome.err.count("\n") == 1
    data = json.loads(Path("new/report.json").read_text())
    assert data["version"] == __version__
    assert data["counts"]["done"] == data["counts"]["failed"] == 1
    assert [item["status"] for item in data["inputs"]] == ["done", "failed"]
    assert data["checkpoint"]["licence"] == "apache-2.0"
    assert data["options"]["input_size"] == 64
    again = ("in", "--overwrite", "--report")
    assert "would overwrite an input or an output" in predict(*again, "./out/a.png").err
    assert Path("out/a.png").is_file()
    assert predict(*again, "new/report.json").status == 1
    Path("mine.json").write_text("{}")
    refused = predict("in", "--resume", "--report", "mine.json")
    assert (refused.status, Path("mine.json").read_text()) == (2, "{}")
    assert "'mine.json' exists and is no report of an earlier job" in refused.err


def test_resume_leaves_the_outputs_of_another_source(predict: Run) -> None:
    photo(Path("a/x.png"))
    photo(Path("b/x.png"), seed=1)
    assert predict("a/x.png").status == 0
    before = Path("out/x.png").read_bytes()
    refused = predict("b/x.png", "--resume")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert f"'{Path('out/x.png')}' was made from '{Path('a/x.png').absolute()}'" in refused.err
    assert "choose another output folder, or overwrite (--overwrite)" in refused.err
    assert Path("out/x.png").read_bytes() == before


def test_strict_says_its_failure_once(predict: Run) -> None:
    photo(Path("in/a.png"))
    Path("in/b.png").write_bytes(b"")
    outcome = predict("in", "--strict", "--quiet")
    assert outcome.status == 1
    assert outcome.err == (
        "depth-anything: error: stopped at the first failure "
        f"(cannot read '{Path('in/b.png')}': it is empty (0 bytes))\n"
    )
    assert "1 done, 1 failed" in predict("in", "--strict", "--overwrite").out


def test_the_limit_on_pixels(predict: Run) -> None:
    photo(Path("a.png"), 48, 64)
    refused = predict("a.png", "--max-pixels", 48 * 64 - 1)
    assert refused.status == 1
    assert "raise the limit (max pixels)" in refused.err
    assert predict("a.png", "--max-pixels", 48 * 64).status == 0
    assert predict("a.png", "--max-pixels", 0).status == 2
    assert "--max-pixels" in predict("--help").out


class _BuiltIn(FakeEstimator):
    name = "builtin"
    notes = ("vits is not on disk: using the built-in checkpoint, a small stand-in, not Depth Anything V2 Small",)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_fall_back_to_the_builtin_checkpoint_is_always_told(
    quiet: bool, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(Path("a.png"))
    monkeypatch.setattr(DepthEstimator, "from_pretrained", lambda *_, **__: _BuiltIn())
    outcome = command("predict", "a.png", *(["--quiet"] if quiet else []))
    notes = [line for line in outcome.err.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: {_BuiltIn.notes[0]}"]
    assert (outcome.err.count("\n") == 1, outcome.out == "") == (quiet, quiet)


def test_the_summary_says_that_the_builtin_checkpoint_is_a_stand_in(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(Path("a.png"))
    monkeypatch.setattr(DepthEstimator, "from_pretrained", lambda *_, **__: _BuiltIn())
    outcome = command("predict", "a.png", "--checkpoint", "builtin")
    assert "builtin (the small built-in stand-in, not Depth Anything V2 Small): relative inverse depth" in outcome.out


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_in_names_are_shown_as_escapes(
    terminal: bool, predict: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bad\n\x1b[31m.png", "good\x1b]0;title\x07\x9b\u202e.png"):
        photo(Path("in", name))
    Path("in/bad\n\x1b[31m.png").write_bytes(b"")
    if terminal:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    outcome = predict("in")
    assert outcome.status == 1
    assert "bad\\n\\x1b[31m.png': it is empty" in outcome.err
    if not terminal:
        assert "good\\x1b]0;title\\x07\\x9b\\u202e.png" in outcome.err
        assert all(line.isprintable() for line in outcome.err.split("\n"))
    assert "\x1b]0;title" not in outcome.err
    assert "\x1b" not in predict("in/gone\x1b\n.png").err


def test_verbose_says_what_it_runs_on(predict: Run) -> None:
    photo(Path("a.png"))
    said = predict("a.png", "-v", "--batch-size", 3, "--exact").err
    assert "lite0 by torch on cpu, float32, input size 64, batches of 3" in said
    assert re.search(r"12 megapixels: batch 3 of 96 x 64, about \d\.\d GB of \d+(\.\d)? GB available", said), said
    assert "lite0 by openvino on cpu, float32" in predict("a.png", "-v", "--overwrite", "--precision", "float32").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--format", "jpeg"], "unknown output format 'jpeg': choose from png, png16, npy"),
        (["a.png", "--colormap", "rainbow"], "unknown colour map 'rainbow'"),
        (["a.png", "--precision", "int3"], "precision"),
        (["a.png", "--device", "abacus"], "abacus"),
        (["a.png", "--relative", "--max-depth", "3"], "not both"),
        (["a.png", "--batch-size", "0"], "the batch size must be at least 1"),
        (["a.png", "--format", "npy", "--grayscale"], "add 'png'"),
        (["gone.png"], "'gone.png' does not exist"),
        (["a.png", "--report", "."], "the report '.' is a folder"),
        (["a.png", "--nonsense"], "No such option"),
        ([], "INPUT"),
    ],
)
def test_wrong_usage(predict: Run, arguments: list[str], message: str) -> None:
    photo(Path("a.png"))
    outcome = predict(*arguments)
    assert outcome.status == 2
    assert message in outcome.err.replace("\n", " ")
    assert not Path("out/a.png").exists()


def test_help_names_every_format_and_colour_map(command: Run) -> None:
    from depth_anything_v2.io import COLORMAPS, FORMATS

    text = command("predict", "--help").out
    assert all(name in text for name in (*FORMATS, *COLORMAPS))


def test_version_and_help(command: Run) -> None:
    assert command("--version").out == f"depth-anything {__version__}\n"
    assert "predict" in command("--help").out
    assert "List, download" in command("--help").out
    assert command("nonsense").status == 2


def test_every_estimator_option_reaches_the_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    photo(Path("a.png"))
    given: dict[str, Any] = {}

    def from_pretrained(name: str, *, on_wait: Callable[[str], None], **options: Any) -> FakeEstimator:
        on_wait("converting")
        given.update(options, name=name)
        return FakeEstimator()

    monkeypatch.setattr(DepthEstimator, "from_pretrained", from_pretrained)
    options = "--checkpoint x --encoder vits --relative --v1 --offline --engine onnx --device cpu"
    options += " --input-size 98 --batch-size 2 --max-tokens 99 --max-pixels 5000"
    options += " --precision float16 --exact"
    assert main(["predict", "a.png", *options.split()]) == 0
    assert given == {
        "name": "x",
        "encoder": "vits",
        "relative": True,
        "v1": True,
        "offline": True,
        "device": "cpu",
        "engine": "onnx",
        "precision": "float16",
        "exact": True,
        "input_size": 98,
        "batch_size": 2,
        "max_tokens": 99,
        "max_pixels": 5000,
        "progress": False,
    }


@pytest.fixture
def server() -> Any:
    """A web server: /ok.png is a picture, /hangs never answers, anything else is missing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/hangs"):
                released.wait(30)
                return
            data = Path("served.png").read_bytes() if self.path.startswith("/ok.png") else b"no"
            self.send_response(200 if data != b"no" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: Any) -> None:
            pass

    import threading

    released = threading.Event()
    photo(Path("served.png"))
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}"
    released.set()
    web.shutdown()
    web.server_close()


def test_addresses_good_missing_and_hanging(predict: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import functools

    from depth_anything_v2.jobs import runner

    monkeypatch.setattr(runner, "read_picture", functools.partial(read_picture, timeout_s=0.5))
    outcome = predict(f"{server}/hangs/x.jpg", f"{server}/missing.jpg", f"{server}/ok.png?v=1")
    assert outcome.status == 1
    failures = [line for line in outcome.err.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 2
    assert "hangs" in failures[0]
    assert "missing.jpg" in failures[1]
    assert [path.name for path in Path("out").glob("*.*") if path.is_file()] == ["ok.png"]


def test_the_bar_on_a_terminal_shows_failures_above_it(monkeypatch: pytest.MonkeyPatch, predict: Run) -> None:
    photo(Path("in/a [b].png"))
    Path("in/b.png").write_bytes(b"")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    outcome = predict("in")
    assert outcome.status == 1
    assert "failed: " in outcome.err
    assert "[1/2]" not in outcome.err


def test_names_that_the_terminal_cannot_show() -> None:
    class Narrow(io.StringIO):
        encoding = "ascii"

    stream = Narrow()
    common.say("é\udcff.png", stream)
    assert stream.getvalue() == "\\xe9\\udcff.png\n"


def test_unicode_and_odd_names_survive_the_whole_way(predict: Run) -> None:
    photo(Path("in/Schöner Tag 日本.png"))
    Path("in/bad\udcff.png").write_bytes(Path("in/Schöner Tag 日本.png").read_bytes())
    outcome = predict("in", "--report", "r.json")
    assert outcome.status == 0
    assert read_image("out/Schöner Tag 日本.png").shape == (48, 64, 3)
    assert Path("out/bad\udcff.png").is_file()


def test_a_format_whose_library_is_missing_is_told_before_anything_runs(
    predict: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)  # importing it fails
    for number in range(3):
        photo(Path(f"in/{number}.png"))
    done = predict("in", "--format", "npy,exr")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "writing an EXR file needs the package 'OpenEXR': pip install OpenEXR" in done.err
    assert not Path("out").exists()
