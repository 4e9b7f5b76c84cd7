"""Long texts train in less memory on a CPU, to the same bits and without a second matrix product."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_modernbert_config, tokens_of_lengths
from transformers import ModernBertForSequenceClassification

from modernbert.model import selective_recompute
from modernbert.model.dropout import use_cheap_dropout
from modernbert.model.encoder import PackedClassifier
from modernbert.model.loading import recompute_layers
from modernbert.model.packing import pack

TOKENS = tokens_of_lengths([40, 3])


@pytest.fixture
def long(monkeypatch):
    """A batch of 43 tokens counts as long."""
    monkeypatch.setitem(selective_recompute.MAX_TOKENS, "cpu", 42)


def step(dropout: float = 0.0, prepare=lambda model: None) -> tuple[torch.Tensor, int]:
    """Return the gradients of one step, in a row, and how many bytes were kept for the backward pass."""
    torch.manual_seed(1)
    model = ModernBertForSequenceClassification(tiny_modernbert_config(mlp_dropout=dropout)).train()
    prepare(model)
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = PackedClassifier(model)(pack(TOKENS, range(2))).square().sum()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()]), sum(kept.values())


@pytest.mark.parametrize("prepare", [lambda model: None, use_cheap_dropout], ids=["torch's", "ours"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_bits_from_less(dropout, prepare, monkeypatch):
    usual, all_bytes = step(dropout, prepare)
    monkeypatch.setitem(selective_recompute.MAX_TOKENS, "cpu", 42)
    found, bytes_kept = step(dropout, prepare)
    assert torch.equal(found, usual)
    assert bytes_kept < 0.8 * all_bytes


def test_within_gradient_checkpointing(long):
    usual, _ = step()
    found, _ = step(prepare=recompute_layers)
    assert torch.equal(found, usual)


def test_no_matrix_product_runs_twice(long):
    calls: list[str] = []

    def count(model):
        for name, module in model.named_modules():
            if name.endswith(("Wqkv", "Wi", "Wo")):
                module.register_forward_hook(lambda *_, name=name: calls.append(name))

    step(prepare=count)
    assert len(calls) == len(set(calls)) > 0


def test_a_wrapped_layer_runs_as_usual(long):
    class Wrapped(torch.nn.Linear):
        pass

    x_TD = torch.ones(50, 4, requires_grad=True)
    seen: list[int] = []

    def cheap(x_TD):
        seen.append(len(x_TD))
        return x_TD * 2

    for linear, times in ((torch.nn.Linear(4, 2), 2), (Wrapped(4, 2), 1)):
        seen.clear()
        selective_recompute.linear_after(cheap, linear, x_TD, random=False).sum().backward()
        assert len(seen) == times
