"""A signal asks a run to stop; it stops at the next safe point and saves first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from modernbert.activity import say
from modernbert.errors import Interrupted
from modernbert.signals import Ended, on_signals


class StopRequest:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def request(self, number: int) -> None:
        """Remember a first signal, and say so. Raises Ended at a second one: its sender does not wait."""
        if self.signal_number is not None:
            raise Ended(number)
        self.signal_number = number
        heard = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        say(f"{heard}: stopping after this step, and saving. A second {heard} quits without saving.")

    def raise_if_requested(self) -> None:
        """Raise Interrupted when a signal has come. Call this only where the state is consistent."""
        if self.signal_number is not None:
            name = signal.Signals(self.signal_number).name
            raise Interrupted(self.signal_number, f"stopped by {name}")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch SIGINT, SIGTERM and SIGHUP while the block runs; a second one acts at once."""
    stop = StopRequest()
    with on_signals(stop.request):
        yield stop
