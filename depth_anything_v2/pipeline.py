"""Stages that overlap: bounded, in order, and ended together by the first error."""

from __future__ import annotations

import collections
import itertools
import os
import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Cost = tuple[int, int]  # pixels that exist while a result is made, and pixels that it holds until it is taken

IN_FLIGHT_PIXELS = 50_000_000  # in one stage: two photographs of 24 megapixels at once
WINDOW_PIXELS = 100_000_000  # held by pictures that wait for others of their shape


def default_workers() -> int:
    """Return how many threads a stage of pictures has: half of the processors, at least 2, at most 8."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(2, min(8, processors // 2))


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 2,
    ahead: int = 4,
    cost: Callable[[Result], Cost] | None = None,
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order, computed by threads while the consumer works.

    At most `ahead` results exist that the consumer has not taken yet, so memory stays bounded for an
    endless `items`, which is drawn from in the consumer's thread. cost: bounds them in pixels as well: no more
    than IN_FLIGHT_PIXELS, or one item that has more. The first exception of `function` is raised at its place
    in the order, one of `items` after the results of what came before it; closing the generator, or an
    exception in the consumer, cancels what has not started and waits for what has. `items` is not closed.
    """
    pending: collections.deque[Future[Result]] = collections.deque()
    gate = _Gate(cost)
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="depth-anything")
    source = _Source(items)
    try:
        for item in source:
            pending.append(pool.submit(gate.run, function, item, gate.ticket()))
            if len(pending) >= max(1, ahead):
                yield gate.take(pending.popleft())
        while pending:
            yield gate.take(pending.popleft())
        source.raise_error()
    finally:
        gate.close()
        pool.shutdown(wait=True, cancel_futures=True)


def windows(
    items: Iterable[Item],
    batch_size: int,
    shape: Callable[[Item], Hashable | None],
    pixels: Callable[[Item], int],
) -> Iterator[list[Item]]:
    """Yield all items in lists of consecutive ones, each ended by the first full batch of one shape.

    A list also ends with four batches, with WINDOW_PIXELS, or with an item that has no shape (None). An
    exception of `items` is raised after the items that came before it.
    """
    window: list[Item] = []
    counts: collections.Counter[Hashable] = collections.Counter()
    held = 0
    source = _Source(items)
    for item in source:
        window.append(item)
        key = shape(item)
        counts[key] += 1
        held += pixels(item)
        if key is None or counts[key] >= batch_size or len(window) >= 4 * batch_size or held >= WINDOW_PIXELS:
            yield window
            window, held = [], 0
            counts.clear()
    if window:
        yield window
    source.raise_error()


class _Source(Iterator[Item]):
    """Items whose exception ends them and is kept, to be raised after what came before it is done."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._error: Exception | None = None

    def __next__(self) -> Item:
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - raised again by `raise_error`
            self._error = error
            raise StopIteration from None

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class _Gate(Generic[Result]):
    """Keeps the pixels of a stage within IN_FLIGHT_PIXELS, as far as they can be foreseen.

    What an item costs is known when it is done, so the next ones are taken to cost as much as the last, and the
    first is made alone. They begin in order, and the oldest that was not taken yet never waits: nothing locks up.
    """

    def __init__(self, cost: Callable[[Result], Cost] | None) -> None:
        self._cost = cost
        self._changed = threading.Condition()
        self._tickets = itertools.count()
        self._begun, self._oldest, self._closed = 0, 0, False
        self._expected: int | None = None  # pixels that making the next one takes
        self._used = 0
        self._held: dict[int, int] = {}  # pixels by ticket, of what is done and was not taken

    def ticket(self) -> int:
        """Return the place of the next item in the order."""
        return next(self._tickets)

    def run(self, function: Callable[[Item], Result], item: Item, ticket: int) -> Result:
        """Return function(item), begun as soon as there is room for it."""
        if self._cost is None:
            return function(item)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(ticket))
            if self._closed:
                raise CancelledError
            making = self._expected or 0
            self._used += making
            self._begun += 1
            self._changed.notify_all()
        result = function(item)
        expected, held = self._cost(result)
        with self._changed:
            self._expected = expected
            self._used += held - making
            self._held[ticket] = held
            self._changed.notify_all()
        return result

    def take(self, oldest: Future[Result]) -> Result:
        """Return the result of the oldest item, for which the stage is not answerable any more."""
        result = oldest.result()
        with self._changed:
            self._used -= self._held.pop(self._oldest, 0)
            self._oldest += 1
            self._changed.notify_all()
        return result

    def close(self) -> None:
        """Let nothing begin that waits for room."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, ticket: int) -> bool:
        if ticket != self._begun:
            return False
        if ticket == self._oldest:
            return True
        return self._expected is not None and self._used + self._expected <= IN_FLIGHT_PIXELS
