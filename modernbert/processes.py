"""What the processes of one training send each other, over torch's own `distributed`.

A process that is alone sends nothing: each function returns what it was given.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import distributed

from modernbert.meeting import are_connected, connected
from modernbert.memory import is_out_of_memory

T = TypeVar("T")
_alone: ContextVar[bool] = ContextVar("alone", default=False)
# Gradients are sent in messages of about this many numbers: a message for each tensor would mostly wait.
NUMBERS_AT_ONCE = 2**24


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
