from __future__ import annotations

import itertools
import threading
import time

import pytest

from depth_anything_v2.pipeline import ordered_map


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


def test_an_error_comes_in_its_place_and_ends_the_threads() -> None:
    def fail_at_three(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        return x

    results = ordered_map(fail_at_three, range(100), workers=2, ahead=8)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert not [t for t in threading.enumerate() if t.name.startswith("depth-anything")]


def test_an_error_in_the_consumer_ends_the_threads() -> None:
    def consume() -> None:
        for x in ordered_map(lambda x: x, range(100), workers=2, ahead=8):
            if x == 2:
                raise KeyError("consumer")

    with pytest.raises(KeyError):
        consume()
    assert not [t for t in threading.enumerate() if t.name.startswith("depth-anything")]
