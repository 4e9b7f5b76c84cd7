"""Recomputing layers saves memory and changes nothing else."""

from __future__ import annotations

import pytest
from helpers import request_of

from modernbert.finetuning.finetune import finetune


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_scores_and_logits_stay(model, lora, reviews, store, request):
    """tiny_bert trains with dropout: what is computed again must draw the same numbers."""
    folder = request.getfixturevalue(model)
    kept, recomputed = (
        finetune(request_of(reviews, folder, lora=lora, epochs=1.0, recompute=flag), store)
        for flag in (False, True)
    )
    rows = [(store.path(run.name) / "scores.jsonl").read_text() for run in (kept, recomputed)]
    assert rows[0] == rows[1]
    assert recomputed.record.config.by_name()["recompute"]


def test_layers_are_computed_twice(reviews, store, tiny_modernbert, monkeypatch):
    from modernbert.model import encoder

    passes = []
    real = encoder._attention
    monkeypatch.setattr(encoder, "_attention", lambda *a: passes.append(1) or real(*a))
    counts = []
    for flag in (False, True):
        passes.clear()
        finetune(request_of(reviews, tiny_modernbert, epochs=1.0, recompute=flag), store)
        counts.append(len(passes))
    assert counts[1] > 1.3 * counts[0]
