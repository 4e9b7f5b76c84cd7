"""Score predictions on a split: metrics with intervals, per-example rows, and what to call out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.data.examples import Examples
from modernbert.data.task import Task
from modernbert.errors import BadModel
from modernbert.evaluation.metrics import METRICS, Score, score
from modernbert.evaluation.predict import decide, probabilities


@dataclass(frozen=True)
class SplitScores:
    """The scores of one split; the first is the task's main metric."""

    split: str
    scores: tuple[Score, ...]
    notes: tuple[str, ...]

    @property
    def main(self) -> Score:
        """The main metric's score."""
        return self.scores[0]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "split": self.split,
            "scores": [score.as_dict() for score in self.scores],
            "notes": list(self.notes),
        }


def score_split(task: Task, split: str, examples: Examples, logits_NC: np.ndarray) -> SplitScores:
    """Score one split from its logits, shape (N, C).

    Raises:
        BadModel: logits that are not numbers.
    """
    assert examples.labels is not None
    require_numbers(split, logits_NC)
    predictions = decide(logits_NC, task.kind)
    scores = tuple(score(metric, examples.labels, predictions) for metric in task.metrics)
    return SplitScores(split, scores, collapse_notes(task, predictions))


def require_numbers(split: str, logits_NC: np.ndarray) -> None:
    """Refuse answers that are not numbers: NaN would count as a class, and as a correlation of 0."""
    if broken := int((~np.isfinite(logits_NC)).any(axis=1).sum()):
        raise BadModel(
            f"answers to {broken:,} of {len(logits_NC):,} examples are not numbers (nan, infinite)",
            where=split,
            fix="Try --precision fp32; if that is no help, its weights are broken: train it again.",
        )


def quick_metrics(task: Task, labels: np.ndarray, logits_NC: np.ndarray) -> dict[str, float]:
    """Return the task's metrics without intervals, for evaluations during training.

    Raises:
        BadModel: logits that are not numbers.
    """
    require_numbers("validation", logits_NC)
    predictions = decide(logits_NC, task.kind)
    return {name: METRICS[name](labels, predictions) for name in task.metrics}


def collapse_notes(task: Task, predictions: np.ndarray) -> tuple[str, ...]:
    """Call out a model that predicts the same for every example."""
    if len(predictions) < 2 or len(np.unique(predictions, axis=0)) > 1:
        return ()
    if task.kind == "single_label":
        return (
            f"every example is predicted '{task.labels[int(predictions[0])]}': the model tells nothing apart",
        )
    return ("every example gets the same prediction: the model tells nothing apart",)


def example_rows(
    task: Task, split: str, examples: Examples, logits_NC: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield one row per example: its id (split and row number), label, prediction and logits."""
    assert examples.labels is not None
    predictions = decide(logits_NC, task.kind)
    for i, number in enumerate(examples.rows.numbers):
        yield {
            "id": f"{split}/{number}",
            "label": examples.labels[i].tolist(),
            "prediction": predictions[i].tolist(),
            "logits": [round(float(value), 5) for value in logits_NC[i]],
        }


def readable_prediction(task: Task, logits_C: np.ndarray) -> dict[str, Any]:
    """Return one prediction in the task's own words.

    Single-label: `prediction` (a name), `confidence`, `probabilities`; multi-label: `prediction` (a list
    of names) and `probabilities`; regression: `prediction` (a number).
    """
    if task.kind == "regression":
        return {"prediction": round(float(logits_C[0]), 6)}
    shares = probabilities(logits_C[None], task.kind)[0]
    named = {name: round(float(share), 6) for name, share in zip(task.labels, shares, strict=True)}
    if task.kind == "multi_label":
        return {"prediction": [n for n, share in named.items() if share > 0.5], "probabilities": named}
    best = task.labels[int(shares.argmax())]
    return {"prediction": best, "confidence": named[best], "probabilities": named}
