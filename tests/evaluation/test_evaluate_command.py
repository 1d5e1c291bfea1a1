"""`depth-anything evaluate`, in this process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from picture_files import save_tiny_checkpoint
from PIL import Image

from depth_anything_v2.cli.main import main


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["evaluate", *(str(argument) for argument in arguments)])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return run


@pytest.fixture
def pairs(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("one", "two", "three"):
        for folder in ("images", "depth"):
            (tmp_path / "pairs" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(
            tmp_path / "pairs/images" / f"{name}.jpg"
        )
        depth = np.rint(rng.uniform(1000, 5000, (64, 80))).astype(np.uint16)
        Image.fromarray(depth).save(tmp_path / "pairs/depth" / f"{name}.png")
    return tmp_path / "pairs"


def test_the_builtin_checkpoint_without_any_data(command) -> None:
    status, out, err = command("--checkpoint", "builtin", "--limit", 3, "-o", "out", "--worst", 2)
    assert status == 0, err
    assert re.search(r"builtin: AbsRel \d+\.\d{3} \(\d+\.\d{3} to \d+\.\d{3}\); .*3 scored", out)
    assert "alignment: scale-shift-inverse" in out
    report = json.loads(Path("out/report.json").read_text())
    model = report["models"][0]
    assert model["estimates"]["order"]["mean"] > 0.75
    assert len(model["about"]["SHA-256"]) == 64
    assert len(list(Path("out/pictures").glob("*.png"))) == 2
    status, _, err = command("--checkpoint", "builtin", "--limit", 3, "-o", "out", "--worst", 0)
    assert (status, err.count("[")) == (0, 0), "all of it was done before"


def test_two_checkpoints_on_own_pairs(command, pairs, tmp_path) -> None:
    tiny = save_tiny_checkpoint(tmp_path / "tiny.safetensors")
    options = ("-b", "own", "-d", pairs, "--depth-scale", 0.001, "-o", "out", "--input-size", 64)
    status, out, err = command("-c", "builtin", "--against", tiny, *options)
    assert status == 0, err
    assert "report: out/report.html" in out
    report = json.loads(Path("out/report.json").read_text())
    assert [model["counts"]["scored"] for model in report["models"]] == [3, 3]
    assert {part["metric"] for part in report["comparison"]} >= {"abs_rel", "delta1"}


def test_two_processes_load_the_checkpoint_themselves(command, pairs, tmp_path) -> None:
    tiny = save_tiny_checkpoint(tmp_path / "tiny.safetensors")
    options = ("-b", "own", "-d", pairs, "--depth-scale", 0.001, "-o", "out", "--input-size", 64, "--worst", 0)
    status, out, err = command("-c", tiny, "-p", 2, *options)
    assert status == 0, err
    assert "3 scored" in out


def test_a_damaged_depth_map_is_a_failure_that_is_told(command, pairs) -> None:
    (pairs / "depth" / "two.png").write_bytes(b"no picture")
    status, out, err = command("-c", "builtin", "-b", "own", "-d", pairs, "--depth-scale", 0.001, "-o", "out")
    assert status == 1
    assert "two.png" in err
    assert "2 scored, 1 failed" in out
    assert "two.png" in Path("out/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-b", "nyuv3"], "did you mean 'nyuv2'"),
        (["-b", "nyuv2"], "needs its data"),
        (["-b", "nyuv2", "-d", "nowhere"], "there is no 'nowhere'"),
        (["--alignment", "affine"], "unknown alignment 'affine'"),
        (["--alignment", "none", "-c", "builtin", "--limit", "1"], "take scale-shift-inverse"),
        (["--limit", "0"], "at least 1"),
        (["-c", "no-such-checkpoint"], "no-such-checkpoint"),
    ],
)
def test_mistakes_are_told_in_a_sentence(command, arguments, said) -> None:
    status, _, err = command(*arguments)
    assert status in (1, 2)
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_the_list_names_the_benchmarks(command) -> None:
    status, out, _ = command("--list")
    assert status == 0
    assert {"nyuv2", "kitti", "da2k", "rendered"} <= {line.split()[0] for line in out.splitlines()}
