"""The rows on which an export is proven: those that scored the run, or a file of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.data.examples import Examples, to_examples
from modernbert.data.rows import Rows
from modernbert.data.sources import bundle_folder, load_split
from modernbert.data.targets import resolve
from modernbert.data.task import Task
from modernbert.errors import BadOption
from modernbert.evaluation.evaluate import splits_to_score
from modernbert.evaluation.trained_task import as_trained, task_to_score
from modernbert.model.locate import ModelSource, record_of
from modernbert.records.record import FinetuneRecord, RunRecord
from modernbert.training.inputs import Request
from modernbert.training.resolve import resolve_task

GIVE_ROWS = "Give labelled rows: --on FILE, or a task."


@dataclass(frozen=True)
class ProofRows:
    """A task and the rows of one of its splits.

    Attributes:
        data: what they are of, as it is shown.
        of: how many the split has.
    """

    task: Task
    data: str
    split: str
    examples: Examples
    of: int


def proof_rows(
    source: ModelSource, on: str | None, count: int, *, data_dir: Path | None, **columns: object
) -> ProofRows:
    """Return the rows for a classifier or a model of numbers.

    Args:
        on: a labelled file or a task; without one, the split that scored the run last.
        count: the most rows, drawn with a fixed seed.
        columns: `text` and `label` of the file.

    Raises:
        BadOption: the model is no run, and no file is given; or the run's data is not there as it was.
        MbertError: the data cannot be read.
    """
    if on is not None:
        return _named(source, on, count, data_dir, columns)
    record = record_of(source)
    if not isinstance(record, FinetuneRecord):
        raise BadOption(f"{source.name} is no run: nothing tells on which rows to prove the export",
                        fix=GIVE_ROWS)  # fmt: skip
    return _of_run(source, record, count, data_dir)


def _named(
    source: ModelSource, on: str, count: int, data_dir: Path | None, columns: Mapping[str, Any]
) -> ProofRows:
    named = resolve(on, hub=False)
    if named.is_own:
        task = task_to_score(source, named.path, **columns)
        return _drawn(task, named.path.name, task.test[0], load_split(task, task.test[0]).rows, count)
    task = as_trained(named.labelled_task(), source)
    split = splits_to_score(task, None)[-1]
    return _drawn(task, task.name, split, load_split(task, split, data_dir).rows, count)


def _of_run(source: ModelSource, record: RunRecord, count: int, data_dir: Path | None) -> ProofRows:
    assert record.request is not None, "a training's record has what was asked for"
    request, split = Request.of(record.request), record.results[-1].split
    folder = data_dir or (Path(request.data_dir) if request.data_dir else None)
    task = as_trained(resolve_task(request)[0], source)
    splits_to_score(task, split)
    loaded = load_split(task, split, bundle_folder(folder))
    if loaded.record(task).fingerprint != record.data.splits[split].fingerprint:
        raise BadOption(f"the data of {task.name} ({split}) is not as the run read it", fix=GIVE_ROWS)
    return _drawn(task, task.name, split, loaded.rows, count)


def _drawn(task: Task, data: str, split: str, rows: Rows, count: int) -> ProofRows:
    chosen = rows.take(drawn(len(rows), count))
    return ProofRows(task, data, split, to_examples(task, chosen), len(rows))


def drawn(of: int, count: int) -> list[int]:
    """Return the places of `count` rows, drawn with a fixed seed, in order; all, if there are no more."""
    if of <= count:
        return list(range(of))
    found: list[int] = np.sort(np.random.default_rng(0).choice(of, count, replace=False)).tolist()
    return found
