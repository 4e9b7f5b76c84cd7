"""The rows of `scores.jsonl`: what a run did on each example or query, checked as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import BeforeValidator, Field, FiniteFloat
from typing_extensions import TypedDict

from modernbert.data.choices import OF_POSITIVE
from modernbert.errors import BadRun
from modernbert.reading import checked, read_lines
from modernbert.records.base import Text
from modernbert.records.record import RunRecord

ZeroOrOne = Annotated[float, Field(ge=0, le=1, multiple_of=1)]
DAMAGED = "The file was damaged or edited: evaluate or train again."


class Row(TypedDict):
    """Any row."""

    id: Text
    system: NotRequired[Text]
    cluster: NotRequired[Text | int]


class ClassRow(Row):
    """One example with one label."""

    label: Annotated[int, Field(ge=0)]
    prediction: Annotated[int, Field(ge=0)]
    logits: list[FiniteFloat]


class LabelsRow(Row):
    """One example with any number of labels."""

    label: list[ZeroOrOne]
    prediction: list[ZeroOrOne]
    logits: list[FiniteFloat]


# Begin, end (excluded) and label.
Entity = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)], Text],
    BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),
]


class NumberRow(Row):
    """One example with a number."""

    label: FiniteFloat
    prediction: FiniteFloat
    logits: list[FiniteFloat]


class EntitiesRow(Row):
    """One sentence: its entities, and those that were found; in characters."""

    label: list[Entity]
    prediction: list[Entity]


# What can be computed of each kind's labels.
METRICS = {
    "single_label": {"accuracy", "macro_f1", "matthews", *OF_POSITIVE},
    "multi_label": {"micro_f1", "macro_f1", "exact_match"},
    "regression": {"r2", "mean_absolute_error", "root_mean_squared_error", "pearson", "spearman"},
    "tokens": {"f1", "precision", "recall"},
}
KINDS = {
    "single_label": ClassRow,
    "multi_label": LabelsRow,
    "regression": NumberRow,
    "retrieval": Row,
    "tokens": EntitiesRow,
}
# What each query scores.
RETRIEVAL_METRICS = {"ndcg_at_10", "mrr_at_10", "map", "recall_at_10", "recall_at_100"}


def read_rows(path: Path, record: RunRecord, split: str) -> list[dict[str, Any]]:
    """Return a finished run's rows of one split, by id.

    Raises:
        BadRun: the file is missing or damaged, or a row is not of the record's task.
    """
    kind, labels = record.task.kind, len(record.task.labels)
    metrics = {r.main.metric for r in record.results if r.split == split}
    rows: dict[tuple[str | None, str], dict[str, Any]] = {}
    try:
        if unknown := metrics - METRICS.get(kind, metrics):
            said = f"'{unknown.pop()}' is no metric of such a task"
            raise BadRun(said, where=str(path.with_name("run.json")))
        for where, row in read_lines(path, BadRun, what="the run's scores"):
            row |= checked(KINDS[kind], row, where=where, error=BadRun)  # numbers become floats
            if row["id"].startswith(f"{split}/"):
                _require_fitting(row, kind, labels, metrics, where)
                if rows.setdefault((row.get("system"), row["id"]), row) is not row:
                    raise BadRun(f"the id '{row['id']}' comes twice", where=where)
    except BadRun as error:
        error.fix = error.fix or DAMAGED
        raise
    return sorted(rows.values(), key=lambda row: row["id"])


def metrics_of(record: RunRecord) -> set[str]:
    """Return every metric that can be computed of a run's rows."""
    kind = record.task.kind
    if kind == "single_label" and len(record.task.labels) != 2:
        return METRICS[kind] - {*OF_POSITIVE}
    return METRICS.get(kind, RETRIEVAL_METRICS)


def _require_fitting(row: dict[str, Any], kind: str, labels: int, metrics: set[str], where: str) -> None:
    """Raise BadRun for a row with another number of outputs than the task, or without its metric."""
    if kind == "retrieval":
        for metric in metrics:
            row[metric] = checked(FiniteFloat, row.get(metric), where=f"{where}, {metric}", error=BadRun)
        return
    if kind == "tokens":
        return
    outputs = 1 if kind == "regression" else labels
    sizes = {len(row["logits"])}
    if kind == "multi_label":
        sizes |= {len(row["label"]), len(row["prediction"])}
    if sizes != {outputs}:
        raise BadRun(f"the task has {outputs} outputs; the row has {sorted(sizes)}", where=where)
    if kind == "single_label" and max(row["label"], row["prediction"]) >= labels:
        raise BadRun(f"a label that the task does not have (it has {labels})", where=where)
