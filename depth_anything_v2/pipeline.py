"""Stages that overlap: bounded, in order, and ended together by the first error."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 2, ahead: int = 4
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, computed by threads while the consumer works.

    At most `ahead` results exist that the consumer has not taken yet, so memory stays bounded for an
    endless `items`, which is drawn from in the consumer's thread. The first exception of `function` is
    raised at its place in the order; closing the generator, or an exception in the consumer, cancels
    what has not started and waits for what has.
    """
    pending: collections.deque[Future[Result]] = collections.deque()
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="depth-anything")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= max(1, ahead):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
