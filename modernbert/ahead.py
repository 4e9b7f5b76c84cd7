"""Work that a thread prepares some steps ahead, so that a GPU need not wait for texts to be tokenised."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item], steps: int = 1) -> Iterator[Made]:
    """Yield `make(item)` for each item, in order; the next ones are made while the caller uses this one.

    An error of `make` is raised where its item would be yielded. What it says of its progress is not heard.

    Args:
        make: is called in one thread, for one item after the other.
        items: are taken in the caller's thread.
        steps: how many items it is ahead.
    """
    pool, waiting = ThreadPoolExecutor(1), deque[Future[Made]]()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > steps:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
