"""Predict texts in memory, and rows as they come: from standard input or a file, as JSON lines.

Shape suffixes: C outputs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from modernbert.data.examples import require_columns, to_texts
from modernbert.data.lines import decoded_lines
from modernbert.data.readers import Record, json_rows
from modernbert.data.rows import Rows
from modernbert.data.task import Task
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.predict_file import require_top, text_columns
from modernbert.evaluation.scoring import readable_prediction, require_numbers
from modernbert.evaluation.trained_task import require_as_trained, task_of_head, task_of_run
from modernbert.evaluation.written_rows import plain
from modernbert.model.locate import ModelSource, record_of

STDIN = "stdin"
# Few, so that whoever waits at the other end of a pipe sees something.
CHUNK_ROWS = 128
Row = dict[str, Any]


def task_of_texts(source: ModelSource, columns: tuple[str, ...] = (), *, number: int = 1) -> Task:
    """Return what a model predicts, where no file's columns tell more.

    Args:
        columns: the text columns, if the user names them.
        number: how many texts an example has, where neither the columns nor a run tell.

    Raises:
        BadOption: the run predicts no labels, or reads another number of texts.
        BadModel: it is no classifier.
    """
    if record := record_of(source):
        task = task_of_run(record)
        require_as_trained(task, columns)
        return replace(task, text=columns) if columns else task
    return task_of_head(source, text=columns or ("text", "text_pair")[:number])


def predict_texts(
    scorer: Scorer, texts: Sequence[tuple[str, ...]], *, top: int = 0, calibrated: bool = False
) -> list[Row]:
    """Return each text's prediction (see `readable_prediction`).

    Raises:
        BadOption: the model reads another number of texts at once, or knows fewer labels than `top`.
        BadModel: what it gives are not numbers.
    """
    require_top(scorer.task, top)
    wanted = len(scorer.task.text)
    if any(len(text) != wanted for text in texts):
        raise BadOption(f"the model reads {'pairs of texts' if wanted == 2 else 'one text at a time'}",
                        fix=f"Give --text {'twice' if wanted == 2 else 'once'}.")  # fmt: skip
    logits_NC = scorer.logits(list(texts))
    require_numbers("the text", logits_NC)
    readable = partial(readable_prediction, scorer.task, top=top, calibrated=calibrated)
    return [readable(logits_C) for logits_C in logits_NC]


def rows_of_stream(stream: BinaryIO, text: tuple[str, ...]) -> Iterator[Record]:
    """Yield (1-based row number, row) of lines that are all JSON objects, or all texts.

    The first line decides. An empty line of text is a text: outputs stay beside their inputs.

    Args:
        text: what the columns of the text are called, one or a pair.

    Raises:
        BadData: a line is not UTF-8, or not as the first one; the model reads pairs, and the lines are texts.
    """
    lines = decoded_lines(stream, STDIN)
    first = next(lines, "")
    whole = itertools.chain([first] if first else [], lines)
    if first.lstrip().startswith("{"):
        yield from json_rows(STDIN, whole)
        return
    if len(text) == 2:
        example = json.dumps(dict.fromkeys(text, "..."))
        raise BadData("the model reads pairs of texts, and a line is one text", where=STDIN,
                      fix=f"Give a JSON object a line: {example}.")  # fmt: skip
    for number, line in enumerate(whole, start=1):
        yield number, {text[0]: line.rstrip("\r\n")}


def predict_rows(
    scorer: Scorer,
    records: Iterable[Record],
    origin: str,
    put: Callable[[str], bool],
    *,
    text: tuple[str, ...] = (),
    prefix: str = "",
    top: int = 0,
    calibrated: bool = False,
) -> int:
    """Predict rows as they come, each a line of JSON; return how many.

    Args:
        scorer: the loaded model.
        records: row number and row.
        origin: where they are from, for messages.
        put: is given each line, and says whether anybody still reads.
        text, prefix, top, calibrated: as in `predict_file.predict_file`.

    Raises:
        BadData: there are no rows; one has no text, or holds what JSON cannot. Rows before it were put.
        BadOption: a row has a new column's name already, or there are fewer labels than `top`.
    """
    require_top(scorer.task, top)
    records, done, columns = iter(records), 0, text
    while chunk := list(itertools.islice(records, CHUNK_ROWS)):
        rows = Rows.from_records(chunk, origin, columns=list(columns))
        columns = columns or text_columns(scorer.task, rows)
        require_columns(rows, columns)
        logits_NC = scorer.logits(to_texts(rows, columns))
        require_numbers(f"{origin}, rows {chunk[0][0]:,} to {chunk[-1][0]:,}", logits_NC)
        for (number, row), logits_C in zip(chunk, logits_NC, strict=True):
            new = readable_prediction(scorer.task, logits_C, top=top, calibrated=calibrated)
            if not put(line_of(row, {prefix + n: v for n, v in new.items()}, f"{origin}, row {number}")):
                return done
            done += 1
    if not done:
        raise BadData("there are no rows", where=origin)
    return done


def line_of(row: Row, new: Row, where: str) -> str:
    """Return a row with its new columns as a line of JSON. Raises BadOption where it has one already."""
    if taken := [name for name in new if name in row]:
        raise BadOption(f"the row has a column '{taken[0]}' already", where=where,
                        fix="Rename new ones with --prefix.")  # fmt: skip
    return json.dumps(plain(row, where) | new, ensure_ascii=False, allow_nan=False)
