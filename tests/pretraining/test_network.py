"""Masks and networks: what is hidden, and that packed training computes what transformers computes."""

from __future__ import annotations

import json

import pytest
import torch
from helpers import tiny_modernbert_config

from modernbert.errors import BadModel, BadOption
from modernbert.model.locate import locate_model
from modernbert.model.packing import PackedBatch
from modernbert.pretraining.architectures import ARCHITECTURES, untrained
from modernbert.pretraining.masking import MaskedBatch, Masking
from modernbert.pretraining.network import PackedMaskedLM, load_masked_lm

MASKING = Masking(share=0.3, mask_id=4, special_ids=(0, 1, 2, 3, 4), vocabulary=100)


def batch_of(lengths: list[int], seed: int = 0) -> PackedBatch:
    """Return sequences of random words between [CLS] and [SEP]."""
    draw = torch.Generator().manual_seed(seed)
    ids = [
        torch.cat([torch.tensor([2]), torch.randint(5, 100, (n - 2,), generator=draw), torch.tensor([3])])
        for n in lengths
    ]
    return PackedBatch.of_lengths(lengths).with_ids(torch.cat(ids))


def test_masks_are_drawn_as_told():
    batch = batch_of([128] * 200)
    masked, targets_M = MASKING.apply(batch, torch.Generator().manual_seed(0))
    shown_M = masked.batch.ids_T[masked.places_M]
    assert torch.equal(batch.ids_T[masked.places_M], targets_M)
    assert len(targets_M) / (200 * 126) == pytest.approx(0.3, abs=0.01)
    assert (shown_M == 4).float().mean() == pytest.approx(0.8, abs=0.02)
    assert (shown_M == targets_M).float().mean() == pytest.approx(0.1, abs=0.02)
    assert targets_M.min() >= 5
    untouched = torch.ones(batch.num_tokens, dtype=torch.bool)
    untouched[masked.places_M] = False
    assert torch.equal(masked.batch.ids_T[untouched], batch.ids_T[untouched])


def test_a_short_batch_still_has_something_to_guess():
    for seed in range(50):
        masked, targets_M = MASKING.apply(batch_of([3]), torch.Generator().manual_seed(seed))
        assert masked.places_M.tolist() == [1]
        assert len(targets_M) == 1


def model_of(kind: str):
    """Return a tiny masked-language model of transformers, in evaluation mode."""
    from transformers import BertConfig, BertForMaskedLM, ModernBertForMaskedLM

    torch.manual_seed(0)
    if kind == "modernbert":
        return ModernBertForMaskedLM(tiny_modernbert_config()).eval()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForMaskedLM(BertConfig(vocab_size=128, **sizes)).eval()


@pytest.mark.parametrize(("kind", "at_once"), [("modernbert", 0), ("bert", 0), ("bert", 150), ("bert", 1024)])
def test_packed_logits_and_gradients_are_transformers_own(kind, at_once, monkeypatch):
    monkeypatch.setattr("modernbert.pretraining.network.PADDED_AT_ONCE", at_once)
    model = model_of(kind)
    lengths = [3, 40, 17, 100, 17]
    masked, targets_M = MASKING.apply(batch_of(lengths), torch.Generator().manual_seed(0))
    logits_MV = PackedMaskedLM(model)(masked)
    torch.nn.functional.cross_entropy(logits_MV, targets_M).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected = []
    for number in range(len(lengths)):
        ids = masked.batch.ids_T[masked.batch.sequence_T == number]
        expected.append(model(input_ids=ids[None]).logits[0])
    expected_MV = torch.cat(expected)[masked.places_M]
    torch.testing.assert_close(logits_MV, expected_MV, rtol=1e-5, atol=1e-5)
    torch.nn.functional.cross_entropy(expected_MV, targets_M).backward()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["modernbert", "bert"])
def test_no_document_sees_another(kind):
    network = PackedMaskedLM(model_of(kind))
    first, second = batch_of([30, 20], seed=1), batch_of([30, 20], seed=2)
    mixed = first.with_ids(torch.cat([first.ids_T[:30], second.ids_T[30:]]))
    places_M = torch.arange(30)
    with torch.inference_mode():
        logits = [network(MaskedBatch(batch, places_M)) for batch in (first, mixed)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["nano", "bert-nano"])
def test_architectures_start_from_the_seed(name, tmp_path, tiny_tokenizer):
    source = untrained(name, tiny_tokenizer, tmp_path)
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model, new = load_masked_lm(source)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert new == ("all: random weights",)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_both_nanos_have_about_as_many_parameters(tmp_path, tiny_tokenizer):
    sizes = []
    for name in ("nano", "bert-nano"):
        model, _ = load_masked_lm(untrained(name, tiny_tokenizer, tmp_path))
        sizes.append(model.num_parameters() - model.get_input_embeddings().weight.numel())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.12)


def test_an_architecture_of_ones_own(tmp_path, tiny_tokenizer):
    path = tmp_path / "mine.json"
    path.write_text(tiny_modernbert_config().to_json_string())
    model, _ = load_masked_lm(untrained(str(path), tiny_tokenizer, tmp_path))
    assert model.config.hidden_size == 32
    assert model.config.vocab_size == 128
    path.write_text(tiny_modernbert_config(hidden_size=64).to_json_string())
    changed = untrained(str(path), tiny_tokenizer, tmp_path)
    assert json.loads((changed.folder / "config.json").read_text())["hidden_size"] == 64
    assert untrained(str(path), tiny_tokenizer, tmp_path).folder == changed.folder


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no architecture"), ("{", "not valid JSON"), ('{"model_type": "t5"}', "must be modernbert")],
)
def test_an_unknown_architecture_is_refused(text, message, tmp_path, tiny_tokenizer):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadOption, match=message):
        untrained(str(path), tiny_tokenizer, tmp_path)


def test_the_rotary_base_changes_global_layers_only(tmp_path, tiny_tokenizer):
    source = untrained("nano", tiny_tokenizer, tmp_path)
    model, _ = load_masked_lm(source, rotary_base=160_000.0)
    bases = {kind: values["rope_theta"] for kind, values in model.config.rope_parameters.items()}
    assert bases == {"full_attention": 160_000.0, "sliding_attention": 10_000.0}
    with pytest.raises(BadOption, match="rotary_base is for ModernBERT"):
        load_masked_lm(untrained("bert-nano", tiny_tokenizer, tmp_path), rotary_base=1e5)


def test_a_checkpoint_without_its_encoder_is_refused(tmp_path, tiny_modernbert, store):
    from safetensors.torch import load_file, save_file

    source = locate_model(str(tiny_modernbert), store=store)
    model, new = load_masked_lm(source)
    assert any(name.startswith("head.") for name in new)
    model.save_pretrained(tmp_path / "broken")
    path = tmp_path / "broken" / "model.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if "layers.1.mlp.Wi" not in name}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadModel, match="lacks 1 of its tensors"):
        load_masked_lm(locate_model(str(tmp_path / "broken"), store=store))


def test_the_paper_shapes_are_transformers_defaults():
    from transformers import ModernBertConfig

    assert set(ARCHITECTURES["base"]) == {"model_type", "max_position_embeddings", "rope_parameters"}
    assert ModernBertConfig().num_hidden_layers == 22
