"""Training a cross-encoder, and ordering what a search found with it."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from helpers import request_of

from modernbert.data.collection import Collection, Documents
from modernbert.errors import BadModel
from modernbert.evaluation.rerank import Reranker, rerank
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.training.reranking import groupwise, make_groups


def test_the_loss_compares_within_a_group():
    logits = torch.tensor([[2.0], [1.0], [0.0], [0.0], [0.0], [3.0]])
    loss, count = groupwise(logits, torch.zeros(2, dtype=torch.int64))
    e = np.exp
    first = -np.log(e(2) / (e(2) + e(1) + 1))
    second = -np.log(1 / (1 + 1 + e(3)))
    assert count == 2
    assert float(loss) == pytest.approx(first + second, rel=1e-5)


def test_groups_take_given_negatives_first_and_never_a_relevant_document():
    ids = [f"d{i}" for i in range(8)]
    texts = ["good w1", "good w2", "good w1", *(f"w{i} fine" for i in range(5))]
    collection = Collection(
        "toy", "train", Documents(ids, [""] * 8, texts), {"q": "good"}, {"q": {"d0": 1, "d1": 1, "d7": 0}}
    )
    groups = make_groups(collection, "english", 4, seed=0)
    assert [group[0] for group in groups] == [("good", "good w1"), ("good", "good w2")]
    for group in groups:
        assert group[1] == ("good", texts[7])
        assert not {"good w1", "good w2"} & {document for _, document in group[1:]}, "d2 repeats d0's text"


def test_only_the_best_are_read_and_the_order_is_the_models():
    read = []

    def score(pairs):
        read.extend(pairs)
        return np.array([float(document) for _, document in pairs])

    documents = ["0", "1", "2", "3"]
    scores, numbers = rerank(score, ["q"], documents, np.array([[2, 0, 3, 1]]), depth=3)
    assert numbers.tolist() == [[3, 2, 0, 1]]
    assert scores.tolist() == [[3.0, 2.0, 0.0, -1.0]]
    assert len(read) == 3


@pytest.mark.parametrize("lora", [False, True])
def test_it_learns_what_words_cannot_tell(lora, tmp_path, store, tiny_bert):
    """Every document of a query holds its word; only the one with a good word answers."""
    draw = random.Random(0)
    rows = []
    for i in range(60):
        word = f"w{i}"
        rows.append(
            {
                "query": word,
                "positive": f"{word} {draw.choice(['good', 'fine', 'great'])}",
                "negative": [f"{word} {bad}" for bad in ("bad", "awful", "dull")],
            }
        )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"head": "reranker", "hard_negatives": 3, "epochs": 6.0, "batch_size": 8, "lora": lora}
    rate = 3e-2 if lora else 3e-3
    result = finetune(request_of(path, tiny_bert, **settings, learning_rate=rate), store)
    assert result.main > result.record.training.history[0].metrics["ndcg_at_10"]
    assert "BM25's best 100 documents" in " ".join(result.headline.notes)
    reranker = Reranker(locate_model(result.name, store=store), device="cpu", precision="fp32")
    good = reranker.score([(f"w{i}", f"w{i} fine") for i in range(60)])
    bad = reranker.score([(f"w{i}", f"w{i} awful") for i in range(60)])
    assert (good > bad).mean() > 0.9


def test_an_encoder_without_a_head_cannot_rerank(tiny_bert, store):
    with pytest.raises(BadModel, match="cannot rerank"):
        Reranker(locate_model(str(tiny_bert), store=store))
