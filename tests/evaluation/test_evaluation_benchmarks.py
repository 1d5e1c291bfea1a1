"""Benchmarks as data: they load, they refuse nonsense, and published figures stand only where they belong."""

from __future__ import annotations

import dataclasses
import json

import pytest

from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.evaluation import Benchmark, list_benchmarks, load_benchmark
from depth_anything_v2.evaluation.report import METRIC_MEANINGS, METRIC_NAMES


@pytest.mark.parametrize("name", list_benchmarks())
def test_each_benchmark_loads(name) -> None:
    benchmark = load_benchmark(name)
    assert benchmark.name == name
    assert set(benchmark.metrics) <= METRIC_NAMES.keys() == METRIC_MEANINGS.keys()
    assert benchmark.describe()["Benchmark"] == benchmark.title
    for group in benchmark.published:
        assert all(set(row) - {"model"} <= set(benchmark.metrics) for row in group.rows)


def test_published_figures_stand_where_the_protocol_is_the_same() -> None:
    nyu = load_benchmark("nyuv2")
    groups, _ = nyu.published_for("scale-shift-inverse", 654, limited=False)
    small = next(row for row in groups[0].rows if row["model"] == "V2-S")
    assert (small["abs_rel"], small["delta1"]) == (0.053, 0.973)
    assert [g.rows[0]["model"] for g in nyu.published_for("none", 654, limited=False)[0]] == ["V2-S fine-tuned"]
    for refused in (("median", 654, False), ("scale-shift-inverse", 600, False), ("scale-shift-inverse", 654, True)):
        groups, why = nyu.published_for(*refused)
        assert groups == []
        assert "not shown" in why
    assert load_benchmark("da2k").published_for(None, 1033, limited=False)[0]


def test_the_digest_follows_what_shapes_numbers() -> None:
    nyu = load_benchmark("nyuv2")
    assert dataclasses.replace(nyu, title="other", notes=(), published=()).digest == nyu.digest
    for change in ({"max_depth_m": 20.0}, {"crop": None}, {"alignment": "median"}, {"metrics": ("delta1",)}):
        assert dataclasses.replace(nyu, **change).digest != nyu.digest


def test_a_benchmark_of_ones_own(tmp_path) -> None:
    path = tmp_path / "garden.json"
    path.write_text(json.dumps({"title": "Garden", "dataset": "manifest", "max_depth_m": 30, "metrics": ["rmse"]}))
    assert load_benchmark(path) == Benchmark("garden", "Garden", "depth", "manifest", max_depth_m=30, metrics=("rmse",))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"title": "x", "max_deph_m": 10}, "did you mean 'max_depth_m'"),
        ({"title": "x", "max_depth_m": 10, "metrics": ["abs_rl"]}, "did you mean 'abs_rel'"),
        ({"title": "x", "max_depth_m": 10, "alignment": "affine"}, "'affine' is not known"),
        ({"title": "x"}, "give max_depth_m"),
        ({"title": "x", "max_depth_m": -1}, "must be positive and below"),
        ({"title": "x", "max_depth_m": 10, "crop": {"row": [1, 2]}}, "is not a benchmark"),
    ],
)
def test_nonsense_is_refused_with_the_reason(tmp_path, data, said) -> None:
    (tmp_path / "own.json").write_text(json.dumps(data))
    with pytest.raises(OptionError, match=said):
        load_benchmark(tmp_path / "own.json")


def test_names_and_files_that_are_not_there(tmp_path) -> None:
    with pytest.raises(OptionError, match="did you mean 'nyuv2'"):
        load_benchmark("nyu-v2")
    with pytest.raises(InputError, match="cannot read the benchmark"):
        load_benchmark(tmp_path / "missing.json")
