"""Which processes of a training have fallen silent: stopped, or on a machine that is frozen or out of reach.

A process that ends closes its connections, and the others see that at once. One that is stopped keeps them
open. So each process writes a number, its heartbeat, into the store in which all met, every few seconds and
from a thread: the main thread may compute, save or wait for as long as it likes. What this does not show is a
process whose main thread waits for ever while its other threads go on.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from modernbert.errors import BadOption
from modernbert.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

# Seconds between two heartbeats; and without one, after which a process is given up.
INTERVAL, TIMEOUT = 2.0, 20.0
VARIABLE = "MBERT_PROCESS_TIMEOUT"


def process_timeout() -> float:
    """Return the seconds that a process may be silent: 20, or `MBERT_PROCESS_TIMEOUT` (`inf`: for ever).

    Raises:
        BadOption: the variable is no number above 0.
    """
    named = os.environ.get(VARIABLE) or str(TIMEOUT)
    with contextlib.suppress(ValueError):
        if (seconds := float(named)) > 0:
            return seconds
    raise BadOption(
        f"{VARIABLE} is '{named}', which is no number of seconds above 0",
        fix="Use a number such as 60, or inf to wait for ever, as for a debugger.",
    )


def key(rank: int) -> str:
    """Return under which name a process's heartbeat is in the store."""
    return f"alive/{rank}"


class Heartbeat:
    """The heartbeats of all processes, as one of them hears them."""

    def __init__(self, ranks: Ranks, store: Store, silent: Callable[[list[int], float], None]) -> None:
        """Begin to write and to listen. Every process has written its first heartbeat.

        Args:
            ranks: which process this is.
            store: where heartbeats are. A copy of it is used: a store answers one thread at a time.
            silent: called once, from a thread, with the numbers of those that fell silent and the seconds.

        Raises:
            BadOption: as `process_timeout`.
        """
        self.timeout = process_timeout()
        self.interval = min(INTERVAL, self.timeout / 4)
        self.ranks, self.silent = ranks, silent
        self.store: Store = store.clone()  # type: ignore[attr-defined]
        self.heard = [b"0"] * ranks.size
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._listen)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; one that a store keeps waiting is left behind."""
        self.over.set()
        for thread in self.threads:
            thread.join(self.interval)

    def _write(self) -> None:
        """Write this process's heartbeat and read the others'. The store may never answer."""
        keys = [key(rank) for rank in range(self.ranks.size)]
        with contextlib.suppress(RuntimeError):  # the store's host is gone: then nobody is heard
            for number in itertools.count(1):
                self.store.set(key(self.ranks.rank), str(number))
                self.heard = self.store.multi_get(keys)
                if self.over.wait(self.interval):
                    return

    def _listen(self) -> None:
        """Count how long each process has been silent, in this thread's own turns.

        When this process was stopped itself, or its machine slept, there were no turns, and the others have
        as long as ever to be heard again.
        """
        before, turns = self.heard, [0] * self.ranks.size
        while not self.over.wait(self.interval):
            now = self.heard
            same = [one == other for one, other in zip(now, before, strict=True)]
            turns = [(count + 1) * unchanged for count, unchanged in zip(turns, same, strict=True)]
            before = now
            gone = [rank for rank, count in enumerate(turns) if count * self.interval >= self.timeout]
            if gone:
                self.silent(gone, self.timeout)
                return
