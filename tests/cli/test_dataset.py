from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from picture_files import photo

Run = Callable[..., Any]


@pytest.fixture
def rows(here: Path) -> list[str]:
    """Rows of a sound manifest: four pictures, depth in millimetres."""
    rows = []
    for number in range(4):
        photo(here / "rgb" / f"{number}.png", seed=number)
        counts = np.linspace(4000, 1000, 48)[:, None] + np.linspace(0, 50, 64) + 10 * number
        (here / "depth").mkdir(exist_ok=True)
        cv2.imwrite(str(here / "depth" / f"{number}.png"), counts.astype(np.uint16))
        rows.append(f"rgb/{number}.png,depth/{number}.png,{'val' if number == 3 else 'train'},scene{number}")
    return rows


def write(path: Path, rows: list[str], scale: str = "0.001") -> Path:
    path.write_text("\n".join(["image,depth,split,scene,scale", *(f"{row},{scale}" for row in rows)]))
    return path


def test_clean(command: Run, here: Path, rows: list[str]) -> None:
    outcome = command("dataset", "check", write(here / "mine.csv", rows))
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "mine.csv: 4 of 4 pairs looked at"
    assert lines[1].startswith("  train: 3 of 3 readable, 3 scenes, 64 x 48, 100.0 % valid, ")
    assert lines[-1] == "nothing that would spoil a training"
    assert sorted(path.name for path in (here / "dataset-check").iterdir()) == [
        "dataset-contact-sheet.png",
        "dataset-histogram.png",
        "dataset-report.json",
    ]
    quiet = command("dataset", "check", "mine.csv", "--quiet", "-o", "elsewhere")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    assert (here / "elsewhere" / "dataset-report.json").is_file()


def test_findings_give_exit_status_1(command: Run, here: Path, rows: list[str]) -> None:
    rows[3] = rows[3].replace("scene3", "scene1")
    outcome = command("dataset", "check", write(here / "mine.csv", rows, scale="1"), "-o", "out")
    assert outcome.status == 1
    assert "likely millimetres: set the scale to 0.001" in outcome.out
    assert "error: 1 scene is in more than one split" in outcome.out
    assert "    scene1 (train, val)" in outcome.out
    assert outcome.out.splitlines()[-1] == "2 of these would spoil a training"
    data = command("dataset", "check", "mine.csv", "-o", "out", "--json", "--limit", 2)
    assert json.loads(data.out)["looked_at"] == 2
    assert data.status == 1


def test_manifests_are_the_splits(command: Run, here: Path, rows: list[str]) -> None:
    def bare(row: str) -> str:
        image, depth, _, scene = row.split(",")
        return f"{image},{depth},,{scene}"

    write(here / "a.csv", [bare(row) for row in rows])
    write(here / "b.csv", [bare(rows[2])])
    outcome = command("dataset", "check", "a.csv", "b.csv", "-o", "out")
    assert outcome.status == 1
    assert "    a: rgb/2.png = b: rgb/2.png" in outcome.out
    assert "    scene2 (a, b)" in outcome.out


def test_a_folder_with_lists(command: Run, here: Path) -> None:
    for scene in ("alley_1", "market_2"):
        photo(here / "sintel" / "training" / "final" / scene / "frame_0001.png", 20, 47, seed=len(scene))
        depth = here / "sintel" / "training" / "depth" / scene / "frame_0001.dpt"
        depth.parent.mkdir(parents=True)
        values = np.linspace(50, 2, 20 * 47).astype("<f4")
        depth.write_bytes(np.array(202021.25, "<f4").tobytes() + np.array([47, 20], "<i4").tobytes() + values.tobytes())
        tail = "training/{}/" + scene + "/frame_0001."
        (here / f"{scene}.txt").write_text(f"{tail.format('final')}png {tail.format('depth')}dpt\n")
    whole = command("dataset", "check", "sintel", "-o", "out")
    assert (whole.status, whole.out.splitlines()[0]) == (0, "sintel: 2 of 2 pairs looked at")
    lists = ("--list", "alley_1.txt", "--list", "market_2.txt")
    split = command("dataset", "check", "sintel", *lists, "--dataset", "sintel", "-o", "out")
    assert split.status == 0
    assert "  alley_1: 1 of 1 readable" in split.out
    assert "  market_2: 1 of 1 readable" in split.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "'nowhere' does not exist"),
        ((".",), "'.' looks like no dataset that is known"),
        ((".", "--dataset", "kiti"), "unknown dataset 'kiti': did you mean 'kitti'?"),
        ((".", "--dataset", "kitti"), "'.' holds no frames of kitti"),
        (("x.csv", "y.csv", "--list", "z.txt"), "give one path with --list"),
        (("bad.csv",), "'bad.csv', line 1: unknown column 'dept': did you mean 'depth'?"),
        (("ok.csv", "--limit", "0"), "at least 1, not 0"),
    ],
)
def test_mistakes_are_one_line(command: Run, here: Path, arguments: tuple[str, ...], message: str) -> None:
    (here / "bad.csv").write_text("image,dept\na,b\n")
    (here / "ok.csv").write_text("image,depth\na,b\n")
    outcome = command("dataset", "check", *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert not (here / "dataset-check").exists()
