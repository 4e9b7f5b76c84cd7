"""Several processes for a training: those that a launcher started, or some started here.

`mbert ... --processes N` is the first process itself and starts the others, each with its share of the CPU's
threads. They meet in a file, and end with the first one: their stdin is closed when it ends, however it does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import distributed

from modernbert import meeting
from modernbert.errors import BadOption, MbertError, ProcessLost
from modernbert.finetuning.followers import dismiss_followers, follow
from modernbert.ranks import Ranks, find_ranks
from modernbert.signals import Ended, on_signals
from modernbert.wording import counted

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

# -P: a file in the working folder that is called like a module is no module.
FOLLOWER = [sys.executable, "-P", "-c", f"from {__name__} import work; work()"]
# Where a process that is started here finds the file in which all meet.
MEETING = "MBERT_MEETING"
# How long an ended process may take to be gone, before it is killed.
GRACE_SECONDS = 10.0


def require_possible(asked: int, ranks: Ranks) -> None:
    """Raise BadOption where `--processes` says something else than the launcher, or asks for too much."""
    if ranks.size > 1:
        if asked not in (1, ranks.size):
            raise BadOption(
                f"--processes {asked}, and {ranks.launcher} started {ranks.size}",
                fix="Leave --processes out: it is for one machine, without a launcher.",
            )
        return
    if asked > 1 and not distributed.is_available():
        raise BadOption("this build of torch has no `torch.distributed`: leave --processes out")
    if torch.cuda.is_available() and asked > torch.cuda.device_count():
        there = counted(torch.cuda.device_count(), "GPU")
        raise BadOption(f"--processes {asked}, and there is {there}: each process needs its own")


@contextlib.contextmanager
def led(asked: int) -> Iterator[None]:
    """Lead the trainings of the block, as the first of several processes.

    Args:
        asked: how many there are to be on this machine; 1 for this one, or for those of a launcher.

    Raises:
        BadOption: as `require_possible`.
        ProcessLost: one of the others has ended.
    """
    ranks = find_ranks(os.environ)
    require_possible(asked, ranks)
    if ranks.size > 1:
        with _joined(ranks, _meeting_of(ranks)):
            yield
    elif asked > 1:
        with _started(asked) as (first, store, others), _joined(first, store, others):
            yield
    else:
        yield


def follow_launched() -> int:
    """Follow the first process, in one that a launcher started; return the exit code."""
    ranks = find_ranks(os.environ)
    return _follow(ranks, _meeting_of(ranks))


def _meeting_of(ranks: Ranks) -> Store:
    """Return the store in which the processes of a launcher meet: torch's own, from the environment."""
    from torch.distributed.rendezvous import rendezvous  # which some builds of torch lack

    os.environ |= ranks.environment()  # srun does not speak torch's language
    try:
        store = next(rendezvous("env://", timeout=meeting.JOINING))[0]
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        fix = "MASTER_ADDR and MASTER_PORT must name the first process's host and a free port of it."
        raise ProcessLost(f"the first process cannot be reached ({reason})", fix=fix) from None
    return distributed.PrefixStore("mbert", store)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _joined(ranks: Ranks, store: Store, others: _Others | None = None) -> Iterator[None]:
    """Be connected as the first process; tell the others when nothing is left to train."""
    others = others or _Others()
    try:
        meeting.join(ranks, store, others.end, others.one_has_ended)
        yield
        with contextlib.suppress(ProcessLost):  # all is done: nobody misses it
            dismiss_followers()
    except ProcessLost as lost:
        lost.what = lost.what.replace(meeting.ENDED, _last_words(ranks, store))
        raise
    finally:
        meeting.leave()


def _last_words(ranks: Ranks, store: Store) -> str:
    """Return what the process that ended first left to be said."""
    with contextlib.suppress(RuntimeError):  # its host may be gone
        for rank in range(1, ranks.size):
            if store.check([f"end/{rank}"]):
                said: str = store.get(f"end/{rank}").decode()
                return f"process {rank + 1} of {ranks.size}: {said}"
    return meeting.ENDED


