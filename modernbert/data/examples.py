"""Rows turned into what a model trains on: texts and labels, with every fault named by its row."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.data.alike import alike_key
from modernbert.data.cells import as_number, is_missing
from modernbert.data.rows import Rows
from modernbert.data.task import FileData, Task
from modernbert.errors import BadData


@dataclass(frozen=True)
class Examples:
    """Texts (one or two strings each) and their labels.

    `labels` is None when they are not wanted, else int64 of shape (N,) for single-label tasks, float32
    (N, C) of zeros and ones for multi-label, float32 (N,) for regression.
    """

    texts: list[tuple[str, ...]]
    labels: np.ndarray | None
    rows: Rows

    def __len__(self) -> int:
        return len(self.texts)


def to_examples(task: Task, rows: Rows, *, labelled: bool = True) -> Examples:
    """Read the texts, and the labels if wanted, of every row.

    Raises:
        BadData: a column is missing; a text or label is missing; a label is unknown or out of range.
    """
    texts = to_texts(rows, task.text)
    return Examples(texts, to_labels(task, rows) if labelled else None, rows)


def to_texts(rows: Rows, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return one tuple of strings per row. Raises BadData for a missing column or text."""
    require_columns(rows, columns)
    chosen = [rows.columns[name] for name in columns]
    for name, column in zip(columns, chosen, strict=True):
        for index, value in enumerate(column):
            if not isinstance(value, str):
                others = [n for n, cells in rows.columns.items() if cells[index] is not None]
                found = f"nothing (the row has {', '.join(others)})" if value is None else repr(value)[:60]
                raise BadData(
                    f"column '{name}' holds {found} where text is expected", where=rows.where(index)
                )
    return list(zip(*chosen, strict=True))


def require_columns(rows: Rows, columns: Sequence[str]) -> None:
    """Raise BadData, naming the columns there are and the closest match, unless all are present."""
    for name in (part for column in columns for part in rows.parts(column)):
        if name not in rows.columns:
            close = difflib.get_close_matches(name, list(rows.columns), n=1, cutoff=0.4)
            raise BadData(
                f"there is no column '{name}'; the columns are {', '.join(rows.columns)}",
                where=rows.origin,
                fix=(f"Did you mean '{close[0]}'? " if close else "")
                + "Name the columns with --text-col (and --label-col, where labels are read).",
            )


def to_labels(task: Task, rows: Rows) -> np.ndarray:
    """Return the labels as numbers, see `Examples`. Raises BadData with the row of the first bad one."""
    require_columns(rows, [task.label])
    read = {"single_label": _class_index, "multi_label": _class_indicator, "regression": _number}[task.kind]
    values = [read(task, rows, index, value) for index, value in enumerate(rows.cells(task.label))]
    return np.asarray(values, dtype=np.int64 if task.kind == "single_label" else np.float32)


def _present(task: Task, rows: Rows, index: int, value: Any) -> Any:
    if is_missing(value):
        raise BadData(f"the label (column '{task.label}') is missing", where=rows.where(index))
    return value


def _class_index(task: Task, rows: Rows, index: int, value: Any) -> int:
    value = _present(task, rows, index, value)
    if isinstance(task.source, FileData) or isinstance(value, str):
        names = task.cells.names(value, column=task.label, where=rows.where(index))
        if len(names) != 1:
            raise BadData(
                f"column '{task.label}' holds {len(names)} labels where one is expected",
                where=rows.where(index),
                fix="Train with --kind multi_label for several labels a row.",
            )
        return _name_index(task, rows, index, names[0])
    if value == -1:
        raise BadData(
            "the label is -1: it is hidden", where=rows.where(index), fix="Score the validation split."
        )
    if not isinstance(value, int) or not 0 <= value < len(task.labels):
        raise BadData(
            f"label {value!r} is out of range 0 to {len(task.labels) - 1} ({', '.join(task.labels)})",
            where=rows.where(index),
        )
    return value


def _name_index(task: Task, rows: Rows, index: int, name: str) -> int:
    if name not in task.labels:
        shown = ", ".join(task.labels[:10]) + (", ..." if len(task.labels) > 10 else "")
        raise BadData(
            f"label '{name}' does not occur in the training data, which has {shown}",
            where=rows.where(index),
            fix=_hint(name, task.labels) + "Mend the label, or add training rows that have it.",
        )
    return task.labels.index(name)


def _hint(name: str, labels: Sequence[str]) -> str:
    alike = next((known for known in labels if alike_key(known) == alike_key(name)), None)
    return f"It looks like the label '{alike}'. " if alike is not None else ""


def _class_indicator(task: Task, rows: Rows, index: int, value: Any) -> list[float]:
    if not (task.cells.form == "separated" and value == ""):  # a row without labels
        value = _present(task, rows, index, value)
    names = task.cells.names(value, column=task.label, where=rows.where(index))
    chosen = {_name_index(task, rows, index, name) for name in names}
    return [float(i in chosen) for i in range(len(task.labels))]


def _number(task: Task, rows: Rows, index: int, value: Any) -> float:
    number = as_number(_present(task, rows, index, value))
    if number is None:
        raise BadData(f"label {str(value)[:40]!r} is no plain number", where=rows.where(index),
                      fix="Write digits and a decimal point alone, such as 1234.5 (below 3e38).")  # fmt: skip
    low, high = task.label_range or (-math.inf, math.inf)
    if not low <= number <= high:
        raise BadData(f"label {number:g} is out of range {low:g} to {high:g}", where=rows.where(index))
    return number
