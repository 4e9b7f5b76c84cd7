"""SIGINT, SIGTERM and SIGHUP end a command as an error would: whatever is open cleans up after itself."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Supervisors, and shells that are closed, send more than one signal: those that come together are one.
TOGETHER_SECONDS = 1.0


class Ended(SystemExit):
    """A signal ended the command: exit code 128 + signal number, with a sentence and no traceback."""

    def __init__(self, number: int, what: str = "", *, fix: str | None = None) -> None:
        super().__init__(128 + number)
        self.number = number
        self.what = what or f"stopped by {signal.Signals(number).name}"
        self.fix = fix


def end(number: int) -> None:
    """Raise Ended."""
    raise Ended(number)


@contextlib.contextmanager
def on_signals(act: Callable[[int], None] = end) -> Iterator[None]:
    """Call `act` in the main thread with the number of each signal that comes while the block runs.

    A signal that is ignored stays ignored, such as SIGHUP under `nohup`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -TOGETHER_SECONDS

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= TOGETHER_SECONDS:
            act(number)

    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    caught = [number for number, handler in earlier.items() if handler is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, earlier[number])
