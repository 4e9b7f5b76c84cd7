"""A loaded model for texts in memory: labels of texts or of words, or vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.scoring import readable_prediction
from modernbert.evaluation.tagging import Tagger
from modernbert.evaluation.trained_task import task_of_head, task_of_run
from modernbert.model.locate import ModelSource, record_of
from modernbert.model.pretrained import load_config
from modernbert.model.tagger import is_tagger
from modernbert.records.record import TrainingRecord


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier."""

    scorer: Scorer

    def predict(self, texts: Sequence[str | tuple[str, ...]]) -> list[dict[str, Any]]:
        """Return, for each text or pair of texts, the `prediction` and `probabilities` of the labels."""
        found = self.logits(texts) if texts else ()
        return [readable_prediction(self.scorer.task, logits_C) for logits_C in found]

    def logits(self, texts: Sequence[str | tuple[str, ...]]) -> np.ndarray:
        """Return logits, fp32, shape (N, C), in the order of the task's labels."""
        return self.scorer.logits([(t,) if isinstance(t, str) else tuple(t) for t in texts])


def load_model(
    source: ModelSource, *, max_length: int, device: str, precision: str
) -> Classifier | Tagger | Embedder:
    """Load a model: a `Classifier` or `Tagger` if it has a head for labels, else an `Embedder`.

    Raises:
        MbertError: as these three.
    """
    if is_tagger(source):
        return Tagger(source, max_length=max_length, device=device, precision=precision)
    if not _has_labels(source):
        return Embedder(source, max_length=max_length, device=device, precision=precision)
    record = record_of(source)
    task = task_of_run(record) if record else task_of_head(source, text=("text",))
    length = max_length or trained_length(source)
    return Classifier(Scorer(source, task, max_length=length, device=device, precision=precision))


def _has_labels(source: ModelSource) -> bool:
    if isinstance(record := record_of(source), TrainingRecord):
        return record.task.kind in ("single_label", "multi_label", "regression")
    made = load_config(source.folder).architectures or [""]
    return str(made[0]).endswith("ForSequenceClassification")
