"""The packed forward pass equals transformers' own, for every mix of lengths, forward and backward."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers import tiny_modernbert_config, tokens_of_lengths
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ModernBertForSequenceClassification

from modernbert.data.tokens import Tokens
from modernbert.errors import BadModel
from modernbert.model import attention
from modernbert.model.attention import BACKENDS
from modernbert.model.backends import ChosenBackend
from modernbert.model.encoder import PackedClassifier, mean_by_sequence, modernbert_hidden
from modernbert.model.packing import pack

WINDOW_EDGES = [1, 4, 5, 6, 8, 9, 16]


def make_model(**changes):
    torch.manual_seed(1)
    config = tiny_modernbert_config(num_labels=3, **changes)
    config._attn_implementation = "eager"
    return ModernBertForSequenceClassification(config).eval()


MODEL = make_model()


def packed_logits(model, tokens: Tokens, backend: str) -> torch.Tensor:
    classifier = PackedClassifier(model, ChosenBackend(backend, "the test asks for it"))
    return classifier(pack(tokens, range(len(tokens))))


def one_by_one(model, tokens: Tokens) -> torch.Tensor:
    """Return transformers' own logits, each text alone: no padding, no mask."""
    texts = (tokens.ids[a:b] for a, b in zip(tokens.starts, tokens.starts[1:], strict=False))
    rows = (torch.from_numpy(ids.astype(np.int64))[None] for ids in texts)
    return torch.cat([model(input_ids=row).logits for row in rows])


@pytest.mark.parametrize("backend", BACKENDS)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(max_examples=15, deadline=None)
def test_logits_equal_transformers_for_any_lengths(backend, lengths):
    tokens = tokens_of_lengths(lengths)
    with torch.no_grad():
        torch.testing.assert_close(
            packed_logits(MODEL, tokens, backend), one_by_one(MODEL, tokens), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_logits_equal_transformers_around_the_window(backend, pooling):
    model, tokens = make_model(classifier_pooling=pooling), tokens_of_lengths(WINDOW_EDGES)
    with torch.no_grad():
        torch.testing.assert_close(
            packed_logits(model, tokens, backend), one_by_one(model, tokens), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_activation": "silu", "classifier_activation": "silu"},
        {"hidden_activation": "relu"},
        {"hidden_activation": "gelu_pytorch_tanh"},
        {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True},
    ],
    ids=lambda change: next(iter(change.items()))[1],
)
def test_other_activations_and_biases(change):
    tokens = tokens_of_lengths([7, 30, 1, 12])
    ours, theirs = make_model(**change), make_model(**change)
    for layer in (*ours.model.layers, *theirs.model.layers):
        layer.mlp.Wi.weight.data.mul_(30)  # of values near 0, all activations make much the same
    found, known = packed_logits(ours, tokens, "blocked"), one_by_one(theirs, tokens)
    torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-5)
    found.square().sum().backward()
    known.square().sum().backward()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=f"{name} differs")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lengths", [[7, 30, 1, 12], [20, 20, 20]])
def test_gradients_equal_transformers(backend, lengths):
    tokens = tokens_of_lengths(lengths)
    ours, theirs = copy.deepcopy(MODEL), copy.deepcopy(MODEL)
    packed_logits(ours, tokens, backend).square().sum().backward()
    one_by_one(theirs, tokens).square().sum().backward()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=f"{name} differs")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_document_does_not_see_its_neighbours(backend):
    lengths = [9, 14, 3]
    alone, changed = tokens_of_lengths(lengths), tokens_of_lengths(lengths)
    changed.ids[9:23] = 7  # the middle document becomes another one
    with torch.no_grad():
        before, after = (packed_logits(MODEL, t, backend) for t in (alone, changed))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


def test_a_planted_leak_is_noticed(monkeypatch):
    def leaking(qkv, rotary, layout, window, dropout):
        """Attend over the whole stream, as transformers' sdpa does on a flattened batch."""
        q, k, v = (x.transpose(0, 1) for x in attention.rotated(qkv, rotary))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return out.transpose(0, 1)

    monkeypatch.setitem(attention.BACKENDS, "leaking", leaking)
    tokens = tokens_of_lengths([9, 14, 3])
    with torch.no_grad():
        difference = (packed_logits(MODEL, tokens, "leaking") - one_by_one(MODEL, tokens)).abs().max()
    assert difference > 1e-4


def test_gaps_give_no_nan_gradients():
    model = copy.deepcopy(MODEL)
    packed_logits(model, tokens_of_lengths([40, 1]), "padded").sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_bf16_is_no_further_from_fp32_than_transformers_bf16():
    tokens = tokens_of_lengths([5, 33, 17])
    exact = one_by_one(MODEL, tokens)
    half = copy.deepcopy(MODEL).bfloat16()
    with torch.no_grad():
        ours = (packed_logits(half, tokens, "padded").float() - exact).abs().max()
        theirs = (one_by_one(half, tokens).float() - exact).abs().max()
    assert ours <= 1.5 * theirs


def test_a_text_beyond_the_context_is_refused():
    with pytest.raises(BadModel, match="257 tokens exceeds the model's context of 256"):
        packed_logits(MODEL, tokens_of_lengths([257]), "reference")


def test_mean_pooling_averages_each_sequence():
    batch = pack(tokens_of_lengths([2, 1]), [0, 1])
    hidden_TD = torch.tensor([[1.0], [3.0], [5.0]])
    assert mean_by_sequence(hidden_TD, batch).tolist() == [[2.0], [5.0]]


def test_hidden_states_keep_the_order_of_the_tokens():
    tokens = tokens_of_lengths([4, 6])
    choice = ChosenBackend("reference", "oracle")
    with torch.no_grad():
        both = modernbert_hidden(MODEL.model, pack(tokens, [0, 1]), choice)
        second = modernbert_hidden(MODEL.model, pack(tokens, [1]), choice)
    torch.testing.assert_close(both[4:], second, atol=1e-6, rtol=1e-6)


def test_bert_gives_the_same_logits_padded_and_alone(tiny_bert):
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(tiny_bert, num_labels=2).eval()
    tokens = tokens_of_lengths([3, 20, 11])
    types = np.zeros(34, dtype=np.int8)
    tokens = Tokens(tokens.ids, types, tokens.starts, tokens.full)
    packed = PackedClassifier(model)
    with torch.no_grad():
        together = packed(pack(tokens, range(3)))
        alone = torch.cat([packed(pack(tokens, [i])) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
