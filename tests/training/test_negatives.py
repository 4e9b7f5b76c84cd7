"""Mined negatives: ranked high, not judged, and not suspiciously close to the positive."""

from __future__ import annotations

import numpy as np

from modernbert.data.collection import Collection, Documents
from modernbert.training.negatives import GUARD, mine


def test_relevant_and_too_similar_documents_are_left_out():
    ids = [f"d{i}" for i in range(6)]
    collection = Collection(
        "toy", "train", Documents(ids, [""] * 6, ids), {"q": "text"}, {"q": {"d0": 1, "d5": 0}}
    )
    angles = np.arccos([0.9, 0.89, GUARD * 0.9 - 0.01, 0.5, 0.1, 0.95])
    documents = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    query = np.array([[1.0, 0.0]], np.float32)
    judgements, guarded = mine(collection, query, documents, per_query=10, seed=0)
    assert judgements["q"] == {"d0": 1, "d5": 0, "d2": 0, "d3": 0, "d4": 0}
    assert guarded == 1, "d1 scores like the positive"
    few, _ = mine(collection, query, documents, per_query=2, seed=0)
    again, _ = mine(collection, query, documents, per_query=2, seed=0)
    assert few == again
    assert len(few["q"]) == 4
