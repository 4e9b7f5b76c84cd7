"""What a user may choose of a task: main metric, positive class, and from which probability it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from modernbert.data.task import Kind, Task
from modernbert.errors import BadOption

# Of two classes, beside the metrics of any classes: what is said of the positive one.
OF_POSITIVE = ("precision", "recall", "f1", "average_precision", "roc_auc")
# No metric that chooses a checkpoint: the smaller the better, and R² orders models as the second one does.
ERRORS = ("mean_absolute_error", "root_mean_squared_error")


def usual_metrics(kind: Kind, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return how own data is scored, the main metric first."""
    if kind == "regression":
        return ("r2", "mean_absolute_error", "root_mean_squared_error", "pearson", "spearman")
    if kind == "multi_label":
        return ("micro_f1", "macro_f1", "exact_match")
    return ("accuracy", "macro_f1", *(("matthews", *OF_POSITIVE) if len(labels) == 2 else ()))


def possible_metrics(task: Task) -> tuple[str, ...]:
    """Return every metric that can be the main one of a task."""
    found = dict.fromkeys((*task.metrics, *usual_metrics(task.kind, task.labels)))
    if task.kind == "single_label":
        found["matthews"] = None
    return tuple(name for name in found if name not in ERRORS)


def rarer_class(labels: tuple[str, ...], answers_N: np.ndarray) -> str:
    """Return the name of the class of two that fewer rows have; of equals the second."""
    counts = np.bincount(answers_N, minlength=2)
    return labels[0] if counts[0] < counts[1] else labels[1]


def with_choices(task: Task, settings: Mapping[str, Any]) -> Task:
    """Return a task as a user wants it scored.

    Args:
        task: as its data sheet says, or as its file was read.
        settings: by name, those that the user gave.

    Raises:
        BadOption: the task has no such metric or label, or is not of two classes.
    """
    if positive := settings.get("positive"):
        task = _with_positive(task, positive)
    if metric := settings.get("metric"):
        task = _with_metric(task, metric)
    if threshold := settings.get("threshold"):
        if not (task.is_binary or task.kind == "multi_label"):
            raise _of_two(task, "threshold", " or several labels a text")
        task = replace(task, decision=threshold)
    return task


def _with_positive(task: Task, positive: str) -> Task:
    if not task.is_binary:
        raise _of_two(task, "positive")
    if positive not in task.labels:
        raise BadOption(f"{task.name} has no label '{positive:.60}'", fix=f"Use {' or '.join(task.labels)}.")
    return replace(task, positive=positive)


def _with_metric(task: Task, metric: str) -> Task:
    if metric not in (possible := possible_metrics(task)):
        why = f": it needs two classes, and {_kind(task)}" if metric in OF_POSITIVE else ""
        raise BadOption(f"{metric} is no metric of {task.name}{why}", fix=f"Use {', '.join(possible)}.")
    return replace(task, metrics=(metric, *(name for name in task.metrics if name != metric)))


def _of_two(task: Task, name: str, more: str = "") -> BadOption:
    return BadOption(f"--{name} applies only to two classes{more}; {task.name}: {_kind(task)}")


def _kind(task: Task) -> str:
    if task.kind == "single_label":
        return f"there are {len(task.labels):,}"
    return "a text has several labels" if task.kind == "multi_label" else "numbers are predicted"
