"""Heartbeats: who is stopped falls silent, who is busy or slept does not."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import pytest
from forks import fork, status_of
from torch import distributed

from modernbert import meeting, processes
from modernbert.errors import BadOption, ProcessLost
from modernbert.heartbeat import VARIABLE, Heartbeat, key, process_timeout
from modernbert.ranks import Ranks

SECONDS = 0.6


@pytest.fixture
def store(monkeypatch):
    """Return a store that all heartbeats of a test share."""
    monkeypatch.setenv(VARIABLE, str(SECONDS))
    shared = distributed.HashStore()
    for rank in range(3):
        shared.set(key(rank), "0")
    return shared


def beat(store, rank: int, heard: list) -> Heartbeat:
    return Heartbeat(Ranks(rank, 3), store, lambda gone, seconds: heard.append(gone))


def test_who_stops_is_named_and_who_is_busy_is_not(store):
    heard: list[list[int]] = []
    every = [beat(store, rank, heard) for rank in range(3)]
    time.sleep(2 * SECONDS)  # this is the main thread, which does nothing for them
    assert not heard
    every[1].stop()
    time.sleep(2 * SECONDS)
    assert heard == [[1], [1]]
    for one in every:
        one.stop()
    assert not any(thread.is_alive() for one in every for thread in one.threads)


def test_a_store_that_does_not_answer_is_noticed(store):
    class Stuck:
        def clone(self):
            return self

        def set(self, *given):
            threading.Event().wait(3 * SECONDS)
            raise RuntimeError

    heard: list[list[int]] = []
    one = beat(Stuck(), 1, heard)
    time.sleep(2 * SECONDS)
    assert heard == [[0, 1, 2]]
    one.stop()


def test_a_process_that_slept_gives_the_others_time(store):
    """As a laptop that was closed, or Ctrl-Z: the process itself was stopped for longer than it waits."""

    def sleeper() -> None:
        heard: list[list[int]] = []
        mine, other = beat(store, 0, heard), beat(store, 1, heard)
        third = beat(store, 2, heard)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(2 * SECONDS)
        assert not heard, heard
        for one in (mine, other, third):
            one.stop()

    child = fork(sleeper)
    os.waitpid(child, os.WUNTRACED)
    time.sleep(2 * SECONDS)
    os.kill(child, signal.SIGCONT)
    assert status_of(child) == 0


def _meet(folder, number: int, work) -> None:
    ranks = Ranks(number, 2, number, 2)
    os.environ |= ranks.environment() | {"OMP_NUM_THREADS": "1", VARIABLE: "1"}
    meeting.join(ranks, distributed.FileStore(str(folder / "meeting"), 2))
    work(number)
    meeting.leave()


def test_whoever_waits_for_a_stopped_process_goes_on_with_an_error(tmp_path):
    def work(number: int) -> None:
        assert processes.all_say(number) == [0, 1]
        if number:
            os.kill(os.getpid(), signal.SIGSTOP)
        with pytest.raises(ProcessLost, match=r"^process 2 of 2 gave no sign of life for 1 s$"):
            processes.all_say(number)

    first, second = (fork(partial(_meet, tmp_path, number, work)) for number in (0, 1))
    began = time.monotonic()
    assert status_of(first) == 0
    assert time.monotonic() - began < 15
    os.kill(second, signal.SIGCONT)  # who was given up finds that out, and ends too
    assert status_of(second) != 0


def test_a_main_thread_that_computes_for_long_is_waited_for(tmp_path):
    def work(number: int) -> None:
        if number:
            limit = time.monotonic() + 2
            while time.monotonic() < limit:
                sum(range(1000))
        assert processes.all_say(number) == [0, 1]

    both = [fork(partial(_meet, tmp_path, number, work)) for number in (0, 1)]
    assert [status_of(child) for child in both] == [0, 0]


def test_the_time_is_a_number_or_for_ever(monkeypatch):
    monkeypatch.setenv(VARIABLE, "inf")
    assert process_timeout() == float("inf")
    for wrong in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(BadOption, match=f"MBERT_PROCESS_TIMEOUT is '{wrong}', which is no number"):
            process_timeout()
