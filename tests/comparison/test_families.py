"""Holm's correction: over everything that is compared with one baseline, whatever tasks call it."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.compare import compare
from modernbert.evaluation.protocols import PROTOCOLS


def stepwise(p_values: list[float]) -> list[float]:
    """Return Holm's corrected p-values as R's `p.adjust` defines them."""
    m, order = len(p_values), np.argsort(p_values)
    steps = np.maximum.accumulate([(m - rank) * p_values[place] for rank, place in enumerate(order)])
    return np.minimum(1, steps)[np.argsort(order)].tolist()


def searched_with_bm25(store, task: str, analyser: str, right: np.ndarray) -> None:
    """Write what an evaluation of retrieval keeps of its keyword search."""
    system = f"bm25 ({analyser})"
    score = {"metric": "ndcg_at_10", "value": float(right.mean()), "low": 0.0, "high": 1.0, "n": len(right),
             "interval": "none"}  # fmt: skip
    result = {"split": "validation", "system": system, "parts": ["bm25"], "scores": [score]}
    config = {"protocol": asdict(PROTOCOLS["mteb"]), "max_length": 64, "passages": 0}
    name = f"eval-{task.replace('/', '-')}"
    record = {"results": [result], "config": config, "truncated": 0.0}
    made_run(store, name, "minilm", right, seed=None, task=task, kind="retrieval", kept_as="retrieval",
             record=record)  # fmt: skip
    path = store.path(name) / "scores.jsonl"
    rows = [json.loads(line) | {"system": system} for line in path.read_text().splitlines()]
    path.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture
def searches(store):
    """Two models of three seeds and BM25, on a task of code and on one of English."""
    random = np.random.default_rng(0)
    for task, analyser in (("own/code", "code"), ("own/text", "english")):
        searched_with_bm25(store, task, analyser, random.random(300) < 0.6)
        for model, share in (("one", 0.68), ("other", 0.7)):
            for seed in (1, 2, 3):
                right = random.random(300) < share
                made_run(store, f"{task[4:]}-{model}-{seed}", model, right, seed=seed, task=task,
                         kind="retrieval")  # fmt: skip
    return store


def test_bm25_is_one_baseline_by_any_analyser(searches):
    found = compare(searches, [], ["bm25"])
    assert set(found.baselines) == {"bm25 (code)", "bm25 (english)"}
    contrasts = [c for task in found.tasks for c in task.contrasts]
    assert len(contrasts) == 4
    assert [c.p_corrected for c in contrasts] == pytest.approx(stepwise([c.difference.p for c in contrasts]))
    assert max(c.difference.p for c in contrasts) < 0.5


def test_two_baselines_are_two_families(searches):
    found = compare(searches, [], ["bm25", "one trained"])
    for names in ({"bm25 (code)", "bm25 (english)"}, {"one trained"}):
        own = [c for task in found.tasks for c in task.contrasts if c.baseline in names]
        assert own
        assert [c.p_corrected for c in own] == pytest.approx(stepwise([c.difference.p for c in own]))
