"""What the processes of one training send each other, over torch's own `distributed`.

A process that is alone sends nothing: each function returns what it was given.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from modernbert.errors import ProcessLost
from modernbert.heartbeat import Heartbeat, key
from modernbert.memory import is_out_of_memory
from modernbert.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

T = TypeVar("T")
_alone: ContextVar[bool] = ContextVar("alone", default=False)
# How long all wait for the last one to start; and for each other afterwards: while the first one prepares,
# saves and scores, the others have nothing to do.
JOINING, WAITING = timedelta(minutes=10), timedelta(days=2)
# What a process knows of another one whose connection is closed.
ENDED = "another process of this training has ended"
# Gradients are sent in messages of about this many numbers: a message for each tensor would mostly wait.
NUMBERS_AT_ONCE = 2**24


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


def join(ranks: Ranks, store: Store, end: Callable[[int], None] = lambda rank: None) -> None:
    """Meet the other processes.

    Args:
        ranks: which of them this one is.
        store: where they meet.
        end: ends a process, by its number, that has fallen silent; called from a thread.

    Raises:
        ProcessLost: one of them does not come.
        BadOption: the time after which a silent process is given up is none.
    """
    global _connection
    here = [key(rank) for rank in range(ranks.size)]
    with connected(f"not all of {ranks.size} processes came within {JOINING.seconds // 60} minutes"):
        store.set(here[ranks.rank], "0")
        store.wait(here, JOINING)
        if torch.cuda.is_available():
            torch.cuda.set_device(ranks.local % torch.cuda.device_count())
        before = _open_sockets()
        distributed.init_process_group(
            backend(), store=store, rank=ranks.rank, world_size=ranks.size, timeout=WAITING
        )
        carrying = _open_sockets()
    own = _Connection([_copy(carrying[inode]) for inode in carrying.keys() - before.keys()])
    _connection = own
    own.heartbeat = Heartbeat(ranks, store, lambda gone, seconds: _cut(own, ranks, gone, seconds, end))


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


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work in the block as one process does, while the others wait: what the first one does by itself."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def count() -> int:
    """Return how many processes share the work."""
    return distributed.get_world_size() if are_connected() and not _alone.get() else 1


def number() -> int:
    """Return which of them this one is, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def are_connected() -> bool:
    """Have the processes met?"""
    return distributed.is_available() and distributed.is_initialized()  # some builds of torch lack it


def leads() -> bool:
    """Is this the first process, which alone writes?"""
    return not are_connected() or distributed.get_rank() == 0


def first_makes(make: Callable[[], T]) -> T:
    """Return what the first process makes; the others wait for it."""
    if count() == 1:
        return make()
    made = [make() if leads() else None]
    with connected():
        distributed.broadcast_object_list(made, src=0)
    return made[0]  # type: ignore[return-value]


def all_say(said: T) -> list[T]:
    """Return what each process says, in their order. None goes on before all have spoken."""
    if count() == 1:
        return [said]
    heard: list[Any] = [None] * count()
    with connected():
        distributed.all_gather_object(heard, said)
    return heard


def own_share(parts: Iterable[T]) -> Iterator[T]:
    """Yield those parts of an evaluation that this process runs."""
    return itertools.islice(parts, number(), None, count())


def put_together(found: Mapping[int, T]) -> dict[int, T]:
    """Return what all processes found, each of its own share, by the numbers of the texts."""
    return {text: value for own in all_say(found) for text, value in own.items()}


def copy_first(tensors: Sequence[torch.Tensor]) -> None:
    """Give every process the first one's numbers, in place."""
    with connected():
        for tensor in tensors if count() > 1 else ():
            distributed.broadcast(tensor, src=0)


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Add up, over the processes, tensors of one type and device; each gets the sums, in place."""
    for some in _messages(tensors) if count() > 1 else ():
        flat = torch.cat([tensor.reshape(-1) for tensor in some])
        with connected():
            distributed.all_reduce(flat)
        for tensor, sums in zip(some, torch.split(flat, [tensor.numel() for tensor in some]), strict=True):
            tensor.copy_(sums.view_as(tensor))


def _messages(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    some: list[torch.Tensor] = []
    for tensor in tensors:
        some.append(tensor)
        if sum(one.numel() for one in some) >= NUMBERS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def gather_rows(own_ND: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Return the rows of all processes, in their order, without a graph.

    Args:
        own_ND: this process's rows, shape (N, D).
        counts: rows of each process.
    """
    if count() == 1:
        return own_ND
    longest = max(counts)
    padded = own_ND.new_zeros(longest, own_ND.shape[1])
    padded[: len(own_ND)] = own_ND
    parts = [torch.empty_like(padded) for _ in counts]
    with connected():
        distributed.all_gather(parts, padded)
    return torch.cat([part[:rows] for part, rows in zip(parts, counts, strict=True)])


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Raise torch's OutOfMemoryError in every process when memory runs out in one of them in the block."""
    own: RuntimeError | None = None
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        own = error
    if any(all_say(own is not None)):
        raise own or torch.OutOfMemoryError("in another process")


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
