"""Predict a file of any size in constant memory: labels, probabilities, input columns kept."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from modernbert.data.columns import PAIRS, TEXTS
from modernbert.data.examples import require_columns, to_texts
from modernbert.data.rows import Rows
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.rows import chunks_of_rows
from modernbert.evaluation.scoring import readable_prediction
from modernbert.evaluation.trained_task import require_as_trained
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
    require_as_trained(scorer.task, text)
    chunks = chunks_of_rows(path, output, CHUNK_ROWS)
    first = next(chunks)
    start = Rows.from_records(first, str(path))
    columns = text or text_columns(scorer, start)
    require_columns(start, columns)
    done = 0
    with atomic_file(output) as file:
        write = _writer(output, file)
        for chunk in itertools.chain([first], chunks):
            texts = to_texts(Rows.from_records(chunk, str(path), columns=columns), columns)
            logits_NC = scorer.logits(texts)
            for (number, row), logits_C in zip(chunk, logits_NC, strict=True):
                where = f"{path}, row {number}"
                predicted = readable_prediction(scorer.task, logits_C)
                new = {prefix + name: value for name, value in predicted.items()}
                _refuse_clash(row, new, where)
                write(plain(row, where) | new, where)
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


def _refuse_clash(row: dict[str, Any], new: dict[str, Any], where: str) -> None:
    if clash := [name for name in new if name in row]:
        raise BadOption(
            f"the file has a column '{clash[0]}' already", where=where, fix="Rename new ones with --prefix."
        )


def plain(value: Any, where: str) -> Any:
    """Return a cell, or a whole row, as JSON and CSV can hold it: dates become text, NaN becomes null.

    Raises:
        BadData: it holds bytes or an infinity, which neither can.
    """
    if isinstance(value, dict):
        return {str(name): plain(part, where) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, where) for part in value]
    if isinstance(value, bytes) or (isinstance(value, float) and math.isinf(value)):
        found = "bytes" if isinstance(value, bytes) else "an infinity"
        raise BadData(f"a column holds {found}, which neither JSON nor CSV can", where=where)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _writer(output: Path, file: IO[str]) -> Callable[[dict[str, Any], str], None]:
    if output.suffix.lower() == ".jsonl":
        return lambda row, where: print_json(row, file)
    writer: csv.DictWriter[str] | None = None

    def write(row: dict[str, Any], where: str) -> None:
        nonlocal writer
        flat = {
            k: json.dumps(v, ensure_ascii=False) if isinstance(v, (dict, list)) else v for k, v in row.items()
        }
        if writer is None:
            writer = csv.DictWriter(file, list(flat))
            writer.writeheader()
        if more := [name for name in flat if name not in writer.fieldnames]:
            raise BadData(
                f"the column '{more[0]}' is not among the first row's, which a CSV file has in every row",
                where=where,
                fix="Write .jsonl.",
            )
        writer.writerow(flat)

    return write


def print_json(row: dict[str, Any], file: IO[str]) -> None:
    """Write one JSON line."""
    file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
