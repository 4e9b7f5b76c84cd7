"""The task that a model was trained on: what it predicts, from which columns.

A run's record says so. Of any other classifier in transformers' layout, its `config.json` says what it
predicts, and the user or the usual names say from which columns.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modernbert.data.cells import Cells
from modernbert.data.choices import usual_metrics
from modernbert.data.clusters import require_clusters
from modernbert.data.columns import check_text_columns, guess_columns, guess_text
from modernbert.data.labels import read_label_column
from modernbert.data.readers import read_rows
from modernbert.data.rows import Rows
from modernbert.data.task import FileData, Task, own_name
from modernbert.errors import BadModel, BadOption
from modernbert.evaluation.rows import CHUNK_ROWS, chunks_of_rows
from modernbert.model.labels import Head, head_of, spelt_as_in
from modernbert.model.locate import ModelSource, record_of
from modernbert.records.record import RunRecord


def task_of_run(record: RunRecord) -> Task:
    """Return the task of a run's record, with no data attached.

    Raises:
        BadOption: the run was trained for retrieval, to tag words, or on text alone.
    """
    kept = record.task
    if kept.kind == "retrieval":
        raise BadOption(
            f"the run was trained for retrieval ({kept.name}): it predicts no labels",
            fix="Search with it: mbert eval COLLECTION, mbert index PATH; or take its vectors: mbert embed.",
        )
    if kept.kind == "pretraining":
        raise BadOption(
            "the run was trained on text alone: it predicts no labels",
            fix="Fine-tune it: mbert finetune TASK --model RUN.",
        )
    if kept.kind == "tokens":
        raise BadOption(
            f"the run tags words ({kept.name}): it predicts no labels of whole texts",
            fix="Score it on tagged words: mbert eval words.conll --model RUN.",
        )
    cells = record.data.cells
    return Task(
        name=kept.name,
        summary="as trained",
        kind=kept.kind,
        text=record.data.text,
        label=record.data.label,
        cells=Cells(cells.form, cells.separator, cells.size) if cells else Cells(),
        labels=kept.labels,
        metrics=kept.metrics,
        mean=record.data.target.mean if record.data.target else None,
        positive=kept.positive,
        thresholds=tuple(record.thresholds.values()),
        temperature=record.temperature,
        cluster=record.data.cluster,
        source=FileData({}, Path()),
        validation=(),
    )


def as_trained(task: Task, source: ModelSource) -> Task:
    """Return a named task with the decision rule and the metrics of a run of its labels."""
    record = record_of(source)
    if record is None or record.task.kind != task.kind or set(record.task.labels) != {*task.labels}:
        return task
    trained = task_of_run(record)
    found = dict(zip(trained.labels, trained.thresholds, strict=False))
    return replace(
        task,
        positive=trained.positive or task.positive,
        thresholds=tuple(found[name] for name in task.labels) if found else task.thresholds,
        temperature=trained.temperature,
        metrics=trained.metrics if trained.name == task.name else task.metrics,
    )


def task_to_predict(source: ModelSource, path: Path, text: tuple[str, ...] = ()) -> Task:
    """Return what a model predicts for the rows of a file.

    Args:
        source: a run, or any sequence classifier.
        path: the file; its columns are looked at where neither a run nor `text` names the text.
        text: the text columns, if the user names them.

    Raises:
        BadOption: the run predicts no labels, or reads another number of texts.
        BadModel: it is no classifier.
        BadData: the file cannot be read, or no column has a usual name.
    """
    if record := record_of(source):
        task = task_of_run(record)
        require_as_trained(task, text)
        return task
    head = head_of(source)
    rows = Rows.from_records(next(chunks_of_rows(path, CHUNK_ROWS)), str(path))
    return task_of_head(source, head, text=text or guess_text(rows))


def task_to_score(
    source: ModelSource,
    path: Path,
    *,
    text: tuple[str, ...] = (),
    label: str | None = None,
    cluster: str | None = None,
) -> Task:
    """Return a model's task with the rows of `path` as its test split.

    Raises:
        MbertError: as `task_to_predict`, or no column can be the label.
    """
    if record := record_of(source):
        return task_of_file(record, path, text=text, label=label, cluster=cluster)
    head, rows = head_of(source), read_rows(path)
    if cluster:
        require_clusters(rows, cluster)
    columns = guess_columns(rows, text=text, label=label, kind=head.kind)
    names = set(columns.found.labels)
    labels = spelt_as_in(head, names)
    if head.labels and not names & {*labels}:
        found = ", ".join(sorted(names)[:5])
        raise BadModel(f"{source.name} predicts {head}, and the labels in {path} are {found}",
                       fix="Give the model's config.json an id2label of these.")  # fmt: skip
    return replace(
        task_of_head(source, replace(head, labels=labels), text=columns.text),
        name=own_name(path),
        label=columns.label,
        cluster=cluster or "",
        cells=columns.found.cells,
        source=FileData({"test": rows}, path),
        test=("test",),
    )


def task_of_head(source: ModelSource, head: Head | None = None, *, text: tuple[str, ...]) -> Task:
    """Return what a classifier that is no run predicts, with no data attached.

    Args:
        head: as its `config.json` says, unless another spelling of the labels is given.
        text: the columns that it reads.
    """
    head = head or head_of(source)
    return Task(
        name=source.name,
        summary="as its config.json says",
        kind=head.kind,
        text=text,
        labels=head.labels,
        metrics=usual_metrics(head.kind, head.labels),
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
    record: RunRecord,
    path: Path,
    *,
    text: tuple[str, ...] = (),
    label: str | None = None,
    cluster: str | None = None,
) -> Task:
    """Return a run's task with the rows of `path` as its test split, to score the run on other data.

    Rows are clustered by the column that is named, else by the run's own where the file has it.

    Raises:
        BadData: the file cannot be read.
        BadOption: the named columns cannot be those of this run.
    """
    trained = task_of_run(record)
    require_as_trained(trained, text)
    column = label or trained.label
    check_text_columns(text, column)
    rows = read_rows(path)
    belongs = cluster or (trained.cluster if trained.cluster in rows.columns else "")
    if belongs:
        require_clusters(rows, belongs)
    cells = trained.cells
    if trained.kind == "multi_label" and record.data.cells is None and column in rows.columns:
        cells = read_label_column(rows, column, trained.kind).cells  # an older version's run does not say
    return Task(
        name=own_name(path),
        summary=f"own data from {path}",
        kind=trained.kind,
        text=text or trained.text,
        label=column,
        cells=cells,
        labels=trained.labels,
        metrics=trained.metrics,
        mean=trained.mean,
        positive=trained.positive,
        thresholds=trained.thresholds,
        temperature=trained.temperature,
        cluster=belongs,
        source=FileData({"test": rows}, path),
        validation=(),
        test=("test",),
    )
