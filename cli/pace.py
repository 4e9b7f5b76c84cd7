"""How long a phase will still take."""

from __future__ import annotations

import time

# Before that much was seen there is nothing to say.
LEAST_SECONDS, LEAST_STEPS = 5.0, 3


class Pace:
    """Judges the time left by the mean of all steps after the first one, whose time holds what comes before.

    Between two steps the time left runs down; once nothing is left of it, nothing is said.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] | None = None

    def reach(self, done: int, total: int | None) -> None:
        """Learn that so many steps are done; the first call tells where the count begins."""
        self.total, before = total, self.last
        if before is None or done != before[1]:
            self.last = (time.monotonic(), done)
            self.first = self.first or (before and self.last)

    def seconds_left(self) -> float | None:
        """Return the seconds left; None while that cannot be said."""
        if self.first is None or self.last is None or not self.total:
            return None
        seconds, steps = self.last[0] - self.first[0], self.last[1] - self.first[1]
        if seconds < LEAST_SECONDS or steps < LEAST_STEPS:
            return None
        left = seconds / steps * (self.total - self.last[1]) - (time.monotonic() - self.last[0])
        return left if left > 0 else None

    def left(self) -> str:
        """Return the time left, as `1:02:03 left`; empty while it cannot be said."""
        if (seconds := self.seconds_left()) is None:
            return ""
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
