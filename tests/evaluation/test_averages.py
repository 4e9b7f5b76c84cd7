"""A benchmark's mean: BEIR's CQADupStack is one set of twelve parts (Thakur et al. 2021, table 2)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from modernbert.data.registry import find_tasks
from modernbert.evaluation.averages import averages


def result(value: float):
    scores = SimpleNamespace(main=SimpleNamespace(value=value))
    return SimpleNamespace(systems=[SimpleNamespace(system=s, ranking=scores) for s in ("m", "bm25 (code)")])


def test_beirs_mean_is_over_fifteen_sets():
    tasks = find_tasks("retrieval/beir")
    assert len(tasks) == 26
    values = np.linspace(0.1, 0.9, len(tasks))
    parts = np.array(["cqadupstack" in task.name for task in tasks])
    expected = np.mean([*values[~parts], values[parts].mean()])
    (mean,) = averages(tasks, [result(value) for value in values])
    assert mean.by_system == {"m": pytest.approx(expected), "bm25": pytest.approx(expected)}
    assert str(mean) == "nDCG@10 over all 15 sets of beir"


def test_each_benchmark_has_its_own_mean_that_says_what_it_lacks():
    tasks = [
        *find_tasks("retrieval/nano")[:3],
        *find_tasks("retrieval/beir")[:2],
        *find_tasks("retrieval/mldr-en"),
    ]
    found = averages(tasks, [result(value) for value in (0.1, 0.2, 0.3, 0.5, 0.7, 0.0)])
    assert [str(mean) for mean in found] == [
        "nDCG@10 over 3 of 13 sets of nanobeir", "nDCG@10 over 2 of 15 sets of beir",
    ]  # fmt: skip
    assert [mean.by_system["m"] for mean in found] == pytest.approx([0.2, 0.6])


def test_tasks_of_no_benchmark_are_averaged_together():
    tasks = [task for task in find_tasks("codesearch/all") if not task.average][:3]
    (mean,) = averages(tasks, [result(value) for value in (0.1, 0.2, 0.6)])
    assert str(mean) == "nDCG@10 over 3 tasks"
    assert mean.by_system["m"] == pytest.approx(0.3)
