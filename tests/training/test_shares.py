"""A batch shared out among processes: who takes what, what all agree on, and what a lost process leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from forks import fork, status_of
from helpers import tokens_of
from torch import distributed, nn
from training.toy_fit import Bag, Toy, config_of, state_of, weights

from modernbert import meeting, processes
from modernbert.data.batching import share_out
from modernbert.errors import BadRun, Interrupted, ProcessLost, TrainingFailed
from modernbert.evaluation.predict import predict_logits
from modernbert.finetuning import launch
from modernbert.heartbeat import key
from modernbert.model.accelerator import make_accelerator
from modernbert.model.device import choose_machine
from modernbert.ranks import Ranks
from modernbert.signals import Ended, on_signals
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.loop import fit
from modernbert.training.objectives import cross_entropy

CONFIG = {"epochs": 1.0, "batch_size": 9, "keep": "last"}


def in_two_processes(work: Callable[[int], object], folder: Path) -> list[int]:
    """Run `work` with the number of each of two processes, which have met; return their exit codes."""

    def one(number: int) -> None:
        torch.set_num_threads(1)
        ranks = Ranks(number, 2, number, 2)
        os.environ |= ranks.environment() | {"OMP_NUM_THREADS": "1"}
        meeting.join(ranks, distributed.FileStore(str(folder / "meeting"), 2))
        work(number)
        meeting.leave()

    return [status_of(child) for child in [fork(one, 0), fork(one, 1)]]


class Plain(Bag):
    """Without dropout, and with a parameter that no loss reaches."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.drop = nn.Identity()
        self.idle = nn.Parameter(torch.ones(3, 3))


