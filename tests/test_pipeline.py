from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from depth_anything_v2 import pipeline
from depth_anything_v2.pipeline import Cost, ordered_map, windows


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("depth-anything")]


def fails_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise LookupError("the source")


def test_keeps_the_order_though_later_items_finish_first() -> None:
    def slow_first(x: int) -> int:
        time.sleep(0.02 * (5 - x % 5))
        return x * x

    assert list(ordered_map(slow_first, range(20), workers=4, ahead=8)) == [x * x for x in range(20)]


def test_draws_no_more_than_the_bound_from_an_endless_source() -> None:
    drawn = itertools.count()
    results = ordered_map(lambda x: x, drawn, workers=2, ahead=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert next(drawn) <= 5 + 3


@pytest.mark.parametrize("cost", [None, lambda x: (60, 0)])
def test_an_error_comes_in_its_place_and_ends_the_threads(cost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "IN_FLIGHT_PIXELS", 100)

    def fail_at_three(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        return x

    results = ordered_map(fail_at_three, range(100), workers=2, ahead=8, cost=cost)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert not threads()


def test_an_error_of_the_items_comes_after_what_they_gave() -> None:
    results = ordered_map(lambda x: x, fails_after(5), workers=2, ahead=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(LookupError, match="the source") as caught:
        next(results)
    assert "fails_after" in [entry.name for entry in caught.traceback]
    assert not threads()


def test_an_error_in_the_consumer_ends_the_threads() -> None:
    def consume() -> None:
        for x in ordered_map(lambda x: x, range(100), workers=2, ahead=8):
            if x == 2:
                raise KeyError("consumer")

    with pytest.raises(KeyError):
        consume()
    assert not threads()


@pytest.mark.parametrize(("making", "held", "at_once", "waiting"), [(10, 0, 4, 8), (60, 0, 1, 8), (10, 40, 4, 4)])
def test_pixels_are_bounded(
    making: int, held: int, at_once: int, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 pixels: 4 workers at work on 10 each, one on 60; two results of 40 and two that will be."""
    monkeypatch.setattr(pipeline, "IN_FLIGHT_PIXELS", 100)
    lock = threading.Lock()
    running = most_running = done = most_waiting = taken = 0

    def make(x: int) -> Cost:
        nonlocal running, most_running, done, most_waiting
        with lock:
            running += 1
            most_running = max(most_running, running)
        time.sleep(0.003)
        with lock:
            running -= 1
            done += 1
            most_waiting = max(most_waiting, done - taken)
        return making, held

    for _ in ordered_map(make, range(40), workers=4, ahead=8, cost=lambda result: result):
        time.sleep(0.002 if making < 60 else 0)
        taken += 1
    assert done == 40
    assert most_running <= at_once
    assert most_waiting <= waiting + 1  # one is taken and not counted as such yet
    assert not threads()


def test_what_is_larger_than_the_bound_is_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "IN_FLIGHT_PIXELS", 100)
    results = ordered_map(lambda x: x, range(6), workers=3, ahead=5, cost=lambda x: (1000, 1000))
    assert list(results) == list(range(6))


def test_closing_early_lets_go_of_what_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "IN_FLIGHT_PIXELS", 100)
    made: list[int] = []
    results = ordered_map(lambda x: made.append(x) or x, itertools.count(), workers=4, ahead=8, cost=lambda x: (90, 90))
    assert next(results) == 0
    results.close()
    assert len(made) <= 2
    assert not threads()


def test_windows_end_with_a_full_batch_of_one_shape_with_pixels_or_without_a_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def split(items: str, batch: int, pixels: int = 1) -> list[str]:
        found = windows(items, batch, lambda x: None if x == "-" else x, lambda x: pixels)
        return ["".join(window) for window in found]

    assert split("aaab", 1) == ["a", "a", "a", "b"]
    assert split("abababbb", 3) == ["ababa", "bbb"]
    assert split("aa-aab", 3) == ["aa-", "aab"]
    assert split("abcdefghijkl", 2) == ["abcdefgh", "ijkl"]
    monkeypatch.setattr(pipeline, "WINDOW_PIXELS", 10)
    assert split("abcdefgh", 8, pixels=4) == ["abc", "def", "gh"]


def test_windows_give_what_came_before_an_error() -> None:
    found = windows(fails_after(3), 2, lambda x: 0, lambda x: 1)
    assert [next(found), next(found)] == [[0, 1], [2]]
    with pytest.raises(LookupError, match="the source"):
        next(found)
