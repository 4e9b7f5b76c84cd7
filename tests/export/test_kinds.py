"""Each kind of model that is no run, exported and proven on rows or a collection that are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from collections_toy import write_collection
from helpers import tiny_modernbert_config, toy_rows, toy_sentences, write_conll, write_csv

from modernbert.errors import BadOption
from modernbert.model.locate import locate_model
from modernbert.model.pretrained import quiet_transformers

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from modernbert.export.export import export_model
from modernbert.export.subject import ExportRequest


def saved(model, tokenizer, folder):
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


def test_a_model_that_is_no_run_needs_rows(tiny_classifier_of_pairs, store):
    with pytest.raises(BadOption, match="nothing tells on which rows"):
        export_model(ExportRequest(model=str(tiny_classifier_of_pairs)), store)


@pytest.fixture(scope="module")
def tiny_classifier_of_pairs(place, tiny_tokenizer):
    """A BERT with segments that reads two texts."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, pad_token_id=0,
        id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1},
    )  # fmt: skip
    folder = saved(BertForSequenceClassification(config), tiny_tokenizer, place / "pairs")
    path = folder / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": names}))
    return folder


def test_bert_on_pairs_reads_segments(tiny_classifier_of_pairs, store, tmp_path):
    rows = [
        {"first": a["text"], "second": b["text"], "label": "yes" if a["label"] == b["label"] else "no"}
        for a, b in zip(toy_rows(30), toy_rows(30, seed=1), strict=True)
    ]
    path = write_csv(tmp_path / "pairs.csv", rows)
    request = ExportRequest(
        model=str(tiny_classifier_of_pairs), output=tmp_path / "out", on=str(path), text=("first", "second"),
        label="label", rows=20,
    )  # fmt: skip
    made = export_model(request, store)
    assert made.record.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert made.record.proof.outputs.agreement == 1
    assert made.record.proof.outputs.rows == 20
    assert "20 rows of 30" in made.record.proof.notes[0]


def test_a_bi_encoder_gives_the_same_vectors_and_finds_the_same(tiny_modernbert, store, tmp_path):
    from modernbert.evaluation.embed import Embedder

    collection = write_collection(tmp_path / "toy")
    made = export_model(
        ExportRequest(model=str(tiny_modernbert), output=tmp_path / "out", on=str(collection)), store
    )
    proof = made.record.proof
    assert made.record.outputs == ("last_hidden_state", "sentence_embedding")
    assert proof.outputs.agreement > 1 - 1e-6
    assert proof.metrics[0].metric == "ndcg_at_10"
    assert all(m.torch == m.export for m in proof.metrics)
    vectors = [
        Embedder(locate_model(str(folder), store=store), device="cpu", precision=precision).encode(
            ["good w2 w3", ""]
        )
        for folder, precision in ((tiny_modernbert, "fp32"), (made.folder, "auto"))
    ]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5
    assert np.linalg.norm(vectors[1], axis=1) == pytest.approx(1)


def test_a_reranker(place, tiny_tokenizer, store, tmp_path):
    from transformers import ModernBertForSequenceClassification

    torch.manual_seed(0)
    model = ModernBertForSequenceClassification(tiny_modernbert_config(num_labels=1))
    folder = saved(model, tiny_tokenizer, place / "reranker")
    made = export_model(
        ExportRequest(model=str(folder), output=tmp_path / "out", on=str(write_collection(tmp_path / "toy"))),
        store,
    )
    assert made.record.kind == "reranker"
    assert made.record.proof.outputs.agreement == 1
    assert made.record.proof.outputs.largest < 1e-4


def test_a_tagger(place, tiny_tokenizer, store, tmp_path):
    from transformers import ModernBertForTokenClassification

    from modernbert.evaluation.tagging import Tagger

    torch.manual_seed(0)
    tags = ["O", "B-PLUS", "I-PLUS", "B-MINUS", "I-MINUS"]
    config = tiny_modernbert_config(
        id2label=dict(enumerate(tags)), label2id={t: i for i, t in enumerate(tags)}
    )
    folder = saved(ModernBertForTokenClassification(config), tiny_tokenizer, place / "tagger")
    words = write_conll(tmp_path / "words.conll", toy_sentences(20))
    made = export_model(ExportRequest(model=str(folder), output=tmp_path / "out", on=str(words)), store)
    assert made.record.kind == "tagger"
    assert made.record.proof.outputs.agreement == 1
    texts = ["good w1 bad awful w2", "w3"]
    own, export = (
        Tagger(locate_model(str(f), store=store), device="cpu").predict(texts) for f in (folder, made.folder)
    )
    assert [[e["label"] for e in one["prediction"]] for one in own] == [
        [e["label"] for e in one["prediction"]] for one in export
    ]
