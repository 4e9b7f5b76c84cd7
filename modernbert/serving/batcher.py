"""Requests wait here, and texts of several requests run together in batches of so many tokens."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

# How many texts and tokens a batch held, and the seconds that it took.
OnBatch = Callable[[int, int, float], None]


class QueueFull(Exception):
    """More tokens wait than may."""


class TooLate(Exception):
    """A request waited longer than it may."""


class Closed(Exception):
    """The batcher takes no more."""


@dataclass(eq=False)
class _Waiting:
    """A request: its texts, and how many of them have been taken and answered."""

    texts: Sequence[Any]
    tokens: Sequence[int]
    until: float
    arrived: float = field(default_factory=time.monotonic)
    future: Future[list[Any]] = field(default_factory=Future)
    answers: dict[int, Any] = field(default_factory=dict)
    taken: int = 0

    @property
    def left(self) -> int:
        """Tokens that have not been taken."""
        return sum(self.tokens[self.taken :])

    def answer(self, places: Sequence[int], found: Sequence[Any]) -> None:
        """Keep answers; tell the one who waits when all are there."""
        self.answers.update(zip(places, found, strict=True))
        if len(self.answers) == len(self.texts):
            with suppress(InvalidStateError):  # nobody waits any longer
                self.future.set_result([self.answers[i] for i in range(len(self.texts))])

    def fail(self, error: BaseException) -> None:
        with suppress(InvalidStateError):
            self.future.set_exception(error)


# A request, and the places of its texts that are in a batch.
_Slice = tuple[_Waiting, range]


class Batcher:
    """A queue and the one thread that runs what waits in it.

    A batch takes requests in their order until it holds `max_tokens`. Of a request that does not fit, some
    texts are taken, and the rest waits behind the others: a large request does not hold up small ones. Where
    the last batch was of several requests, the first of the next waits up to `wait_seconds` for others. One
    that comes alone does not: what arrives while it runs is a batch anyway.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], Any],
        *,
        max_tokens: int,
        max_waiting: int,
        wait_seconds: float = 0.002,
        turn: AbstractContextManager[Any] | None = None,
        on_batch: OnBatch = lambda texts, tokens, seconds: None,
    ) -> None:
        """Start the thread.

        Args:
            run: gives a sequence of answers, one for each text of a batch.
            max_tokens: of a batch; a longer text is a batch of its own.
            max_waiting: tokens that may wait.
            turn: is held while a batch runs: models that share a device take turns.
            on_batch: is told of each batch.
        """
        self.run, self.max_tokens, self.max_waiting = run, max_tokens, max_waiting
        self.wait_seconds, self.turn, self.on_batch = wait_seconds, turn or nullcontext(), on_batch
        self.queue: deque[_Waiting] = deque()
        self.waiting = 0
        self.closing = False
        self.is_busy = True  # was the last batch of several requests? The first one waits too
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self.thread.start()

    @property
    def is_full(self) -> bool:
        """Do as many tokens wait as may?"""
        return self.waiting >= self.max_waiting

    def submit(self, texts: Sequence[Any], tokens: Sequence[int], until: float) -> Future[list[Any]]:
        """Return what will be the answers, in the order of the texts.

        Args:
            texts: at least one, as `run` takes them.
            tokens: of each.
            until: `time.monotonic()` after which nobody wants them: they fail with `TooLate`.

        Raises:
            QueueFull: others wait, and with these texts too many tokens would.
            Closed: after `close`.
        """
        waiting = _Waiting(texts, tokens, until)
        with self.changed:
            if self.closing:
                raise Closed
            if self.waiting and self.waiting + waiting.left > self.max_waiting:
                raise QueueFull
            self.queue.append(waiting)
            self.waiting += waiting.left
            self.changed.notify()
        return waiting.future

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join()

    def _work(self) -> None:
        while batch := self._next():
            with self.turn:
                self._answer(batch)

    def _next(self) -> list[_Slice]:
        """Wait for a batch; an empty one after `close`."""
        with self.changed:
            while True:
                self.changed.wait_for(lambda: self.queue or self.closing)
                if not self.queue:
                    return []
                self.changed.wait_for(self._is_enough, self._rest_of_wait())
                if batch := self._take():
                    return batch

    def _is_enough(self) -> bool:
        return self.closing or self.waiting >= self.max_tokens

    def _rest_of_wait(self) -> float:
        if not self.is_busy:
            return 0.0
        return max(0.0, self.queue[0].arrived + self.wait_seconds - time.monotonic())

    def _take(self) -> list[_Slice]:
        batch: list[_Slice] = []
        room = self.max_tokens
        while self.queue:
            first = self.queue.popleft()
            if self._is_over(first):
                continue
            places = _fitting(first, room, at_least_one=not batch)
            room -= sum(first.tokens[i] for i in places)
            if places:
                batch.append((first, places))
                first.taken = places.stop
            if first.left:
                self.queue.append(first) if places else self.queue.appendleft(first)
                break
        self.waiting = sum(one.left for one in self.queue)
        self.is_busy = len(batch) + len(self.queue) > 1
        return batch

    def _is_over(self, one: _Waiting) -> bool:
        if time.monotonic() > one.until:
            one.fail(TooLate())
        return one.future.done()

    def _answer(self, batch: list[_Slice]) -> None:
        started = time.perf_counter()
        try:
            found = self.run([one.texts[i] for one, places in batch for i in places])
        except Exception as error:
            self._answer_each(batch, error)
            return
        tokens = sum(one.tokens[i] for one, places in batch for i in places)
        self.on_batch(len(found), tokens, time.perf_counter() - started)
        start = 0
        for one, places in batch:
            one.answer(places, found[start : start + len(places)])
            start += len(places)

    def _answer_each(self, batch: list[_Slice], error: Exception) -> None:
        """Run each request by itself, so that one which cannot be answered spoils no other."""
        if len(batch) == 1:
            batch[0][0].fail(error)
            return
        for one in batch:
            self._answer([one])


def _fitting(one: _Waiting, room: int, *, at_least_one: bool) -> range:
    """Return the places of the next texts that have room."""
    stop = one.taken
    while stop < len(one.texts) and one.tokens[stop] <= room:
        room -= one.tokens[stop]
        stop += 1
    return range(one.taken, max(stop, one.taken + 1) if at_least_one else stop)
