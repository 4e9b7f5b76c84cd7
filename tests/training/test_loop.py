"""The loop: it learns, resumes to the bit, survives a small memory, and stops with a reason."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from training.toy_fit import Bag, config_of, state_of, stop_at, weights

from modernbert.errors import BadRun, DiskFull, Interrupted, TrainingFailed
from modernbert.model.packing import PackedBatch
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.loop import fit
from modernbert.training.objectives import cross_entropy
from modernbert.training.reports import Evaluation, EvaluationReport, Notice, StepReport
from modernbert.training.signals import StopRequest


def test_it_learns_and_starts_by_evaluating_the_untrained_model(tmp_path):
    progress = fit(state_of(tmp_path))
    assert progress.history[0]["step"] == 0
    assert progress.best_score > 0.99 > progress.history[0]["metrics"]["accuracy"]
    assert [entry["step"] for entry in progress.history] == [0, 8, 16, 24]


@pytest.mark.parametrize("step", [1, 7, 8, 20])
@pytest.mark.parametrize("optimizer", ["adamw", "stable_adamw"])
def test_a_resumed_fit_ends_with_the_same_bits(tmp_path, step, optimizer):
    config = config_of(optimizer=optimizer, keep="last")
    whole = state_of(tmp_path / "whole", config)
    expected = fit(whole)
    stop = StopRequest()
    broken = state_of(tmp_path / "broken", config, observe=stop_at(step, stop), stop=stop)
    with pytest.raises(Interrupted, match=f"at step {step} of 24; everything is saved"):
        fit(broken)
    resumed = state_of(tmp_path / "broken", config)
    found = fit(resumed, resume=True)
    assert found.history == expected.history
    assert (found.tokens, found.examples) == (expected.tokens, expected.examples)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_a_kill_between_checkpoints_costs_only_the_steps_since(tmp_path):
    class Killed(Exception):
        pass

    def kill(report):
        if isinstance(report, StepReport) and report.step == 13:
            raise Killed

    whole = state_of(tmp_path / "whole")
    fit(whole)
    with pytest.raises(Killed):
        fit(state_of(tmp_path / "broken", observe=kill))
    notices = []
    resumed = state_of(tmp_path / "broken", observe=notices.append)
    fit(resumed, resume=True)
    assert notices[0] == Notice("resuming at step 8 of 24, 16 left")
    assert all(torch.equal(v, weights(resumed)[n]) for n, v in weights(whole).items())


def test_the_best_weights_are_kept_not_the_last(tmp_path):
    config = config_of(epochs=4.0)
    state = state_of(tmp_path, config)
    falling = iter([0.1, 0.9, 0.5, 0.4, 0.3])
    kept = {}

    def evaluate(model):
        score = next(falling)
        if score == 0.9:
            kept.update(weights(state))
        return Evaluation({"score": score}, score)

    state.evaluate = evaluate
    assert fit(state).best_step == 8
    assert all(torch.equal(value, weights(state)[name]) for name, value in kept.items())


def test_patience_stops_early(tmp_path):
    state = state_of(tmp_path, config_of(epochs=10.0, patience=2))
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3])
    state.evaluate = lambda model: Evaluation({}, next(scores))
    assert fit(state).step == 24


def test_parts_of_a_batch_give_the_gradient_of_the_whole(tmp_path):
    """The token budget decides memory, never the result: no dropout here, so any cut gives the same."""
    runs = {}
    for budget in (8, 10_000):
        model = Bag()
        model.drop.p = 0.0
        torch.manual_seed(3)
        for p in model.parameters():
            nn.init.normal_(p)
        state = state_of(tmp_path / str(budget), config_of(max_tokens=budget, epochs=1.0), model=model)
        fit(state)
        runs[budget] = weights(state)
    for name in runs[8]:
        torch.testing.assert_close(runs[8][name], runs[10_000][name], atol=1e-6, rtol=1e-5)


class Cramped(Bag):
    """Runs out of memory on more than `room` tokens."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        if self.training and batch.num_tokens > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(batch)


