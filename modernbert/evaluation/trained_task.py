"""The task that a finished run was trained on, from its record: what it predicts, from which columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        labels=tuple(kept["labels"]),
        metrics=tuple(kept["metrics"]),
        source=FileData({}, Path()),
        validation=(),
    )


def task_of_file(
    record: dict[str, Any], path: Path, *, text: tuple[str, ...] = (), label: str | None = None
) -> Task:
    """Return a run's task with the rows of `path` as its test split, to score the run on other data.

    Raises:
        BadData: the file cannot be read.
    """
    trained = task_of_run(record)
    return Task(
        name=f"own/{path.stem}",
        summary=f"own data from {path}",
        kind=trained.kind,
        text=text or trained.text,
        label=label or trained.label,
        labels=trained.labels,
        metrics=trained.metrics,
        source=FileData({"test": read_rows(path)}, path),
        validation=(),
        test=("test",),
    )
