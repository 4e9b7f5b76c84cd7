"""The `evaluate` library's interface gives mbert's own values."""

from __future__ import annotations

import numpy as np
import pytest

from modernbert.data.registry import find_task
from modernbert.evaluation.metrics import METRICS


@pytest.mark.parametrize("name", ["glue/mrpc", "glue/stsb", "text/bbc-news"])
def test_values_are_the_same(name):
    from modernbert.evaluation.adapter import TaskMetric

    task = find_task(name)
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 2, (2, 50))
    found = TaskMetric(task).compute(predictions=predictions, references=labels)
    assert found == {m: METRICS[m](labels, predictions) for m in task.metrics}
