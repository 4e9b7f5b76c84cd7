"""mbert's metrics as a metric of the `evaluate` library, for code that expects one (such as Trainer's)."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from modernbert.data.task import Task
from modernbert.evaluation.metrics import METRICS, measured
from modernbert.evaluation.sums import RANKED


class TaskMetric(evaluate.Metric):  # type: ignore[misc]  # the library is not typed
    """All metrics of one task's decisions; `compute(predictions=..., references=...)` returns {name: value}.

    Predictions and references are class indices, 0/1 lists, or numbers, by the task's kind. Nothing is
    fetched: `evaluate.load` would run a script from the Hub.
    """

    def __init__(self, task: Task) -> None:
        """Make the metric of `task`; values are kept in memory, no cache file is written."""
        self.task = task
        super().__init__(config_name=task.name, keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64" if self.task.kind == "regression" else "int64")
        feature = datasets.Sequence(value) if self.task.kind == "multi_label" else value
        return evaluate.MetricInfo(
            description=f"the metrics of {self.task.name}: {', '.join(self.task.metrics)}",
            citation=self.task.citation,
            inputs_description="predictions and references, one for each example",
            features=datasets.Features({"predictions": feature, "references": feature}),
        )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        labels, decided = np.asarray(references), np.asarray(predictions)
        return {
            name: METRICS[name](*measured(name, labels, decided, None, self.task.positive_index))
            for name in self.task.metrics
            if name not in RANKED
        }
