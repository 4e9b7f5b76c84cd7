"""The task that a finished run was trained on, from its record: what it predicts, from which columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modernbert.data.cells import Cells
from modernbert.data.columns import check_text_columns
from modernbert.data.labels import read_label_column
from modernbert.data.readers import read_rows
from modernbert.data.task import FileData, Task
from modernbert.errors import BadOption


def task_of_run(record: dict[str, Any]) -> Task:
    """Return the task of a run's record, with no data attached.

    Raises:
        BadOption: the run was trained for retrieval, or on text alone.
    """
    kept = record["task"]
    if kept["kind"] == "retrieval":
        raise BadOption(
            f"the run was trained for retrieval ({kept['name']}): it predicts no labels",
            fix="Search with it: mbert eval COLLECTION, mbert index PATH; or take its vectors: mbert embed.",
        )
    if kept["kind"] == "pretraining":
        raise BadOption(
            "the run was trained on text alone: it predicts no labels",
            fix="Fine-tune it: mbert finetune TASK --model RUN.",
        )
    return Task(
        name=kept["name"],
        summary="as trained",
        kind=kept["kind"],
        text=tuple(record["data"]["text"]),
        label=record["data"]["label"],
        cells=Cells(**record["data"].get("cells", {})),
        labels=tuple(kept["labels"]),
        metrics=tuple(kept["metrics"]),
        mean=record["data"].get("target", {}).get("mean"),
        thresholds=tuple(record.get("thresholds", {}).values()),
        source=FileData({}, Path()),
        validation=(),
    )


def require_as_trained(task: Task, text: tuple[str, ...]) -> None:
    """Raise BadOption when a pair of columns is named and the run reads one text, or the reverse."""
    if text and len(text) != len(task.text):
        kinds = {1: "one text", 2: "pairs of texts"}
        raise BadOption(
            f"the run reads {kinds[len(task.text)]}, and --text-col names {', '.join(text)}",
            fix=f"Give --text-col {'once' if len(task.text) == 1 else 'twice'}.",
        )


def task_of_file(
    record: dict[str, Any], path: Path, *, text: tuple[str, ...] = (), label: str | None = None
) -> Task:
    """Return a run's task with the rows of `path` as its test split, to score the run on other data.

    Raises:
        BadData: the file cannot be read.
        BadOption: the named columns cannot be those of this run.
    """
    trained = task_of_run(record)
    require_as_trained(trained, text)
    column = label or trained.label
    check_text_columns(text, column)
    rows = read_rows(path)
    cells = trained.cells
    if trained.kind == "multi_label" and "cells" not in record["data"] and column in rows.columns:
        cells = read_label_column(rows, column, trained.kind).cells  # an older version's run does not say
    return Task(
        name=f"own/{path.stem}",
        summary=f"own data from {path}",
        kind=trained.kind,
        text=text or trained.text,
        label=column,
        cells=cells,
        labels=trained.labels,
        metrics=trained.metrics,
        mean=trained.mean,
        thresholds=trained.thresholds,
        source=FileData({"test": rows}, path),
        validation=(),
        test=("test",),
    )
