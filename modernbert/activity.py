"""What the library is doing now, and why it is as fast as it is: for whoever watches.

Code that takes long says so itself: `with phase("tokenising", len(texts)) as now: ... now.advance(n)`, or
`@phase("loading the model")` above a function. Without a watcher this costs next to nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

# How running a network over texts is called: a phase around it may count its texts as its own steps.
RUNNING = "running the model"


@dataclass(eq=False)
class Phase:
    """Something that takes time.

    Attributes:
        name: such as `tokenising`.
        total: how many steps it has; None if that is unknown.
        unit: what is counted, such as `texts`.
        by_text: each text that the model reads meanwhile is one of its steps.
        done: how many are done.
    """

    name: str
    total: int | None = None
    unit: str = ""
    by_text: bool = False
    done: int = 0

    def advance(self, count: int = 1) -> None:
        """Tell that `count` more steps are done."""
        self.reach(self.done + count)

    def reach(self, done: int) -> None:
        """Tell how many steps are done."""
        self.done = done
        if (told := watcher()) is not None:
            told.advanced(self)


class Watcher(Protocol):
    """Is told what goes on. Phases lie inside each other: the last one that began is the first to end."""

    def began(self, phase: Phase) -> None:
        """A phase began."""

    def advanced(self, phase: Phase) -> None:
        """A phase has done more of its steps."""

    def ended(self, phase: Phase) -> None:
        """A phase ended, perhaps by an error."""

    def explained(self, name: str, reason: str) -> None:
        """A choice was made that decides how fast the work is."""

    def said(self, text: str) -> None:
        """There is something to know at once. This may come in the midst of any other call."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def watcher() -> Watcher | None:
    """Return who is told of what goes on here."""
    return _watcher.get()


@contextlib.contextmanager
def watched_by(told: Watcher) -> Iterator[None]:
    """Tell a watcher of everything that this thread does in the block."""
    before = _watcher.set(told)
    try:
        yield
    finally:
        _watcher.reset(before)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Tell nobody of what this thread does in the block: it is timed, or repeated many times."""
    before = _watcher.set(None)
    try:
        yield
    finally:
        _watcher.reset(before)


@contextlib.contextmanager
def phase(name: str, total: int | None = None, unit: str = "", *, by_text: bool = False) -> Iterator[Phase]:
    """Tell that the block, or the decorated function, takes time."""
    now, told = Phase(name, total, unit, by_text), watcher()
    if told is None:
        yield now
        return
    told.began(now)
    try:
        yield now
    finally:
        told.ended(now)


def explain(name: str, reason: str) -> None:
    """Tell of a choice that decides how fast the work is, such as the attention backend, and why it fell."""
    if (told := watcher()) is not None:
        told.explained(name, reason)


def say(text: str) -> None:
    """Tell something that is to be known at once, such as that a signal was heard."""
    if (told := watcher()) is not None:
        told.said(text)
