"""The queue: what runs together, in which order, and what does not run at all."""

from __future__ import annotations

import threading
import time

import pytest

from modernbert.serving.batcher import Batcher, Closed, QueueFull, TooLate

SOON = 60.0


class Gate:
    """Something to run that waits until it is opened, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list] = []
        self.begun, self.open = threading.Event(), threading.Event()

    def run(self, texts):
        self.batches.append(texts)
        self.begun.set()
        assert self.open.wait(SOON)
        if "bad" in texts:
            raise ValueError("bad")
        return [text.upper() for text in texts]


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def batcher(gate):
    found = Batcher(gate.run, max_tokens=10, max_waiting=40, wait_seconds=0)
    yield found
    gate.open.set()
    found.close()


def submit(batcher, *texts, tokens=1, seconds=SOON):
    return batcher.submit(texts, [tokens] * len(texts), time.monotonic() + seconds)


def held(batcher, gate):
    """Keep the thread busy, so that what comes next waits."""
    first = submit(batcher, "first")
    assert gate.begun.wait(SOON)
    return first


def test_requests_that_wait_run_together(batcher, gate):
    first = held(batcher, gate)
    waiting = [submit(batcher, f"a{i}", f"b{i}", tokens=2) for i in range(4)]
    gate.open.set()
    assert first.result(SOON) == ["FIRST"]
    assert [future.result(SOON) for future in waiting] == [[f"A{i}", f"B{i}"] for i in range(4)]
    # 10 tokens of 2 each are five texts: the third request is divided, and its rest comes last.
    assert gate.batches == [["first"], ["a0", "b0", "a1", "b1", "a2"], ["a3", "b3", "b2"]]


def test_a_large_request_lets_small_ones_pass(batcher, gate):
    held(batcher, gate)
    large = submit(batcher, *(f"l{i}" for i in range(25)))
    small = submit(batcher, "small")
    gate.open.set()
    assert small.result(SOON) == ["SMALL"]
    assert large.result(SOON) == [f"L{i}" for i in range(25)]
    assert "small" in gate.batches[2], "after one batch of the large one"


def test_a_text_longer_than_a_batch_runs_alone(batcher, gate):
    held(batcher, gate)
    futures = [submit(batcher, "a"), submit(batcher, "long", tokens=30), submit(batcher, "b")]
    gate.open.set()
    assert [future.result(SOON) for future in futures] == [["A"], ["LONG"], ["B"]]
    assert gate.batches[1:] == [["a"], ["long"], ["b"]]


def test_a_full_queue_refuses_and_says_so_before(batcher, gate):
    held(batcher, gate)
    waiting = submit(batcher, "a", tokens=40)
    assert batcher.is_full
    with pytest.raises(QueueFull):
        submit(batcher, "b")
    gate.open.set()
    assert waiting.result(SOON) == ["A"]
    assert submit(batcher, "b").result(SOON) == ["B"], "there is room again"


def test_what_nobody_waits_for_does_not_run(batcher, gate):
    held(batcher, gate)
    late, given_up, wanted = (
        submit(batcher, "late", seconds=0),
        submit(batcher, "over"),
        submit(batcher, "yes"),
    )
    given_up.cancel()
    gate.open.set()
    assert wanted.result(SOON) == ["YES"]
    with pytest.raises(TooLate):
        late.result(SOON)
    assert gate.batches == [["first"], ["yes"]]


def test_one_bad_request_spoils_no_other(batcher, gate):
    held(batcher, gate)
    futures = [submit(batcher, "a"), submit(batcher, "bad"), submit(batcher, "b")]
    gate.open.set()
    assert futures[0].result(SOON) == ["A"]
    assert futures[2].result(SOON) == ["B"]
    with pytest.raises(ValueError, match="bad"):
        futures[1].result(SOON)


def test_a_request_that_comes_alone_does_not_wait(gate):
    gate.open.set()
    batcher = Batcher(gate.run, max_tokens=10, max_waiting=40, wait_seconds=SOON)
    assert submit(batcher, "full", tokens=10).result(SOON / 2) == ["FULL"], "nothing fits beside it"
    assert submit(batcher, "a").result(SOON / 2) == ["A"]
    assert submit(batcher, "b").result(SOON / 2) == ["B"]
    batcher.close()


def test_after_a_shared_batch_the_first_request_waits_for_more(gate):
    batcher = Batcher(gate.run, max_tokens=10, max_waiting=40, wait_seconds=0.5)
    held(batcher, gate)
    shared = [submit(batcher, name) for name in ("x", "y")]
    gate.open.set()
    assert [future.result(SOON) for future in shared] == [["X"], ["Y"]]
    futures = [submit(batcher, "a"), submit(batcher, "b"), submit(batcher, "c", tokens=8)]
    started = time.monotonic()
    assert [future.result(SOON) for future in futures] == [["A"], ["B"], ["C"]]
    assert time.monotonic() - started < 0.4, "a full batch does not wait"
    assert gate.batches == [["first"], ["x", "y"], ["a", "b", "c"]]
    batcher.close()


def test_closing_answers_what_waits_and_takes_no_more(batcher, gate):
    held(batcher, gate)
    waiting = [submit(batcher, f"t{i}", tokens=9) for i in range(3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while not batcher.closing:
        time.sleep(0.001)
    with pytest.raises(Closed):
        submit(batcher, "new")
    gate.open.set()
    closing.join(SOON)
    assert [future.result(0) for future in waiting] == [["T0"], ["T1"], ["T2"]]
