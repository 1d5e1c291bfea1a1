"""The accuracy gate: a faster precision runs only where it is exact enough and faster, measured once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_models import SMALL, Batch, batch, opened

from depth_anything_v2.checkpoints import resolve_checkpoint
from depth_anything_v2.engines import accuracy, opening, openvino_engine, store
from depth_anything_v2.engines.accuracy import Accuracy, measure
from depth_anything_v2.engines.choose import Request
from depth_anything_v2.engines.opening import open_engine
from depth_anything_v2.engines.source import Source

Change = Callable[[Batch], Batch]


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Fake:
    """Brightness as depth, after a change, and after some seconds."""

    name, device, precision = "fake", "cpu", "bfloat16"

    def __init__(self, clock: Clock, seconds: float, change: Change = lambda depth: depth) -> None:
        self.clock, self.seconds, self.change, self.calls = clock, seconds, change, 0

    def __call__(self, inputs: Batch) -> Batch:
        self.calls += 1
        self.clock.now += self.seconds
        return self.change(10 + inputs.mean(axis=1))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(accuracy, "time", clock)
    return clock


@pytest.fixture
def source(small: Path, own_cache: Path) -> Source:
    return Source(resolve_checkpoint(small), Request(), lambda _: None)


def wavy(depth: Batch) -> Batch:
    return depth * (1 + np.float32(0.03) * np.sin(np.arange(depth.shape[2], dtype=np.float32)))


def swapped(depth: Batch) -> Batch:
    """Two in a thousand pixels change places from near to far: next to nothing in the norm."""
    changed = depth.copy()
    flat = changed.reshape(-1)
    order = np.argsort(flat)
    count = flat.size // 500
    flat[order[-count:]], flat[order[:count]] = flat[order[:count]], flat[order[-count:]]
    return changed


CASES = [
    ("as exact as it gets", 0.5, lambda depth: depth, True),
    ("a little off", 0.5, lambda depth: depth * np.float32(1.005), True),
    ("two percent off", 0.5, lambda depth: depth * np.float32(1.02), False),
    ("wavy", 0.5, wavy, False),
    ("not finite", 0.5, lambda depth: np.where(depth > depth.mean(), np.float32(np.nan), depth), False),
    ("no faster", 0.95, lambda depth: depth, False),
    ("slower", 2.0, lambda depth: depth, False),
]


@pytest.mark.parametrize(("seconds", "change", "pays"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_passes(clock: Clock, source: Source, seconds: float, change: Change, pays: bool) -> None:
    engines = {"float32": Fake(clock, 1.0), "bfloat16": Fake(clock, seconds, change)}
    precision, found = opening._fastest(source, {"checkpoint": "x"}, ["bfloat16"], engines.__getitem__, SMALL)
    assert precision == ("bfloat16" if pays else "float32")
    assert (found is not None) == pays
    if found:
        assert found.time_ratio == pytest.approx(seconds)


def test_the_order_of_pixels_counts_where_the_norm_sees_nothing(clock: Clock) -> None:
    """Of a depth of which a few pixels are far and near: their places change, and nothing else."""

    def steep(depth: Batch) -> Batch:
        return np.exp(2 * (depth - 10))

    found = measure(Fake(clock, 1.0, steep), Fake(clock, 0.5, lambda depth: swapped(steep(depth))), SMALL)
    assert found.order < accuracy.MIN_ORDER
    assert not Accuracy(0.0, found.order, 0.5).passes
    assert Accuracy(0.0, accuracy.MIN_ORDER, 0.5).pays


def test_the_worst_photograph_decides(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(list(accuracy.inputs(SMALL)))
    assert count >= 3
    for bad in range(count):
        calls = iter(range(2 * count))

        def once_bad(depth: Batch, calls=calls, bad=bad) -> Batch:
            return depth * np.float32(1.02 if next(calls) // 2 == bad else 1)

        assert not measure(Fake(clock, 1.0), Fake(clock, 0.5, once_bad), SMALL).passes


def test_the_fastest_that_passes_is_taken(clock: Clock, source: Source) -> None:
    engines = {
        "float32": Fake(clock, 1.0),
        "bfloat16": Fake(clock, 0.5),
        "float16": Fake(clock, 0.4),
        "int8": Fake(clock, 0.1, lambda depth: depth * np.float32(1.5)),
    }
    precision, _ = opening._fastest(
        source, {"checkpoint": "x"}, ["bfloat16", "float16", "int8"], engines.__getitem__, SMALL
    )
    assert precision == "float16"


def test_it_is_measured_once(clock: Clock, source: Source) -> None:
    key = {"checkpoint": "x", "engine": "fake"}
    first = opening._fastest(source, key, ["bfloat16"], lambda _: Fake(clock, 1.0), SMALL)

    def never(name: str) -> Any:
        raise AssertionError(f"{name} is measured again")

    assert opening._fastest(source, key, ["bfloat16"], never, SMALL) == first
    assert opening._fastest(source, key, [], never, SMALL) == ("float32", None)
    for other, candidates in ((key | {"checkpoint": "y"}, ["bfloat16"]), (key, ["bfloat16", "float16"])):
        with pytest.raises(AssertionError, match="measured again"):
            opening._fastest(source, other, candidates, never, SMALL)


UNREADABLE = '{"bfloat16": {"relative_error": 0.001, "order": "all", "time_ratio": 0.5}}'


@pytest.mark.parametrize(
    "damaged", ["", "{", "[1]", '"bfloat16"', '{"bfloat16": {"order": 1}}', '{"bfloat16": 3}', UNREADABLE]
)
def test_a_damaged_record_is_measured_again(clock: Clock, source: Source, own_cache: Path, damaged: str) -> None:
    def measured() -> tuple[str, Accuracy | None]:
        return opening._fastest(
            source,
            {"checkpoint": "x"},
            ["bfloat16"],
            lambda name: Fake(clock, 1.0 if name == "float32" else 0.5),
            SMALL,
        )

    first = measured()
    (record,) = own_cache.glob("x-*.json")
    record.write_text(damaged)
    assert measured() == first


def test_a_checkpoint_is_measured_in_the_first_process_only(
    small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real engine; what it runs is what was measured."""
    monkeypatch.setattr(openvino_engine, "precisions", lambda: ("float32", "bfloat16"))
    measured: list[Accuracy] = []
    networks: list[Any] = []

    def watched(reference: Any, candidate: Any, *rest: Any) -> Accuracy:
        inputs = batch(1, 28, 42)
        networks.append(candidate(inputs))
        measured.append(Accuracy(0.001, 1.0, 0.5))
        assert (reference.precision, candidate.precision) == ("float32", "bfloat16")
        return measured[-1]

    monkeypatch.setattr(accuracy, "measure", watched)
    said: list[str] = []
    first = opened(small, "openvino", "auto", said.append)
    assert (first.engine.precision, first.accuracy) == ("bfloat16", Accuracy(0.001, 1.0, 0.5))
    assert [sentence.split(" ")[0] for sentence in said] == ["measuring", "making"]
    second = opened(small, "openvino", "auto", said.append)
    assert (len(measured), len(said)) == (1, 2)
    assert (second.engine.precision, second.accuracy) == (first.engine.precision, first.accuracy)
    np.testing.assert_allclose(second.engine(batch(1, 28, 42)), networks[0], rtol=2e-2)
    monkeypatch.setattr(openvino_engine, "processor", lambda: "another one")
    opened(small, "openvino", "auto", said.append)
    assert len(measured) == 2


def test_what_is_asked_for_is_not_measured(small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_arguments: Any) -> Accuracy:
        raise AssertionError("measured")

    monkeypatch.setattr(accuracy, "measure", measure)
    for precision in openvino_engine.precisions():
        result = opened(small, "openvino", precision)
        assert (result.engine.precision, result.accuracy) == (precision, None)
    result = opened(small, "torch", "auto")
    assert (result.engine.precision, result.accuracy) == ("float32", None)


def test_a_cache_that_can_t_be_written_costs_the_record_only(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(store, "folder", lambda: tmp_path / "file" / "converted")
    monkeypatch.setattr(accuracy, "measure", lambda *_: Accuracy(0.001, 1.0, 0.5))
    monkeypatch.setattr(openvino_engine, "precisions", lambda: ("float32", "bfloat16"))
    result = open_engine(resolve_checkpoint(small), Request("openvino", "cpu"))
    assert result.engine.precision == "bfloat16"
    (note,) = result.notes[-1:]
    assert "is not kept, so that every start converts it again: cannot write" in note
    assert result.engine(batch(1, 28, 42)).shape == (1, 28, 42)
