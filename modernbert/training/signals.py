"""SIGTERM and Ctrl-C ask a run to stop; it stops at the next safe point and saves first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from modernbert.errors import Interrupted


class StopRequest:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def raise_if_requested(self) -> None:
        """Raise Interrupted when a signal has come. Call this only where the state is consistent."""
        if self.signal_number is not None:
            name = signal.Signals(self.signal_number).name
            raise Interrupted(self.signal_number, f"stopped by {name}")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM while the block runs; a second one acts at once."""
    stop = StopRequest()
    caught = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in caught}

    def remember(number: int, frame: FrameType | None) -> None:
        stop.signal_number = number
        signal.signal(number, before[signal.Signals(number)])

    for number in caught:
        signal.signal(number, remember)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
