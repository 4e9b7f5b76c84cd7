"""Predict a file of any size in constant memory: labels, probabilities, input columns kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.activity import phase
from modernbert.data.columns import PAIRS, TEXTS
from modernbert.data.examples import require_columns, to_texts
from modernbert.data.readers import Record
from modernbert.data.rows import Rows
from modernbert.data.task import Task
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.rows import Unchanged, chunks_of_rows, find_columns, require_other_file
from modernbert.evaluation.scoring import readable_prediction, require_numbers
from modernbert.evaluation.trained_task import require_as_trained
from modernbert.evaluation.written_rows import WRITERS, plain
from modernbert.files import atomic_file

# Rows in memory at once; sorted by length among themselves.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class Predicted:
    """What was written."""

    output: Path
    rows: int
    text: tuple[str, ...]
    truncated: int


def predict_file(
    scorer: Scorer,
    path: Path,
    output: Path,
    *,
    text: tuple[str, ...] = (),
    prefix: str = "",
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Predict every row of a file, in order; the output appears whole or not at all.

    Args:
        scorer: the loaded model.
        path: CSV, TSV, JSONL or Parquet.
        output: .jsonl or .csv; every input column is kept. A CSV file has a column for each class, and
            empty cells where a row lacks a column.
        text: the text columns; by default those that the model was trained on, or the usual names.
        prefix: put before the names of the new columns.
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read or has no text, or the file changes meanwhile; nothing is written.
        BadOption: the output's format is unknown, it is the input itself, or a column has a new one's name.
    """
    if (make_writer := WRITERS.get(output.suffix.lower())) is None:
        raise BadOption(f"cannot write '{output.suffix}' files", where=str(output), fix="Use .jsonl or .csv.")
    task = scorer.task
    require_as_trained(task, text)
    require_other_file(path, output)
    before = Unchanged(path)
    first = _rows(next(chunks_of_rows(path, CHUNK_ROWS)), path)
    columns = text or text_columns(task, first)
    require_columns(first, columns)
    found, rows = find_columns(path, lambda chunk: _look(chunk, path, columns))
    with phase("predicting", rows, "rows", by_text=True) as now, atomic_file(output) as file:
        writer = make_writer(file, found, readable_prediction(task, np.zeros(task.num_outputs)), prefix)
        for chunk in before.watch(chunks_of_rows(path, CHUNK_ROWS)):
            logits_NC = scorer.logits(to_texts(_rows(chunk, path, columns), columns))
            require_numbers(f"{path}, rows {chunk[0][0]:,} to {chunk[-1][0]:,}", logits_NC)
            for (number, row), logits_C in zip(chunk, logits_NC, strict=True):
                writer.write(plain(row, f"{path}, row {number}"), readable_prediction(task, logits_C))
            now.advance(len(chunk))
            on_progress(now.done)
    return Predicted(output, rows, columns, scorer.truncated)


def text_columns(task: Task, rows: Rows) -> tuple[str, ...]:
    """Return the columns that hold the text: the task's own names if they are there, else usual names."""
    wanted = task.text
    if all(name in rows.columns for name in wanted):
        return wanted
    usual = list(PAIRS) if len(wanted) == 2 else [(name,) for name in TEXTS]
    found = next((names for names in usual if all(name in rows.columns for name in names)), None)
    if found is None:
        raise BadData(
            f"there is no column '{wanted[0]}'; the columns are {', '.join(rows.columns)}",
            where=rows.origin,
            fix=f"Name the text with --text-col{' (twice, for a pair)' if len(wanted) == 2 else ''}.",
        )
    return tuple(found)


def _look(chunk: list[Record], path: Path, columns: Collection[str]) -> None:
    """Refuse rows without text, or with what the output cannot hold."""
    to_texts(_rows(chunk, path, columns), list(columns))
    for number, row in chunk:
        plain(row, f"{path}, row {number}")


def _rows(chunk: list[Record], path: Path, columns: Collection[str] = ()) -> Rows:
    return Rows.from_records(chunk, str(path), columns=list(columns))
