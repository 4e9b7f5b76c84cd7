"""Classifiers and models of numbers as a subject of an export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modernbert.benchmark.texts import Text
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.export.proof import Reading, compare_metrics, compare_outputs
from modernbert.export.rows import proof_rows
from modernbert.export.subject import ExportRequest, Subject
from modernbert.model.loading import load_trained
from modernbert.model.locate import ModelSource
from modernbert.records.export import Outputs, ProvenMetric


class ClassifierSubject(Subject):
    """A model that gives labels, or a number, of texts or pairs."""

    kind = "classifier"

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        """Find the rows of the proof first. Raises as `proof_rows`."""
        self.rows = proof_rows(
            source, request.on, request.rows, data_dir=request.data_dir, text=request.text,
            label=request.label,
        )  # fmt: skip
        rows = self.rows
        super().__init__(source, rows.data, rows.split, compared=len(rows.examples), of=rows.of)

    def load(self) -> Any:
        """Return the classifier."""
        return load_trained(self.source, self.rows.task)

    def reading(self, source: ModelSource, precision: str) -> Reading:
        """Return a scorer that reads texts as the run did."""
        length = trained_length(self.source)
        scorer = Scorer(source, self.rows.task, max_length=length, device="cpu", precision=precision)
        return Reading.of(scorer, scorer.logits)

    @property
    def texts(self) -> Sequence[Text]:
        """The rows' texts."""
        return self.rows.examples.texts

    def compare(self, own: Reading, export: Reading) -> tuple[Outputs, tuple[ProvenMetric, ...]]:
        """Compare logits and the task's metrics."""
        logits = [reading.run(list(self.texts)) for reading in (own, export)]
        return compare_outputs(self.rows, *logits), compare_metrics(self.rows, *logits)
