"""Cheap dropout obeys the same law as torch's, and changes nothing in evaluation."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import tokens_of

from modernbert.model.dropout import CpuDropout, drop, dropped, use_cheap_dropout
from modernbert.model.encoder import PackedClassifier
from modernbert.model.packing import pack


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_the_share_dropped_is_p(p):
    torch.manual_seed(0)
    share = dropped(torch.Size([1_000_003]), p).double().mean().item()
    assert abs(share - p) < 0.002  # four standard errors at p = 0.5


def test_kept_values_are_scaled_and_their_gradients_too():
    torch.manual_seed(0)
    x = torch.ones(10_000, requires_grad=True)
    y = drop(x, 0.25)
    y.sum().backward()
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(x.grad, y.detach())


def test_neighbouring_elements_are_independent():
    """Four elements come from one draw: they must not fall together."""
    torch.manual_seed(0)
    mask = dropped(torch.Size([400_000]), 0.5).view(-1, 4).double()
    assert (torch.corrcoef(mask.T) - torch.eye(4)).abs().max() < 0.02


def test_draws_follow_torchs_seed():
    torch.manual_seed(5)
    first = dropped(torch.Size([100]), 0.5)
    torch.manual_seed(5)
    assert torch.equal(first, dropped(torch.Size([100]), 0.5))


def test_evaluation_is_untouched():
    x = torch.randn(10)
    assert torch.equal(CpuDropout(0.5).eval()(x), x)


def bert(folder):
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification.from_pretrained(folder, num_labels=2)


def batch_of_two():
    return pack(tokens_of([[2, 7, 8, 9, 3], [2, 11, 3]]), [0, 1])


def test_without_dropout_training_gives_the_same_logits(tiny_bert):
    """The attention that replaces sdpa in training must be the same function."""
    plain = bert(tiny_bert).train()
    cheap = copy.deepcopy(plain)
    use_cheap_dropout(cheap)
    for model in (plain, cheap):
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 1e-9  # our attention runs, and drops nothing
    torch.testing.assert_close(
        PackedClassifier(cheap)(batch_of_two()), PackedClassifier(plain)(batch_of_two()), atol=1e-6, rtol=1e-6
    )


def test_training_with_dropout_is_random_and_evaluation_is_not(tiny_bert):
    model = bert(tiny_bert)
    use_cheap_dropout(model)
    packed = PackedClassifier(model).train()
    assert not torch.equal(packed(batch_of_two()), packed(batch_of_two()))
    packed.eval()
    assert torch.equal(packed(batch_of_two()), packed(batch_of_two()))


def test_the_saved_configuration_keeps_transformers_attention(tiny_bert, tmp_path):
    model = bert(tiny_bert)
    use_cheap_dropout(model)
    model.config.save_pretrained(tmp_path)
    assert "mbert" not in (tmp_path / "config.json").read_text()
