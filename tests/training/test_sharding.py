"""Weights divided between two processes (`--shard`): the same training, the same files, half the memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import tiny_modernbert_config
from torch import nn
from training.test_shares import in_two_processes
from training.toy_fit import Bag, config_of, state_of
from transformers import ModernBertForSequenceClassification
from transformers.modeling_layers import GradientCheckpointingLayer

from modernbert import processes
from modernbert.errors import Interrupted, ProcessLost, TrainingFailed
from modernbert.model.encoder import PackedClassifier
from modernbert.model.loading import recompute_layers
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.loop import fit
from modernbert.training.reports import StepReport
from modernbert.training.sharding import own_part
from modernbert.training.state import TrainState

# 8 steps; the last batch has one example, so that the second process has only idle passes.
ONE = {"epochs": 1.0, "batch_size": 9, "keep": "last", "clip": 0.1, "max_tokens": 30}
DIVIDED = {**ONE, "shard": True}


class Layer(GradientCheckpointingLayer):
    """Runs by `forward`, as the layers of every architecture but ModernBERT's do here."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x_TD: torch.Tensor) -> torch.Tensor:
        return x_TD + self.linear(x_TD).tanh()


class Deep(Bag):
    """Two layers, no dropout, a parameter that no loss reaches; sizes that two cannot share evenly."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.drop = nn.Sequential(*self.layers)
        self.idle = nn.Parameter(torch.ones(3, 3))


def last_state(folder: Path) -> dict[str, object]:
    store = CheckpointStore(folder)
    last = store.last()
    assert last is not None
    return store.load_state(last)[1]


def assert_half_is_here(state: TrainState) -> None:
    """Of the weights, and of both running averages."""
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    averages = [value for own in state.optimizer.state.values() for value in own.values() if value.ndim]
    for tensors in filter(None, (parameters, averages)):  # there are no averages before the first step
        here, all_there = (sum(map(torch.Tensor.numel, some)) for some in (map(own_part, tensors), tensors))
        assert 0.4 < here / all_there < 0.6
    assert not any(p.numel() for p in state.divided.whole.parameters())


def trained(folder: Path, settings: dict[str, object], *, resume: bool = False) -> tuple[nn.Module, list]:
    """Train; return the network that is saved at the end, and the reports of all steps."""
    seen: list[object] = []
    network = Deep()
    state = state_of(folder, config_of(**settings), model=network, observe=seen.append)
    if state.divided:
        state.evaluate = lambda model, evaluate=state.evaluate: assert_half_is_here(state) or evaluate(model)
    fit(state, resume=resume)
    return network, [report for report in seen if isinstance(report, StepReport)]


def same(found: object, expected: object) -> None:
    """Two states of the same training: names, shapes and, within rounding, numbers.

    AdamW makes larger ones of roundings where gradients are near 0: of 1e-7 come 1e-5 in eight steps.
    """
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("stable_adamw", marks=pytest.mark.slow)])
def test_divided_weights_train_as_whole_ones(optimizer, tmp_path):
    one, steps = trained(tmp_path / "one", {**ONE, "optimizer": optimizer})

    def work(number: int) -> None:
        network, found = trained(tmp_path / "two", {**DIVIDED, "optimizer": optimizer})
        for before, after in zip(steps, found, strict=True):
            assert after.loss == pytest.approx(before.loss, abs=1e-5)
            assert after.gradient_norm == pytest.approx(before.gradient_norm, rel=1e-4)
        assert found[0].gradient_norm > 2 * ONE["clip"]  # what is clipped is the norm of all parts
        if number == 0:
            same(dict(network.named_parameters()), dict(one.named_parameters()))

    assert in_two_processes(work, tmp_path) == [0, 0]
    expected, found = last_state(tmp_path / "one"), last_state(tmp_path / "two")
    for key in ("weights", "optimizer"):
        same(found[key], expected[key])


def test_the_layers_of_modernbert_are_put_together_one_by_one(tmp_path):
    """Its packed pass does not call them; computed again in the backward pass, they are needed once more."""

    def made() -> PackedClassifier:
        torch.manual_seed(0)
        model = ModernBertForSequenceClassification(tiny_modernbert_config())
        recompute_layers(model)
        return PackedClassifier(model)

    one = made()
    fit(state_of(tmp_path / "one", config_of(**ONE), model=one))

    def work(number: int) -> None:
        network = made()
        state = state_of(tmp_path / "two", config_of(**DIVIDED), model=network)
        sizes: list[int] = []
        for layer in state.model.model.model.layers:
            linear, packed = layer.mlp.Wo, layer.packed
            layer.packed = lambda *given, linear=linear, packed=packed, **options: (
                sizes.append(own_part(linear.weight).numel()) or packed(*given, **options)
            )
        fit(state)
        # Before it runs, a layer is in parts; it is whole in the two evaluations, and where it is run again.
        whole = one.model.model.layers[0].mlp.Wo.weight.numel()
        layers = one.model.config.num_hidden_layers
        assert sizes.count(whole) - 2 * layers == sizes.count(whole // 2) >= 8 * layers, sizes
        if number == 0:
            same(dict(network.named_parameters()), dict(one.named_parameters()))

    assert in_two_processes(work, tmp_path) == [0, 0]


@pytest.mark.parametrize("first", [pytest.param("one", marks=[pytest.mark.slow, pytest.mark.by_hand]), "two"])
def test_another_number_of_processes_goes_on(first, tmp_path):
    """Stopped in the midst, gone on with by one that holds all, or by two that divide it."""
    expected, _ = trained(tmp_path / "whole", ONE)
    folder = tmp_path / "stopped"

    def stopped() -> None:
        state = state_of(folder, config_of(**DIVIDED), model=Deep())
        state.stop.signal_number = 15
        with pytest.raises(Interrupted, match=r"at step [01] of 8; everything is saved"):
            fit(state)
        folder.joinpath("wrote").touch()

    def two(number: int) -> None:
        if first == "two":
            return stopped()
        network, _ = trained(folder, DIVIDED, resume=True)
        if number == 0:
            same(dict(network.named_parameters()), dict(expected.named_parameters()))

    if first == "one":
        stopped()
    assert in_two_processes(two, tmp_path) == [0, 0]
    if first == "two":
        network, _ = trained(folder, DIVIDED, resume=True)
        same(dict(network.named_parameters()), dict(expected.named_parameters()))


def broken(how: str) -> Callable[..., object]:
    """Return a forward pass that ends the second process after some steps."""

    def forward(network: Deep, batch):
        forward.passes += network.training
        if processes.number() == 1 and forward.passes == 5:
            if how == "killed":
                os.kill(os.getpid(), 9)
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return Bag.forward(network, batch)

    forward.passes = 0
    return forward


@pytest.mark.parametrize("how", ["killed", pytest.param("out of memory", marks=pytest.mark.slow)])
def test_a_process_that_ends_amid_a_pass_ends_the_other(how, tmp_path, monkeypatch):
    """What is saved is the newest checkpoint: the parts of the lost process cannot be had."""
    monkeypatch.setattr(Deep, "forward", broken(how))

    def work(number: int) -> None:
        state = state_of(tmp_path / "two", config_of(**DIVIDED, checkpoint_minutes=0.0), model=Deep())
        if number == 1:
            with pytest.raises(TrainingFailed, match=r"out of memory in process 2 of 2, .* 30 tokens"):
                fit(state)
            return
        with pytest.raises(
            ProcessLost, match=r"another process .* everything up to step [1-4] of 8 is saved"
        ):
            fit(state)

    codes = in_two_processes(work, tmp_path)
    assert codes == [0, -9 if how == "killed" else 0]
    network, steps = trained(tmp_path / "two", DIVIDED, resume=True)
    assert len(steps) < 8
    expected, _ = trained(tmp_path / "one", ONE)
    same(dict(network.named_parameters()), dict(expected.named_parameters()))