def kept(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the newest checkpoint."""
    store = CheckpointStore(folder)
    last = store.last()
    assert last is not None
    return store.load_state(last)[1]["weights"]


def assert_trained_as_one(folder: Path, one: Path) -> None:
    state = state_of(one, config_of(**CONFIG), model=Plain())
    fit(state)
    expected = weights(state)
    assert torch.equal(expected["idle"], torch.ones(3, 3))  # nor does its weight decay
    torch.testing.assert_close(kept(folder), expected, atol=1e-6, rtol=0)


def test_shares_hold_every_sequence_once_and_about_as_many_tokens():
    draw = np.random.default_rng(0)
    lengths = np.concatenate([draw.integers(1, 40, 300), [900]])
    batch = draw.permutation(len(lengths))[:256]
    shares = share_out(batch, lengths, 4)
    assert sorted(np.concatenate(shares).tolist()) == sorted(batch.tolist())
    tokens = [int(lengths[share].sum()) for share in shares]
    assert max(tokens) - min(tokens) <= 40 or max(tokens) == 900
    # By examples instead of tokens, the share with the longest sequence has far more.
    assert share_out(batch, lengths, 1)[0] is batch
    few = share_out(np.array([5, 7]), lengths, 3)
    assert [len(share) for share in few] == [1, 1, 0]


def test_two_processes_train_as_one_also_where_nothing_is_left_for_one(tmp_path):
    """The last batch has one example: 64 = 7 x 9 + 1."""

    def work(number: int) -> None:
        fit(state_of(tmp_path / "two", config_of(**CONFIG), model=Plain()))

    assert in_two_processes(work, tmp_path) == [0, 0]
    assert_trained_as_one(tmp_path / "two", tmp_path / "one")


def test_memory_that_runs_out_in_one_halves_the_budget_of_both(tmp_path):
    class Full(Plain):
        """The second process cannot take more than 20 tokens at once."""

        def forward(self, batch):
            if self.training and processes.number() == 1 and batch.num_tokens > 20:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().forward(batch)

    def work(number: int) -> None:
        seen = []
        state = state_of(tmp_path / "two", config_of(**CONFIG), model=Full(), observe=seen.append)
        progress = fit(state)
        assert progress.max_tokens <= 20, progress
        said = [report.text for report in seen if hasattr(report, "text")]
        assert said and said[0].startswith("out of memory: 32 tokens at once"), said

    assert in_two_processes(work, tmp_path) == [0, 0]
    assert_trained_as_one(tmp_path / "two", tmp_path / "one")


def test_a_signal_to_one_stops_both_and_saves_once(tmp_path):
    def work(number: int) -> None:
        state = state_of(tmp_path / "two", config_of(**CONFIG), model=Plain())
        real = state.objective.accumulate

        def accumulate(*given, **options):
            if number == 1 and state.progress.step == 3:
                state.stop.signal_number = 15
            return real(*given, **options)

        object.__setattr__(state.objective, "accumulate", accumulate)
        with pytest.raises(Interrupted, match="stopped by SIGTERM at step 4 of 8; everything is saved"):
            fit(state)

    assert in_two_processes(work, tmp_path) == [0, 0]
    assert sorted(path.name for path in (tmp_path / "two").glob("step-*")) == ["step-00000004-0001"]


@pytest.mark.parametrize("how", ["killed", "raised"])
def test_a_process_that_ends_ends_the_other_which_saves(how, tmp_path):
    def loss(logits, labels):
        if processes.number() == 1 and loss.calls == 5:
            if how == "killed":
                os.kill(os.getpid(), 9)
            raise TrainingFailed("something of its own")
        loss.calls += 1
        return cross_entropy(logits, labels)

    loss.calls = 0

    def work(number: int) -> None:
        config = config_of(**CONFIG, max_tokens=10**6)
        with pytest.raises(ProcessLost, match=r"another process .* everything up to step [56] of 8 is saved"):
            fit(state_of(tmp_path / "two", config, model=Plain(), loss=loss))

    codes = in_two_processes(work, tmp_path)
    assert codes == [0, -9 if how == "killed" else 1]
    # What is saved goes on, in one process, as if nothing had happened.
    state = state_of(tmp_path / "two", config_of(**CONFIG), model=Plain())
    fit(state, resume=True)
    expected = state_of(tmp_path / "one", config_of(**CONFIG), model=Plain())
    fit(expected)
    torch.testing.assert_close(weights(state), weights(expected), atol=1e-6, rtol=0)


def test_processes_that_stand_at_different_steps_do_not_begin(tmp_path):
    def work(number: int) -> None:
        state = state_of(tmp_path / "two", config_of(**CONFIG), model=Plain())
        state.progress.step = number
        with pytest.raises(BadRun, match=r"resume at different steps \(0, 1\)"):
            fit(state)

    assert in_two_processes(work, tmp_path) == [0, 0]


def test_a_process_that_ends_before_it_has_come(monkeypatch):
    monkeypatch.setattr(launch, "FOLLOWER", [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    with pytest.raises(ProcessLost, match="process 2 of 2 was ended by SIGKILL"), launch.led(2):
        pass
    assert not meeting.are_connected()


def test_a_signal_is_heard_while_others_are_waited_for(monkeypatch):
    monkeypatch.setattr(launch, "FOLLOWER", [sys.executable, "-c", "import sys; sys.stdin.read()"])
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with on_signals(), pytest.raises(Ended), launch.led(2):
        pass


def test_a_process_that_ends_while_all_connect(monkeypatch, tmp_path):
    monkeypatch.setattr(meeting, "CONNECTING", timedelta(seconds=1))

    def one(number: int) -> None:
        store = distributed.FileStore(str(tmp_path / "meeting"), 2)
        if number == 1:
            store.set(key(1), "0")
            os._exit(9)
        with pytest.raises(ProcessLost, match="another process of this training has ended"):
            meeting.join(Ranks(0, 2, 0, 2), store)

    assert [status_of(child) for child in [fork(one, 0), fork(one, 1)]] == [0, 9]


def test_once_connected_all_wait_for_each_other_as_long_as_it_takes(monkeypatch, tmp_path):
    monkeypatch.setattr(meeting, "CONNECTING", timedelta(seconds=1))

    def work(number: int) -> None:
        time.sleep(2 * number)
        assert processes.all_say(number) == [0, 1]

    assert in_two_processes(work, tmp_path) == [0, 0]


def test_nobody_misses_a_process_that_ends_when_all_is_done(tmp_path):
    def one(number: int) -> None:
        ranks = Ranks(number, 2, number, 2)
        store = distributed.FileStore(str(tmp_path / "meeting"), 2)
        if number == 1:
            meeting.join(ranks, store)
            os._exit(9)
        with launch._joined(ranks, store), pytest.raises(ProcessLost):
            while True:
                processes.all_say(number)

    assert [status_of(child) for child in [fork(one, 0), fork(one, 1)]] == [0, 9]


def test_rows_come_in_the_order_of_the_processes(tmp_path):
    def work(number: int) -> None:
        own = torch.full((2 - 2 * number, 3), 1.0 + number)  # the second one has none
        found = processes.gather_rows(own, [2, 0])
        assert torch.equal(found, torch.ones(2, 3))
        assert processes.all_say(number) == [0, 1]
        sums = [torch.tensor([1.0 + number]), torch.full((2, 2), 10.0 * number)]
        processes.add_up(sums)
        assert torch.equal(sums[0], torch.tensor([3.0])) and torch.equal(sums[1], torch.full((2, 2), 10.0))

    assert in_two_processes(work, tmp_path) == [0, 0]


def test_every_text_is_run_once_and_all_get_the_same_bits(tmp_path):
    draw = np.random.default_rng(0)
    tokens = tokens_of([draw.integers(0, 10, draw.integers(1, 12)).tolist() for _ in range(50)])
    accelerator = make_accelerator(choose_machine("cpu", "fp32"))
    network = Plain().eval()
    expected = predict_logits(network, tokens, max_tokens=40, accelerator=accelerator)

    def work(number: int) -> None:
        run = []
        network.register_forward_pre_hook(lambda module, given: run.append(given[0].num_sequences))
        found = predict_logits(network, tokens, max_tokens=40, accelerator=accelerator)
        assert np.array_equal(found, expected)
        counts = processes.all_say(sum(run))
        assert sum(counts) == 50 and min(counts) >= 15, counts
        run.clear()
        with processes.alone():
            assert processes.all_say(number) == [number]
            predict_logits(network, tokens, max_tokens=40, accelerator=accelerator)
        assert sum(run) == 50

    assert in_two_processes(work, tmp_path) == [0, 0]


def test_a_toy_is_what_it_says():
    assert len(Toy.make(config_of(**CONFIG)).texts) % CONFIG["batch_size"] == 1
