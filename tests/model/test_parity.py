"""The whole packed model against transformers' own, at ModernBERT's window of 64 tokens to each side."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_modernbert_config, tokens_of_lengths
from transformers import ModernBertForSequenceClassification

from modernbert.benchmark.engines import CPU, Setting, Transformers
from modernbert.data.tokens import Tokens
from modernbert.model.attention import BACKENDS
from modernbert.model.backends import ChosenBackend
from modernbert.model.encoder import PackedClassifier
from modernbert.model.packing import pack

SHARP = 30  # times wider queries, keys and values: random ones would attend to everything alike
LENGTHS = [1, 63, 64, 65, 127, 128, 129, 512]


def make(kind: str = "eager", seed: int = 1):
    torch.manual_seed(seed)
    config = tiny_modernbert_config(
        local_attention=128, max_position_embeddings=8192, classifier_pooling="mean", num_labels=3
    )
    config._attn_implementation = kind
    return ModernBertForSequenceClassification(config).eval()


def one_by_one(model, tokens: Tokens) -> torch.Tensor:
    """Return transformers' own logits, each text alone: nothing padded, nothing packed."""
    engine = Transformers("alone", model, Setting(CPU, training=False))
    return torch.cat([engine.logits(tokens, np.array([i])) for i in range(len(tokens))])


def gradients(model) -> torch.Tensor:
    return torch.cat([p.grad.float().flatten() for p in model.parameters()])


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_and_gradients_at_lengths_around_every_edge(backend):
    ours, theirs, tokens = make(), make(), tokens_of_lengths(LENGTHS)
    packed = PackedClassifier(ours, ChosenBackend(backend, "the test asks for it"))
    found = packed(pack(tokens, range(len(tokens))))
    expected = one_by_one(theirs, tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found.square().sum().backward()
    expected.square().sum().backward()
    scale = gradients(theirs).abs().max()
    torch.testing.assert_close(gradients(ours) / scale, gradients(theirs) / scale, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [[8192], [8192, 1, 700]])
def test_the_longest_texts(lengths):
    model, tokens = make(), tokens_of_lengths(lengths)
    with torch.no_grad():
        found = PackedClassifier(model)(pack(tokens, range(len(tokens))))
        torch.testing.assert_close(found, one_by_one(model, tokens), atol=1e-5, rtol=1e-5)


def test_bf16_is_no_further_from_fp32_than_transformers_own():
    tokens = tokens_of_lengths(LENGTHS * 4)
    model = make("sdpa")
    with torch.no_grad():
        exact = one_by_one(model, tokens)
        theirs = one_by_one(copy.deepcopy(model).bfloat16(), tokens).float()
        with torch.autocast("cpu", torch.bfloat16):
            ours = PackedClassifier(model)(pack(tokens, range(len(tokens)))).float()
    assert (ours - exact).abs().mean() <= (theirs - exact).abs().mean()


def test_bf16_gradients_are_no_further_from_fp32_than_transformers_own():
    """Of a network that attends sharply, as trained ones do, each under autocast."""
    tokens = tokens_of_lengths([150, 300, 700])

    def theirs(model, precision: str) -> torch.Tensor:
        engine = Transformers("alone", model, Setting(replace(CPU, precision=precision), training=True))
        return torch.cat([engine.logits(tokens, np.array([i])) for i in range(len(tokens))])

    def ours(model) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return PackedClassifier(model)(pack(tokens, range(len(tokens))))

    def gradients_of(logits, seed: int) -> torch.Tensor:
        model = make("sdpa", seed)
        for layer in model.model.layers:
            layer.attn.Wqkv.weight.data.mul_(SHARP)
        logits(model).float().square().sum().backward()
        return gradients(model)

    def ratio(seed: int) -> float:
        exact = gradients_of(lambda model: theirs(model, "fp32"), seed)
        error = gradients_of(ours, seed) - exact
        peer = gradients_of(lambda model: theirs(model, "bf16"), seed) - exact
        return float(error.norm() / peer.norm())

    # One network's ratio says little: over draws it lies between 0.8 and 1.5.
    assert np.exp(np.mean(np.log([ratio(seed) for seed in (1, 2, 3)]))) <= 1.1
