"""How the processes of one training meet, how one notices that another is lost, and how they part.

Messages go over torch's own `distributed`; what they say is in `processes`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed

from modernbert.errors import ProcessLost
from modernbert.heartbeat import Heartbeat, key
from modernbert.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

# How long all wait for the last one to start; for connections to it, once it has; and for each other
# afterwards: while the first one prepares, saves and scores, the others have nothing to do.
JOINING, CONNECTING, WAITING = timedelta(minutes=10), timedelta(seconds=20), timedelta(days=2)
# How often a process looks whether the others have started.
LOOKING_SECONDS = 0.05
# What a process knows of another one whose connection is closed.
ENDED = "another process of this training has ended"


@dataclass
class _Connection:
    """What a process that has met the others holds.

    Attributes:
        sockets: what carries messages between CPUs, to be cut when a process falls silent.
        heartbeat: whether the others are heard.
        silence: who fell silent.
    """

    sockets: list[socket.socket] = field(default_factory=list)
    heartbeat: Heartbeat | None = None
    silence: str = ""


_connection = _Connection()


def join(
    ranks: Ranks,
    store: Store,
    end: Callable[[int], None] = lambda rank: None,
    one_has_ended: Callable[[], bool] = lambda: False,
) -> None:
    """Meet the other processes.

    Args:
        ranks: which of them this one is.
        store: where they meet.
        end: ends a process, by its number, that has fallen silent; called from a thread.
        one_has_ended: is it known that one of them will not come?

    Raises:
        ProcessLost: one of them does not come.
        BadOption: the time after which a silent process is given up is none.
    """
    global _connection
    from torch.distributed.distributed_c10d import _set_pg_timeout  # which some builds of torch lack

    with connected():
        store.set(key(ranks.rank), "0")
        _wait_for_all(ranks, store, one_has_ended)
        if torch.cuda.is_available():
            torch.cuda.set_device(ranks.local % torch.cuda.device_count())
        before = _open_sockets()
        distributed.init_process_group(
            backend(), store=store, rank=ranks.rank, world_size=ranks.size, timeout=CONNECTING
        )
        # Nothing public sets it apart from the time to connect, in which a process may be killed.
        _set_pg_timeout(WAITING)
        carrying = _open_sockets()
    own = _Connection([_copy(carrying[inode]) for inode in carrying.keys() - before.keys()])
    _connection = own
    own.heartbeat = Heartbeat(ranks, store, lambda gone, seconds: _cut(own, ranks, gone, seconds, end))


def _wait_for_all(ranks: Ranks, store: Store, one_has_ended: Callable[[], bool]) -> None:
    """Wait until all have said that they are there. A store's own wait hears no signal."""
    keys = [key(rank) for rank in range(ranks.size)]
    limit = time.monotonic() + JOINING.total_seconds()
    while not store.check(keys):
        if one_has_ended():
            raise ProcessLost(ENDED)
        if time.monotonic() > limit:
            raise ProcessLost(
                f"not all of {ranks.size} processes came within {JOINING.seconds // 60} minutes"
            )
        time.sleep(LOOKING_SECONDS)


def _open_sockets() -> dict[int, int]:
    """Return this process's connected sockets: the descriptor of each, by what the system calls it."""
    found = {}
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ():  # noqa: PTH112, PTH208
        with contextlib.suppress(OSError):  # it was the folder's own, or is no connected socket
            number = int(name)
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with _copy(number) as copied:
                    copied.getpeername()
                found[os.fstat(number).st_ino] = number
    return found


def _copy(number: int) -> socket.socket:
    """Return a descriptor of the same socket. Nobody else closes it, so its number stays what it is."""
    return socket.socket(fileno=os.dup(number))


def _cut(own: _Connection, ranks: Ranks, gone: list[int], seconds: float, end: Callable[[int], None]) -> None:
    """Say who fell silent, and make whoever waits for it in this process go on with an error.

    Gloo waits as long as a connection is open, and has no way to be told otherwise.
    """
    others = [rank for rank in gone if rank != ranks.rank]
    # If this one's own heartbeat is not seen either, it is the store that does not answer.
    first = others[0] if ranks.rank not in gone else 0
    own.silence = f"process {first + 1} of {ranks.size} gave no sign of life for {seconds:g} s"
    for rank in others:
        end(rank)
    for carrying in own.sockets:
        with contextlib.suppress(OSError):  # the other side is gone already
            carrying.shutdown(socket.SHUT_RDWR)
    if torch.cuda.is_available() and are_connected():
        with contextlib.suppress(RuntimeError):
            distributed.group.WORLD.abort()  # type: ignore[union-attr]


def silence() -> str:
    """Return which process has fallen silent, as a sentence says it; empty if none has."""
    return _connection.silence


def backend() -> str:
    """Return what carries messages: NCCL for what is on a GPU, Gloo for the rest."""
    gpus = torch.cuda.is_available() and distributed.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if gpus else "gloo"


def leave() -> None:
    """Close the connections; the others may have done so."""
    global _connection
    own, _connection = _connection, _Connection()
    if own.heartbeat:
        own.heartbeat.stop()
    for carrying in own.sockets:
        carrying.close()
    if are_connected():
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


def are_connected() -> bool:
    """Have the processes met?"""
    return distributed.is_available() and distributed.is_initialized()  # some builds of torch lack it


@contextlib.contextmanager
def connected(what: str = ENDED) -> Iterator[None]:
    """Turn a connection's error into ProcessLost: torch raises RuntimeError for all of them."""
    try:
        yield
    except RuntimeError:
        raise ProcessLost(silence() or what) from None


def is_closed(error: RuntimeError) -> bool:
    """Is it of a connection, when other work may have failed too?"""
    said = str(error).lower()
    return isinstance(error, distributed.DistError) or "gloo" in said or "nccl" in said
