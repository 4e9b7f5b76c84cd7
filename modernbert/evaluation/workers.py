"""Several processes of this machine that share the batches of an encoding, each with the model and a GPU.

The first process reads, tokenises and writes, and loads no model. It hands out whole batches, to whichever
process is free, and takes the outputs in the order of the batches. A batch and its output are a few hundred
KB, so they travel through the pipes of `concurrent.futures`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from functools import cache, partial
from multiprocessing import connection
from typing import Any, TypeVar

import numpy as np
import torch

from modernbert.data.tokens import PairTokens, Tokens
from modernbert.errors import BadOption, WorkerLost
from modernbert.evaluation.runner import Begun, Here, Runner, batches_of
from modernbert.model.accelerator import make_accelerator
from modernbert.model.backends import ChosenBackend
from modernbert.model.device import Machine
from modernbert.model.encoder import pads
from modernbert.model.exported import ready_network
from modernbert.model.locate import ModelSource
from modernbert.ranks import find_ranks
from modernbert.wording import counted

T = TypeVar("T")
Ready = tuple[Here, ChosenBackend]
# How long a process may take to be gone after it was told to end.
GRACE_SECONDS = 10.0


@contextlib.contextmanager
def shared_out(size: int) -> Iterator[None]:
    """Let each model that is loaded in the block run in `size` processes; they end with the block.

    One process is this one, as without the block.
    """
    with contextlib.ExitStack() as pools:
        token = _sharing.set((size, pools))
        try:
            yield
        finally:
            _sharing.reset(token)


_sharing: ContextVar[tuple[int, contextlib.ExitStack] | None] = ContextVar("sharing", default=None)


def ready_runner(
    source: ModelSource, machine: Machine, load: Callable[[], Any]
) -> tuple[Runner, ChosenBackend]:
    """Return what runs a model for inference, here or as `shared_out` says, and its attention.

    Args:
        source: the model.
        machine: what it is computed on.
        load: makes the packed network around a model of transformers; not called for an export. It can be
            pickled.

    Raises:
        BadOption: the processes cannot be had.
        MbertError: as `load`, in whichever process.
    """
    size, pools = _sharing.get() or (1, None)
    if pools is None or size == 1:
        return _ready_here(source, machine, load)
    require_possible(size, machine)
    workers = Workers(size, machine, partial(_ready_here, source, machine, load))
    pools.enter_context(workers)
    return workers, workers.attention


def _ready_here(source: ModelSource, machine: Machine, load: Callable[[], Any]) -> Ready:
    accelerator = make_accelerator(machine)
    network, attention = ready_network(source, machine, load)
    return Here(network.to(accelerator.device), accelerator, machine.inference_tokens), attention


def require_possible(size: int, machine: Machine) -> None:
    """Raise BadOption where `size` processes cannot share the work."""
    if find_ranks(os.environ).size > 1:
        raise BadOption("a launcher started several processes, and only trainings know what to do with them",
                        fix="Start this command by itself: --processes starts the others.")  # fmt: skip
    if machine.device == "mps":
        raise BadOption(f"--processes {size}: Apple's GPU is for one process", fix="Leave it out.")
    if machine.device == "cuda" and size > torch.cuda.device_count():
        there = counted(torch.cuda.device_count(), "GPU")
        raise BadOption(f"--processes {size}, and there is {there}: each process needs its own")


class Workers:
    """Processes that hold a model and run batches."""

    def __init__(self, size: int, machine: Machine, make: Callable[[], Ready]) -> None:
        """Start them, each with its share of the CPU's threads, and wait until the first has the model.

        Raises:
            WorkerLost: one of them has ended.
            MbertError: as `make`, which each of them calls.
        """
        self.size, self.machine = size, machine
        threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, torch.get_num_threads() // size))
        context = multiprocessing.get_context("spawn")
        numbers = context.SimpleQueue()
        for number in range(size):
            numbers.put(number)
        self._pool = ProcessPoolExecutor(size, context, _start, (make, threads, numbers))
        others = set(multiprocessing.active_children())
        with _interrupts_blocked():
            about = [self._pool.submit(_about) for _ in range(size)]
        started = (child for child in multiprocessing.active_children() if child not in others)
        self._children = sorted(started, key=lambda child: child.pid or 0)
        try:
            self.attention, self._padded = self._result(about[0])
        except BaseException:
            self._end()
            raise

    def begin(self, tokens: Tokens | PairTokens) -> Begun:
        """Cut texts into batches, and hand them out."""
        parts = list(batches_of(tokens, self.machine.inference_tokens, padded=self._padded))
        given = [self._given(tokens.take(part)) for part in parts]
        return Begun(tokens, parts, map(self._result, given))

    def _given(self, tokens: Tokens | PairTokens) -> Future[np.ndarray]:
        try:
            return self._pool.submit(_run, tokens)
        except BrokenProcessPool:
            raise self._lost() from None

    def _result(self, given: Future[T]) -> T:
        try:
            return given.result()
        except BrokenProcessPool:
            raise self._lost() from None

    def _lost(self) -> WorkerLost:
        """Return the error that says how one has ended; the pool then ends the others with SIGTERM."""
        fix = "If there was no memory left, use fewer --processes. Then run the same command again."
        ended = self._exit_codes()
        if not ended or len(self._children) < self.size:  # one was gone before they were counted
            return WorkerLost(f"one of {self.size} processes has ended", fix=fix)
        _, number = min((code == -signal.SIGTERM, number) for number, code in ended.items())
        code = ended[number]
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return WorkerLost(f"process {number + 1} of {self.size} {how}", fix=fix)

    def _exit_codes(self) -> dict[int, int]:
        """Return the exit codes of those that have ended, by their numbers, as soon as there is one.

        A process whose pipe is closed is not gone yet; and while the pool's thread asks for its exit code,
        nobody else gets it.
        """
        limit = time.monotonic() + GRACE_SECONDS
        while True:
            codes = {number: child.exitcode for number, child in enumerate(self._children)}
            ended = {number: code for number, code in codes.items() if code is not None}
            if ended or time.monotonic() > limit:
                return ended
            time.sleep(0.01)

    def __enter__(self) -> Workers:
        """Be closed at the end of a block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the processes end; after an error at once, whatever they do."""
        if kind is None:
            self._pool.shutdown()
        else:
            self._end()

    def _end(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join(GRACE_SECONDS)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes that are started in the block never hear of Ctrl-C: the first one ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What follows runs in the processes.

_make: Callable[[], Ready]


def _start(make: Callable[[], Ready], threads: int, numbers: Any) -> None:
    """Take a number, and the GPU of this number; the model is loaded when it is needed first."""
    global _make
    threading.Thread(target=_end_with_first, daemon=True).start()
    _make = make
    torch.set_num_threads(threads)
    number = numbers.get()
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())


def _end_with_first() -> None:
    """Wait until the first process ends, however it does."""
    first = multiprocessing.parent_process()
    assert first is not None
    connection.wait([first.sentinel])
    os._exit(1)


@cache
def _ready() -> Ready:
    return _make()


def _about() -> tuple[ChosenBackend, bool]:
    """Return the model's attention, and whether it pads its batches."""
    here, attention = _ready()
    return attention, pads(here.network)


def _run(tokens: Tokens | PairTokens) -> np.ndarray:
    """Return the output of one batch, which is all of `tokens`."""
    return _ready()[0].run(tokens, range(len(tokens)))
