"""What a child process does, shown by its parent: each phase is sent as a message, and told again there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from modernbert.activity import Phase, explain, watcher

# Between two messages of how far a phase is.
SECONDS_BETWEEN_MESSAGES = 0.1


@dataclass(frozen=True)
class Told:
    """What a watcher was told of a phase; `depth` phases are around it."""

    event: str
    depth: int
    phase: Phase


@dataclass(frozen=True)
class Explained:
    """A choice, and why it fell."""

    name: str
    reason: str


class Sender:
    """The watcher in the child."""

    def __init__(self, send: Callable[[Told | Explained], None]) -> None:
        self.send = send
        self.phases: list[Phase] = []
        self.sent_at = 0.0

    def began(self, phase: Phase) -> None:
        """Send it."""
        self.phases.append(phase)
        self._send("began", phase)

    def advanced(self, phase: Phase) -> None:
        """Send it, unless one was sent just now."""
        is_last = phase.done == phase.total
        if is_last or time.monotonic() - self.sent_at >= SECONDS_BETWEEN_MESSAGES:
            self.sent_at = time.monotonic()
            self._send("advanced", phase)

    def ended(self, phase: Phase) -> None:
        """Send it."""
        self._send("ended", phase)
        self.phases.remove(phase)

    def explained(self, name: str, reason: str) -> None:
        """Send it."""
        self.send(Explained(name, reason))

    def said(self, text: str) -> None:
        """Send nothing: the parent hears the same signals, and says so itself."""

    def _send(self, event: str, phase: Phase) -> None:
        self.send(Told(event, self.phases.index(phase), phase))


class Receiver:
    """Tells the parent's watcher what the child sent."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []

    def receive(self, message: Told | Explained) -> None:
        """Tell it again."""
        if isinstance(message, Explained):
            return explain(message.name, message.reason)
        if message.event == "began":
            self.phases.append(message.phase)
            if (told := watcher()) is not None:
                told.began(message.phase)
        elif message.event == "advanced":
            self.phases[message.depth].reach(message.phase.done)
        else:
            self._end(message.depth)

    def over(self) -> None:
        """End what a killed child had begun."""
        self._end(0)

    def _end(self, depth: int) -> None:
        while len(self.phases) > depth:
            ended = self.phases.pop()
            if (told := watcher()) is not None:
                told.ended(ended)
