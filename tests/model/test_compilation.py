"""torch.compile changes nothing but speed, and a model runs without it where it fails."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from helpers import tiny_modernbert_config

from modernbert.model import compilation

# The compiler's own code warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")

CPU = torch.device("cpu")
INPUTS = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])}


def make():
    torch.manual_seed(0)
    return transformers.ModernBertForSequenceClassification(tiny_modernbert_config()).eval()


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_gives_the_same_logits_and_gradients(backend, monkeypatch):
    monkeypatch.setattr(compilation, "BACKEND", backend)
    plain, compiled = make(), make()
    assert compilation.compile_layers(compiled, CPU) == ""
    assert all(layer.mlp._compiled_call_impl is not None for layer in compiled.model.layers)
    assert all(p.grad is None for p in compiled.parameters())
    for model in (plain, compiled):
        model(**INPUTS).logits.square().sum().backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), compiled.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=f"{name} differs")
    assert set(compiled.state_dict()) == set(plain.state_dict())
    assert copy.deepcopy(compiled).model.layers[0].mlp._compiled_call_impl is None


def test_where_the_compiler_fails_the_model_runs_without(monkeypatch):
    def broken(graph, inputs):
        raise RuntimeError("no C++ compiler\nand more lines")

    monkeypatch.setattr(compilation, "BACKEND", broken)
    model = make()
    fault = compilation.compile_layers(model, CPU)
    assert fault.startswith("torch.compile failed (")
    assert "no C++ compiler" in fault
    torch.testing.assert_close(model(**INPUTS).logits, make()(**INPUTS).logits)


def test_other_architectures_run_uncompiled(tiny_bert):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    assert compilation.compile_layers(model, CPU) == "compiling is for ModernBERT; bert runs uncompiled"
