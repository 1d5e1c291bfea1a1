"""The report: three files that say the same, and a page that loads nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_samples import Knowing, Samples, sample
from PIL import Image

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.errors import OptionError, OutputError
from depth_anything_v2.evaluation import (
    Benchmark,
    EvaluationOptions,
    build_report,
    evaluate,
    load_benchmark,
    worst_panels,
    write_report,
)
from depth_anything_v2.evaluation.benchmark import Published
from depth_anything_v2.evaluation.pictures import UNKNOWN

BENCHMARK = Benchmark("own", "Own <set>", limits="scene", metrics=("abs_rel", "delta1", "order"))


def run(noise: float, name: str, samples=None, benchmark=BENCHMARK):
    samples = samples or Samples(8, bad=(3,), blind=(6,))
    done = evaluate(Knowing(noise), samples, benchmark, name=name, about={"Noise": noise}, data="d")
    return done, worst_panels(Knowing(noise), samples, done, 3)


class Reader(HTMLParser):
    """Collects tags left open, addresses, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.addresses, self.words = [], [], []
        self.feed(page)

    def handle_startendtag(self, tag, attributes) -> None:
        pass

    def handle_starttag(self, tag, attributes) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)


def test_three_files_that_say_the_same(tmp_path) -> None:
    (first, good), (second, bad) = run(0.05, "good"), run(0.3, "<b>bad|one</b>")
    report = write_report(tmp_path, [first, second], [good, bad])
    assert report == json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Reader(html)
    assert page.open == []
    assert "<b>bad|one</b>" not in html
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert len(page.addresses) == 2 * 3 * 4
    assert "http" not in html
    text = " ".join(page.words)
    for model in report["models"]:
        for part in model["estimates"].values():
            for shown in (f"{part['mean']:.3f}", f"{part['low']:.3f} to {part['high']:.3f}"):
                assert shown in markdown
                assert shown in text
    for said in (
        "scale and shift per image, least squares in inverse depth",
        "the disk is gone",
        "0 pixels that count",
    ):
        assert said in markdown
        assert said in text
    for name in re.findall(r"\]\((pictures/[^)]+)\)", markdown):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 1000


def test_what_the_json_holds(tmp_path) -> None:
    done, _ = run(0.2, "model")
    model = build_report([done])["models"][0]
    assert model["counts"] == {"scored": 6, "skipped": 1, "failed": 1}
    assert [part["name"] for part in model["groups"]] == ["even", "odd"]
    assert [part["name"] for part in model["scenes"]] == ["scene-0", "scene-1", "scene-2", "scene-3"]
    worst = [record["metrics"]["abs_rel"] for record in model["worst"]]
    assert worst == sorted(worst, reverse=True)
    assert {record["status"] for record in model["not_scored"]} == {"failed", "skipped"}


def test_comparison_of_two_and_of_what_cannot_be_compared() -> None:
    (first, _), (second, _) = run(0.3, "a", Samples(24)), run(0.05, "b", Samples(24))
    found = {part["metric"]: part for part in build_report([first, second])["comparison"]}
    assert {key: part["verdict"] for key, part in found.items()}["abs_rel"] == "better"
    assert found["abs_rel"]["high"] < 0
    with pytest.raises(OptionError, match="same data"):
        build_report([first, dataclasses.replace(second, data="other")])
    with pytest.raises(OptionError, match="one benchmark"):
        build_report([first, dataclasses.replace(second, benchmark=dataclasses.replace(BENCHMARK, max_depth_m=3.0))])


def test_published_figures_beside_ours(tmp_path) -> None:
    rows = ({"model": "Theirs", "abs_rel": 0.5, "delta1": 0.25},)
    benchmark = dataclasses.replace(
        BENCHMARK, frames=8, published=(Published("A paper", "scale-shift-inverse", rows), Published("B", "none", rows))
    )
    done, panels = run(0.1, "ours", Samples(8), benchmark)
    write_report(tmp_path, [done], [panels])
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "Theirs" in text
        assert "A paper" in text
        assert "B:" not in text
    part = evaluate(Knowing(), Samples(8), benchmark, options=EvaluationOptions(limit=7))
    model = build_report([part])["models"][0]
    assert (model["published"], model["limited"]) == ([], True)
    assert "are of 8 images, and 7 were scored" in model["published_note"]


def test_pictures_of_the_worst_show_what_counts() -> None:
    valid = np.ones((24, 32), bool)
    valid[:, :16] = False
    samples = [sample(1), sample(2, valid=valid)]

    def model(image: np.ndarray) -> DepthPrediction:
        prediction = Knowing()(image)
        wrong = prediction.depth.copy()
        wrong[:, 24:] *= 1 + 0.5 * float(image[0, 0, 0] == 2)
        return prediction.replace(depth=wrong)

    done = evaluate(model, samples, BENCHMARK)
    worst, best = worst_panels(model, samples, done)
    assert (worst.record.name, best.record.name) == ("picture-2", "picture-1")
    captions = [caption for caption, _ in worst.pictures]
    assert captions == ["picture", "truth", "prediction, aligned", "relative error"]
    truth, error = worst.pictures[1][1], worst.pictures[3][1]
    assert (truth[:, :150] == UNKNOWN).all()
    assert (error[:, :150] == UNKNOWN).all()
    assert error[:, 250:].mean() > best.pictures[3][1][:, 250:].mean() + 20
    assert worst.row().shape == (240, 4 * 320 + 3 * 8, 3)


def test_pairs_are_drawn(tmp_path) -> None:
    from depth_anything_v2.datasets.da2k import PairSample, PointPair

    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(path)
    pairs = (PointPair((2, 2), (20, 20), 2), PointPair((2, 28), (20, 28), 1))
    samples = [PairSample(path, pairs, "indoor", "a.png")]

    def model(image: np.ndarray) -> DepthPrediction:
        return DepthPrediction(np.arange(24.0)[:, None].repeat(32, 1), "relative")

    done = evaluate(model, samples, load_benchmark("da2k"))
    (panel,) = worst_panels(model, samples, done)
    drawn = panel.pictures[0][1]
    assert (drawn[:, :, 1].astype(int) - drawn[:, :, 0] > 100).any()  # green: right
    assert (drawn[:, :, 0].astype(int) - drawn[:, :, 1] > 100).any()  # red: wrong
    report = write_report(tmp_path / "out", [done], [[panel]])
    assert report["models"][0]["ties"] == 0


def test_nothing_half_written(tmp_path) -> None:
    done, panels = run(0.1, "x")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_report(tmp_path / "out", [done], [panels])
