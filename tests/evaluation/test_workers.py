"""Several processes run the batches of one: the same bits in the same order, or one sentence and nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from modernbert.data.tokens import TokenLengths, Tokens
from modernbert.errors import BadModel, BadOption
from modernbert.evaluation import workers
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.rerank import Reranker
from modernbert.model.device import Machine
from modernbert.model.locate import locate_model

CPU = {"device": "cpu", "precision": "fp32"}


def test_taken_texts_keep_their_tokens():
    full = TokenLengths(np.array([3, 2, 9]))
    tokens = Tokens(np.arange(7), np.array([0, 0, 1, 0, 1, 0, 1]), np.array([0, 3, 5, 7]), full)
    found = tokens.take(np.array([2, 0]))
    assert found.ids.tolist() == [5, 6, 0, 1, 2] and found.starts.tolist() == [0, 2, 5]
    assert found.type_ids.tolist() == [0, 1, 0, 0, 1]
    assert found.lengths.tolist() == [2, 3] and found.full.lengths.tolist() == [9, 3]


def test_two_processes_give_the_bits_of_one(tiny_modernbert, store, monkeypatch):
    """There are many batches, in several chunks."""
    monkeypatch.setattr("modernbert.evaluation.embed.CHUNK", 150)
    source = locate_model(str(tiny_modernbert), store=store)
    rng = np.random.default_rng(0)
    texts = ["w1 good " * int(n) for n in rng.integers(1, 30, 500)]
    alone = Embedder(source, **CPU)
    with workers.shared_out(2):
        shared = Embedder(source, **CPU)
        np.testing.assert_array_equal(shared.encode(texts), alone.encode(texts))
        assert shared.key == alone.key and shared.runner.size == 2
        (others,) = [shared.runner._children]
    assert all(child.exitcode == 0 for child in others)
    assert Embedder(source, **CPU).runner.size == 1, "the block is over"


@pytest.mark.slow
def test_what_another_process_cannot_load_is_said_as_one_process_says_it(tiny_modernbert, store):
    source = locate_model(str(tiny_modernbert), store=store)
    with workers.shared_out(2), pytest.raises(BadModel, match="cannot rerank"):
        Reranker(source, **CPU)


class Child:
    """A process whose exit code is known after it was asked for some times, or never."""

    def __init__(self, code: int | None, after: int = 0) -> None:
        self.codes = itertools.chain([None] * after, itertools.repeat(code))

    @property
    def exitcode(self) -> int | None:
        return next(self.codes)


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ([Child(None), Child(-9, after=3)], "process 2 of 2 was ended by SIGKILL"),
        ([Child(-15), Child(-9)], "process 2 of 2 was ended by SIGKILL"),  # the pool told the first to end
        ([Child(-15), Child(3)], "process 2 of 2 ended with exit code 3"),
        ([Child(-15)], "one of 2 processes has ended"),
        ([Child(None), Child(None)], "one of 2 processes has ended"),
    ],
)
def test_how_a_process_ended_is_said(children, said, monkeypatch):
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.1)
    shared = workers.Workers.__new__(workers.Workers)
    shared.size, shared._children = 2, children
    assert shared._lost().what == said


def test_processes_that_cannot_be_had(monkeypatch):
    mac = Machine("mps", "", "fp32", "")
    with pytest.raises(BadOption, match="Apple's GPU"):
        workers.require_possible(2, mac)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(BadOption, match="3, and there is 1 GPU: each"):
        workers.require_possible(3, Machine("cuda", "", "fp32", ""))
    workers.require_possible(3, Machine("cpu", "", "fp32", ""))
    monkeypatch.setattr("os.environ", {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0",
                                       "LOCAL_WORLD_SIZE": "2"})  # fmt: skip
    with pytest.raises(BadOption, match="Start this command by itself"):
        workers.require_possible(2, Machine("cpu", "", "fp32", ""))
