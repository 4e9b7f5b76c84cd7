"""The last layer of a network that predicts a number: exact in half precision, in any unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import tiny_modernbert_config
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
)

from modernbert.errors import BadModel
from modernbert.model.lora import add_lora
from modernbert.model.output import ExactLinear, change_unit, exact_output
from modernbert.settings.sections import LoraConfig

SMALL = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
CONFIGS = {
    "modernbert": lambda: tiny_modernbert_config(num_hidden_layers=2),
    "bert": lambda: BertConfig(**SMALL, num_attention_heads=2),
    "roberta": lambda: RobertaConfig(**SMALL, num_attention_heads=2),
    "deberta-v2": lambda: DebertaV2Config(**SMALL, num_attention_heads=2),
    "distilbert": lambda: DistilBertConfig(vocab_size=64, dim=16, hidden_dim=24, n_layers=1, n_heads=2),
}


def model_of(kind: str, problem: str = "regression", labels: int = 1):
    from transformers import AutoModelForSequenceClassification

    config = CONFIGS[kind]()
    config.num_labels, config.problem_type = labels, problem
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


def outputs(model) -> np.ndarray:
    with torch.no_grad():
        return model(torch.arange(5, 45).view(8, 5)).logits.float().numpy()


@pytest.mark.parametrize("kind", CONFIGS)
def test_half_precision_tells_numbers_apart(kind):
    model = model_of(kind)
    change_unit(model, scale=0.3, shift=150.0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outputs(model)
        before = torch.get_rng_state()
        exact = outputs(exact_output(model))
    assert torch.equal(before, torch.get_rng_state()), "no random numbers are drawn"
    assert set((rounded % 1).ravel()) == {0.0}, "bf16 knows whole numbers alone at 150"
    assert len(np.unique(exact)) > 5
    assert exact.dtype == np.float32


@pytest.mark.parametrize("kind", CONFIGS)
def test_in_full_precision_an_exact_layer_gives_the_same_bits(kind):
    model = model_of(kind)
    names, plain = list(model.state_dict()), outputs(model)
    np.testing.assert_array_equal(outputs(exact_output(model)), plain)
    assert list(model.state_dict()) == names, "it is saved as any linear layer"


def test_classifiers_are_left_as_they_are():
    model = exact_output(model_of("bert", "single_label_classification", 2))
    assert not any(isinstance(part, ExactLinear) for part in model.modules())


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("kind", ["modernbert", "bert", "roberta", "deberta-v2"])
def test_another_unit(kind, lora):
    model = exact_output(model_of(kind))
    if lora:
        model = add_lora(model, LoraConfig(rank=2, alpha=4, dropout=0.0)).eval()
    plain = outputs(model)
    change_unit(model, scale=38.0, shift=104.0)
    np.testing.assert_allclose(outputs(model), plain * 38 + 104, rtol=1e-6)


def test_a_layer_without_a_bias_is_refused():
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0, num_labels=1)
    with pytest.raises(BadModel, match="do not end in a linear layer with a bias"):
        change_unit(GPT2ForSequenceClassification(config), scale=2.0, shift=1.0)
