"""Predict a file of any size in constant memory: labels, probabilities, input columns kept."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from modernbert.data.columns import PAIRS, TEXTS
from modernbert.data.examples import to_texts
from modernbert.data.rows import Rows
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.rows import chunks_of_rows
from modernbert.evaluation.scoring import readable_prediction
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
        output: .jsonl or .csv; every input column is kept.
        text: the text columns; by default those that the model was trained on, or the usual names.
        prefix: put before the names of the new columns.
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read or has no text; nothing is written.
        BadOption: the output's format is unknown, it is the input itself, or a column has a new one's name.
    """
    if output.suffix.lower() not in (".jsonl", ".csv"):
        raise BadOption(f"cannot write '{output.suffix}' files", where=str(output), fix="Use .jsonl or .csv.")
    chunks = chunks_of_rows(path, output, CHUNK_ROWS)
    first = next(chunks)
    columns = text or text_columns(scorer, Rows.from_records(first, str(path)))
    _refuse_clash(scorer, first[0][1], prefix, path)
    done = 0
    with atomic_file(output) as file:
        write = _writer(output, file)
        for chunk in itertools.chain([first], chunks):
            texts = to_texts(Rows.from_records(chunk, str(path)), columns)
            logits_NC = scorer.logits(texts)
            for (_, row), logits_C in zip(chunk, logits_NC, strict=True):
                new = readable_prediction(scorer.task, logits_C)
                write(row | {prefix + name: value for name, value in new.items()})
            done += len(chunk)
            on_progress(done)
    return Predicted(output, done, columns, scorer.truncated)


def text_columns(scorer: Scorer, rows: Rows) -> tuple[str, ...]:
    """Return the columns that hold the text: the task's own names if they are there, else usual names."""
    wanted = scorer.task.text
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


def _refuse_clash(scorer: Scorer, row: dict[str, Any], prefix: str, path: Path) -> None:
    new = readable_prediction(scorer.task, np.zeros(scorer.task.num_outputs))
    clash = [prefix + name for name in new if prefix + name in row]
    if clash:
        raise BadOption(
            f"the file has a column '{clash[0]}' already",
            where=str(path),
            fix="Rename new ones with --prefix.",
        )


def _writer(output: Path, file: IO[str]) -> Callable[[dict[str, Any]], None]:
    if output.suffix.lower() == ".jsonl":
        return lambda row: print_json(row, file)
    writer: csv.DictWriter[str] | None = None

    def write(row: dict[str, Any]) -> None:
        nonlocal writer
        flat = {
            k: json.dumps(v, ensure_ascii=False) if isinstance(v, (dict, list)) else v for k, v in row.items()
        }
        if writer is None:
            writer = csv.DictWriter(file, list(flat))
            writer.writeheader()
        writer.writerow(flat)

    return write


def print_json(row: dict[str, Any], file: IO[str]) -> None:
    """Write one JSON line; what JSON does not know (dates from Parquet) becomes text."""
    file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
