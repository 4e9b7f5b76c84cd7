"""Signals become an exception in the main thread, once, and never where they are ignored."""

from __future__ import annotations

import signal
import threading
from unittest.mock import Mock

import pytest

from modernbert import signals
from modernbert.activity import watched_by
from modernbert.errors import Interrupted
from modernbert.signals import SIGNALS, Ended, on_signals
from modernbert.training.signals import stop_on_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_block_and_cleans_up(number):
    before, cleaned = signal.getsignal(number), []
    with pytest.raises(Ended) as ended, on_signals():
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(True)
    assert (ended.value.code, ended.value.what) == (128 + number, f"stopped by {number.name}")
    assert cleaned and signal.getsignal(number) is before


def test_signals_that_come_together_are_one(monkeypatch):
    seen: list[int] = []
    monkeypatch.setattr(signals, "TOGETHER_SECONDS", 1000.0)
    with on_signals(seen.append):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(number)
        assert seen == [signal.SIGTERM]
        monkeypatch.setattr(signals, "TOGETHER_SECONDS", 0.0)
        signal.raise_signal(signal.SIGINT)
    assert seen == [signal.SIGTERM, signal.SIGINT]


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_signals():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_leaves_signals_alone():
    before, found = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_run_says_at_once_that_it_heard(number, name):
    heard: list[str] = []
    listener = Mock(said=heard.append)
    with watched_by(listener), stop_on_signals():
        signal.raise_signal(number)
        assert heard == [
            f"{name}: stopping after this step, and saving. A second {name} quits without saving."
        ]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_stops_at_its_safe_point_and_at_once_when_asked_again(number, monkeypatch):
    monkeypatch.setattr(signals, "TOGETHER_SECONDS", 0.0)
    with stop_on_signals() as stop:
        stop.raise_if_requested()
        signal.raise_signal(number)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}") as interrupted:
            stop.raise_if_requested()
        assert interrupted.value.exit_code == 128 + number
        with pytest.raises(Ended):
            signal.raise_signal(number)
