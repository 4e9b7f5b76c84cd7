"""The bag of words that a taught encoder starts from: what it is, what fitting does, and that it is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import tiny_modernbert_config
from transformers import ModernBertForMaskedLM

from modernbert.evaluation.embed import Embedder
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.model.locate import locate_model
from modernbert.pretraining import words
from modernbert.pretraining.distillation import Student
from modernbert.pretraining.job import joined
from modernbert.pretraining.store import Pieces
from modernbert.pretraining.teacher import Targets, projection

SIZE = 32  # of the student's vectors


@pytest.fixture
def teacher(tmp_path, tiny_tokenizer, store):
    """A BERT with random weights as a sentence encoder; vectors of 24 numbers."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=128, hidden_size=24, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    save_embedder(BertModel(config).eval(), tiny_tokenizer, EmbeddingSettings(max_length=32), tmp_path / "t")
    return Embedder(locate_model(str(tmp_path / "t"), store=store))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ModernBertForMaskedLM(tiny_modernbert_config()).eval()


@pytest.fixture
def pieces(tiny_tokenizer):
    """Three hundred texts of eight words; every second word is one of three that say nothing."""
    draw = np.random.default_rng(0)
    ids = draw.integers(10, 60, (300, 8))
    ids[:, ::2] = draw.integers(7, 10, (300, 4))
    ids[:, 0], ids[:, -1] = tiny_tokenizer.cls_token_id, tiny_tokenizer.sep_token_id
    shard = ids.astype(np.uint16).ravel()
    return Pieces((shard,), np.array([0, len(shard)]), np.arange(0, len(shard) + 1, 8))


def bag_targets(pieces):
    """What a teacher says that hears only the words that mean something: a sum of vectors of their own."""
    words_VS = np.random.default_rng(1).standard_normal((128, 24)).astype(np.float32)
    words_VS[:10] = 0
    vectors_NS = np.stack([words_VS[pieces[n]].sum(axis=0) for n in range(len(pieces))])
    return Targets.projected([vectors_NS], projection(vectors_NS, SIZE))


def cosines(model, pieces, targets):
    everything = np.arange(len(pieces))
    with torch.inference_mode():
        vectors_ND = Student(model, EmbeddingSettings())(joined(pieces, everything))
    return (vectors_ND * targets.of(everything)).sum(dim=1)


def test_each_token_begins_as_the_teachers_vector_of_its_text(teacher, tiny_tokenizer):
    from sentence_transformers import SentenceTransformer

    rotation_SD = projection(np.eye(24, dtype=np.float32), SIZE)
    texts = [tiny_tokenizer.decode([number]).strip() or " " for number in range(len(tiny_tokenizer))]
    wanted = SentenceTransformer(str(teacher.source.folder), device="cpu").encode(texts)
    wanted = (wanted - wanted.mean(axis=0)) @ rotation_SD
    found = words.vectors_of_tokens(teacher, tiny_tokenizer, rotation_SD)
    # Not 1: the other library reads the names of special tokens as such, which moves the mean.
    assert np.dot(found[20], wanted[20]) / np.linalg.norm(wanted[20]) > 0.98


def test_a_bag_is_what_the_model_computes_and_knows_no_order(model, pieces):
    words.begin_as_bag(model)
    encoder, some = model.base_model, np.array([3, 200, 41])
    with torch.inference_mode():
        states_VD = encoder.final_norm(encoder.embeddings.norm(model.get_input_embeddings().weight))
        bags_ND = torch.nn.functional.normalize(words.means(states_VD, pieces, some))
        found_ND = Student(model, EmbeddingSettings())(joined(pieces, some))
    torch.testing.assert_close(found_ND, bags_ND)


def test_fitting_finds_the_words_that_mean_something(model, pieces, monkeypatch):
    monkeypatch.setattr(words, "EPOCHS", 150)
    targets = bag_targets(pieces)
    words.begin_as_bag(model)
    before = cosines(model, pieces, targets).mean()
    words.fit_words(model, pieces, targets, lambda: None)
    after = cosines(model, pieces, targets).mean()
    assert before < 0.3 < 0.9 < after
    encoder = model.base_model
    states_VD = encoder.final_norm(encoder.embeddings.norm(model.get_input_embeddings().weight))
    lengths_V = states_VD.norm(dim=1)
    # What these words say nothing of, they say less of.
    assert lengths_V[7:10].max() < 0.85 * lengths_V[10:60].mean()


def test_fitted_words_are_kept(model, teacher, pieces, tiny_tokenizer, monkeypatch):
    targets = bag_targets(pieces)
    words.start_from_words(model, teacher, tiny_tokenizer, pieces, targets, "corpus")
    monkeypatch.setattr(words, "fit_words", None)
    torch.manual_seed(5)
    again = ModernBertForMaskedLM(tiny_modernbert_config())
    words.start_from_words(again, teacher, tiny_tokenizer, pieces, targets, "corpus")
    first, second = (m.get_input_embeddings().weight for m in (model, again))
    assert torch.equal(first, second)
    with pytest.raises(TypeError):  # another corpus is fitted anew
        words.start_from_words(again, teacher, tiny_tokenizer, pieces, targets, "another")