@dataclass(frozen=True)
class _Others:
    """The processes that were started here; none where a launcher did that."""

    children: Sequence[subprocess.Popen[bytes]] = ()

    def end(self, rank: int) -> None:
        """Kill one of them."""
        if self.children:
            self.children[rank - 1].kill()

    def one_has_ended(self) -> bool:
        """Has one of them ended, however it did?"""
        return any(child.poll() is not None for child in self.children)


@contextlib.contextmanager
def _started(size: int) -> Iterator[tuple[Ranks, Store, _Others]]:
    """Start the other processes; however the block ends, they end too, and are waited for.

    The block gets which process this one is, where all meet, and the others.
    """
    first = Ranks(0, size, 0, size, "--processes")
    before = dict(os.environ)
    threads = before.get("OMP_NUM_THREADS") or str(max(1, torch.get_num_threads() // size))
    with tempfile.TemporaryDirectory(prefix="mbert-") as folder:
        path = Path(folder) / "meeting"
        shared = {"OMP_NUM_THREADS": threads, MEETING: str(path)}
        os.environ |= shared | first.environment()
        torch.set_num_threads(int(threads))
        children = [_start(Ranks(rank, size, rank, size, "--processes")) for rank in range(1, size)]
        try:
            yield first, _file_store(path, size), _Others(children)
        except ProcessLost as lost:
            lost.what = lost.what.replace(meeting.ENDED, _how_they_ended(children))
            raise
        finally:
            _end(children)
            os.environ.clear()
            os.environ |= before


def _file_store(path: Path, size: int) -> Store:
    return distributed.FileStore(str(path), size)  # type: ignore[attr-defined]


def _start(ranks: Ranks) -> subprocess.Popen[bytes]:
    environment = dict(os.environ) | ranks.environment()
    return subprocess.Popen(FOLLOWER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)


def _how_they_ended(children: list[subprocess.Popen[bytes]]) -> str:
    """Return which process a signal ended, if one was."""
    limit = time.monotonic() + GRACE_SECONDS / 2
    while all(child.poll() is None for child in children) and time.monotonic() < limit:
        time.sleep(0.01)
    for number, child in enumerate(children, start=2):
        if child.returncode is not None and child.returncode < 0:
            name = signal.Signals(-child.returncode).name
            return f"process {number} of {len(children) + 1} was ended by {name}"
    return meeting.ENDED


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    limit = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def work() -> None:
    """Be one of the other processes that were started here."""
    ranks = find_ranks(os.environ)
    threading.Thread(target=_end_with_first, daemon=True).start()
    sys.exit(_follow(ranks, _file_store(Path(os.environ[MEETING]), ranks.size)))


def _end_with_first() -> None:
    """Wait until stdin is closed, which the system does when the first process ends; then end soon."""
    while os.read(0, 1):
        pass
    time.sleep(GRACE_SECONDS / 2)
    os._exit(1)


def _follow(ranks: Ranks, store: Store) -> int:
    """Follow the first process; leave it a word if this one fails. Return the exit code."""
    try:
        with on_signals():
            meeting.join(ranks, store)
            follow()
    except ProcessLost as lost:  # the first process says so
        if silent := meeting.silence():
            return _leave_word(ranks, store, silent, lost.exit_code)
        return lost.exit_code
    except Ended as ended:
        return _leave_word(ranks, store, ended.what, ended.number + 128)
    except MbertError as error:
        return _leave_word(ranks, store, str(error), error.exit_code)
    except Exception as error:
        traceback.print_exc()
        return _leave_word(ranks, store, f"{type(error).__name__}: {error}", 1)
    finally:
        meeting.leave()
    return 0


def _leave_word(ranks: Ranks, store: Store, said: str, code: int) -> int:
    with contextlib.suppress(RuntimeError):
        store.set_timeout(timedelta(seconds=GRACE_SECONDS))
        store.set(f"end/{ranks.rank}", said)
    return code
