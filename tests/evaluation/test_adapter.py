"""The `evaluate` library's interface gives a task's metrics, as scikit-learn and scipy compute them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score

from modernbert.data.registry import find_task
from modernbert.evaluation.adapter import TaskMetric

EXPECTED = {
    "glue/mrpc": {"f1": f1_score, "accuracy": accuracy_score},
    "glue/stsb": {"spearman": lambda a, b: spearmanr(a, b)[0], "pearson": lambda a, b: pearsonr(a, b)[0]},
    "text/bbc-news": {"accuracy": accuracy_score, "macro_f1": lambda a, b: f1_score(a, b, average="macro")},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_others(name):
    labels, predictions = np.random.default_rng(0).integers(0, 2, (2, 50))
    found = TaskMetric(find_task(name)).compute(predictions=predictions, references=labels)
    assert found == pytest.approx({m: of(labels, predictions) for m, of in EXPECTED[name].items()})