def test_out_of_memory_halves_the_budget_and_keeps_the_batch(tmp_path):
    reports = []
    state = state_of(tmp_path, model=Cramped(20), observe=reports.append)
    progress = fit(state)
    notices = [r.text for r in reports if isinstance(r, Notice)]
    assert progress.max_tokens <= 20
    assert "the batch stays at 8 examples" in notices[0]
    assert progress.step == 24


def test_a_single_text_that_does_not_fit_stops_with_advice(tmp_path):
    with pytest.raises(TrainingFailed, match="out of memory on a single text") as caught:
        fit(state_of(tmp_path, model=Cramped(2)))
    assert "--max-length" in caught.value.fix


def test_other_errors_are_not_taken_for_a_full_memory(tmp_path):
    def broken(logits, labels):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        fit(state_of(tmp_path, loss=broken))


def test_a_loss_that_is_not_finite_stops_with_causes_and_keeps_the_checkpoint(tmp_path):
    calls = iter(range(1000))

    def explodes(logits, labels):
        loss, count = cross_entropy(logits, labels)
        return (loss * float("nan") if next(calls) > 12 else loss), count

    state = state_of(tmp_path, config_of(max_tokens=10_000), loss=explodes)
    with pytest.raises(TrainingFailed, match="not finite around step 14") as caught:
        fit(state)
    assert "learning rate" in caught.value.fix
    progress, saved = state.checkpoints.load_state(state.checkpoints.last())
    assert progress.step == 8
    assert all(value.isfinite().all() for value in saved["weights"].values())


def test_a_full_disk_leaves_the_last_checkpoint_intact(tmp_path, monkeypatch):
    state = state_of(tmp_path)
    save, calls = torch.save, iter(range(100))

    def full(state, path):
        if next(calls) > 3:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        fit(state)
    monkeypatch.undo()
    progress, _ = state.checkpoints.load_state(state.checkpoints.last())
    assert progress.step >= 8
    assert not list(tmp_path.glob(".*")), "no half-written folder stays behind"
    assert fit(state_of(tmp_path), resume=True).step == 24


def test_a_damaged_checkpoint_is_refused(tmp_path):
    stop = StopRequest()
    with pytest.raises(Interrupted):
        fit(state_of(tmp_path, observe=stop_at(9, stop), stop=stop))
    state = CheckpointStore(tmp_path).last() / "state.pt"
    raw = bytearray(state.read_bytes())
    raw[len(raw) // 2] ^= 1
    state.write_bytes(raw)
    with pytest.raises(BadRun, match="checkpoint is damaged"):
        fit(state_of(tmp_path), resume=True)


def test_only_best_and_last_are_on_the_disk(tmp_path):
    fit(state_of(tmp_path))
    names = sorted(folder.name.split("-")[0] for folder in tmp_path.iterdir())
    assert names == ["best", "step"]
    assert (
        json.loads((CheckpointStore(tmp_path).last() / "progress.json").read_text())["record"]["step"] == 24
    )


def test_reports_say_which_evaluation_is_best(tmp_path):
    reports = []
    fit(state_of(tmp_path, observe=reports.append))
    evaluations = [r for r in reports if isinstance(r, EvaluationReport)]
    best = max(evaluations, key=lambda r: r.evaluation.main)
    assert best.is_best
    assert sum(r.evaluation.main == best.evaluation.main and r.is_best for r in evaluations) == 1


@pytest.mark.parametrize("new_head", [True, False])
def test_a_new_head_never_wins_before_training(new_head, tmp_path):
    """By chance it may score best; a head that was trained before may well be the best there is."""
    state = state_of(tmp_path)
    scores = iter([0.9, 0.2, 0.3, 0.1])
    state.evaluate = lambda model: Evaluation({"accuracy": (score := next(scores))}, score)
    state.new_head = new_head
    seen = []
    state.observe = lambda report: seen.append(report)
    progress = fit(state)
    best = [report.step for report in seen if isinstance(report, EvaluationReport) and report.is_best]
    assert progress.best_step == best[-1] == (16 if new_head else 0)
    assert progress.untrained == (0.9 if new_head else float("-inf"))
