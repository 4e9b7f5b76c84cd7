"""How much the examples of each class count in the loss.

Shape suffixes: N examples, C labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modernbert.data.task import Task
from modernbert.errors import BadData, BadOption
from modernbert.reading import parse_json, read_bytes

# Larger than any use, and small enough to compute with.
LARGEST = 1e6


def class_weights(task: Task, wanted: str, labels: np.ndarray) -> dict[str, float]:
    """Return the weight of each label; empty where all count alike.

    Args:
        task: of one label a text, or several.
        wanted: `none`, `balanced`, or a JSON file of weights by label; labels that it leaves out weigh 1.
        labels: of the training rows.

    Raises:
        BadOption: numbers are predicted, which have no classes.
        BadData: the file is missing or no such file, or names what is no label.
    """
    if wanted == "none":
        return {}
    if task.kind == "regression":
        raise BadOption(f"--class-weights needs classes, and {task.name} predicts numbers")
    if wanted == "balanced":
        weights_C = _balanced(labels, len(task.labels), several=task.kind == "multi_label")
        return dict(zip(task.labels, weights_C.tolist(), strict=True))
    return dict.fromkeys(task.labels, 1.0) | _read(Path(wanted), task)


def _balanced(labels: np.ndarray, size: int, *, several: bool) -> np.ndarray:
    """Return n / (k * count), as scikit-learn has it, of k classes that occur.

    Of several labels it is the number of texts without a label for each text with it, as torch's
    documentation of `pos_weight` has it. A label without rows weighs 1.
    """
    count_C = labels.sum(axis=0) if several else np.bincount(labels, minlength=size)
    there_C = count_C > 0
    balanced_C = (len(labels) - count_C) if several else np.full(size, len(labels) / there_C.sum())
    weights_C = np.divide(balanced_C, count_C, where=there_C, out=np.ones(size))
    return np.where(weights_C > 0, weights_C, 1.0)  # a label that every text has has nothing to balance


def _read(path: Path, task: Task) -> dict[str, float]:
    found = parse_json(read_bytes(path), where=str(path), strict=True)
    example = "{" + f'"{task.labels[0]}": 1.0, "{task.labels[1]}": 5.0' + "}"
    if not isinstance(found, dict):
        raise BadData("no object of weights by label", where=str(path), fix=f"Write {example}.")
    for label, weight in found.items():
        if label not in task.labels:
            known = ", ".join(task.labels[:5]) + (", ..." if len(task.labels) > 5 else "")
            raise BadData(
                f"'{label:.60}' is no label of {task.name}", where=str(path), fix=f"It has {known}."
            )
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not 0 < weight <= LARGEST:
            raise BadData(
                f"the weight of '{label:.60}' is {weight!r:.60}; it must be a number above 0 and at most "
                f"{LARGEST:,.0f}",
                where=str(path),
            )
    return {label: float(weight) for label, weight in found.items()}
