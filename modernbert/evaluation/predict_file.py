"""Predict a file of any size in constant memory: labels, probabilities, input columns kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.ahead import ahead
from modernbert.data.columns import PAIRS, TEXTS
from modernbert.data.examples import require_columns, to_texts
from modernbert.data.readers import Record
from modernbert.data.rows import Rows
from modernbert.data.task import Task
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.kept_logits import KeptLogits
from modernbert.evaluation.rows import Unchanged, chunks_of_rows, find_columns, require_other_file
from modernbert.evaluation.runner import Begun
from modernbert.evaluation.scoring import readable_prediction, require_numbers
from modernbert.evaluation.trained_task import require_as_trained
from modernbert.evaluation.written_rows import WRITERS, JsonLines
from modernbert.files import atomic_file
from modernbert.version import versions
from modernbert.wording import counted

# Rows in memory at once; sorted by length among themselves. What a stop may lose.
CHUNK_ROWS = 512


@dataclass(frozen=True)
class Predicted:
    """What was written.

    Attributes:
        kept: rows that had been scored before, by a prediction that was stopped.
    """

    output: Path
    rows: int
    text: tuple[str, ...]
    truncated: int
    kept: int = 0


def predict_file(
    scorer: Scorer,
    path: Path,
    output: Path,
    *,
    text: tuple[str, ...] = (),
    prefix: str = "",
    top: int = 0,
    calibrated: bool = False,
    notes: Mapping[str, str] | None = None,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Predict every row of a file, in order; the output appears whole or not at all.

    What was scored is kept beside the output until that is whole (see `kept_logits`): a prediction that was
    stopped goes on from there.

    Args:
        scorer: the loaded model.
        path: CSV, TSV, JSONL or Parquet.
        output: .jsonl, .csv or .parquet; every input column is kept. CSV and Parquet have a column for each
            class, and empty cells where a row lacks a column.
        text: the text columns; by default those that the model was trained on, or the usual names.
        prefix: put before the names of the new columns.
        top: how many of the most probable labels to name, instead of all; 0 for all.
        calibrated: show probabilities with the task's temperature.
        notes: what a Parquet file says of itself (its key-value metadata); other formats cannot.
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read or has no text, or the file changes meanwhile; nothing is written.
        BadOption: the output's format is unknown, it is the input itself, another process writes it, or a
            column has a new one's name; or there are fewer labels than `top`.
    """
    if (form := WRITERS.get(output.suffix.lower())) is None:
        raise BadOption(f"cannot write '{output.suffix}' files", where=str(output),
                        fix=f"Use {', '.join(WRITERS)}.")  # fmt: skip
    task = scorer.task
    require_as_trained(task, text)
    require_other_file(path, output)
    before = Unchanged(path)
    first = _rows(next(chunks_of_rows(path, CHUNK_ROWS)), path)
    require_top(task, top)
    columns = text or text_columns(task, first)
    require_columns(first, columns)
    found, rows = find_columns(path, lambda chunk: _look(chunk, path, columns, form))
    readable = partial(readable_prediction, task, top=top, calibrated=calibrated)
    sample = readable(np.zeros(task.num_outputs))
    with (
        phase("predicting", rows, "rows", by_text=True) as now,
        KeptLogits(output, _made_from(scorer, before, columns)) as kept,
        atomic_file(output, binary=form.binary) as file,
        closing(form(file, found, sample, prefix, path)) as writer,
    ):
        chunks = ((c, kept.next(len(c))) for c in before.watch(chunks_of_rows(path, CHUNK_ROWS)))
        for chunk, begun in ahead(partial(_begin, scorer, path, columns), chunks, scorer.runner.size):
            for (number, row), logits_C in zip(chunk, _logits(scorer, chunk, path, begun, kept), strict=True):
                writer.write(form.held(row, f"{path}, row {number}"), readable(logits_C))
            now.advance(len(chunk))
            on_progress(now.done)
        writer.notes = notes or {}
    return Predicted(output, rows, columns, scorer.truncated, kept.rows)


# The logits of a chunk and how many of its texts were truncated, as they were kept; or what will give them.
Logits = tuple[np.ndarray, int] | Begun


def _begin(
    scorer: Scorer, path: Path, columns: tuple[str, ...], given: tuple[list[Record], Any]
) -> tuple[list[Record], Logits]:
    chunk, found = given
    return chunk, found or scorer.begin(to_texts(_rows(chunk, path, columns), columns))


def _logits(scorer: Scorer, chunk: list[Record], path: Path, begun: Logits, kept: KeptLogits) -> np.ndarray:
    """Return the logits of a chunk, kept or computed now, shape (N, C)."""
    if not isinstance(begun, Begun):
        scorer.truncated += begun[1]
        return begun[0]
    before = scorer.truncated
    logits_NC = scorer.finish(begun)
    require_numbers(f"{path}, rows {chunk[0][0]:,} to {chunk[-1][0]:,}", logits_NC)
    kept.add(logits_NC, scorer.truncated - before)
    return logits_NC


def _made_from(scorer: Scorer, file: Unchanged, columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what logits depend on; not how they are shown."""
    source = scorer.source
    return {
        "model": [source.weights, str(source.folder), source.base.weights if source.base else None],
        "labels": scorer.task.labels,
        "file": [str(file.path.absolute()), *file.seen],
        "columns": columns,
        "max_length": scorer.max_length,
        "precision": scorer.machine.precision,
        "versions": versions(),
    }


def require_top(task: Task, top: int) -> None:
    """Raise BadOption when there are fewer labels than are to be named."""
    if top and task.kind == "regression":
        raise BadOption("--top names the most probable labels, and this model predicts a number")
    if top > task.num_outputs:
        raise BadOption(
            f"--top is {top}, and the model knows {counted(task.num_outputs, 'label')}",
            fix=f"Use --top {task.num_outputs}, or leave it out: all probabilities are written then.",
        )


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


def _look(chunk: list[Record], path: Path, columns: Collection[str], form: type[JsonLines]) -> None:
    """Refuse rows without text, or with what the output cannot hold."""
    to_texts(_rows(chunk, path, columns), list(columns))
    for number, row in chunk:
        form.held(row, f"{path}, row {number}")


def _rows(chunk: list[Record], path: Path, columns: Collection[str] = ()) -> Rows:
    return Rows.from_records(chunk, str(path), columns=list(columns))
