"""Find the entities in rows as they come, or in a file of any size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.own_sentences import text_column
from modernbert.data.readers import Record
from modernbert.data.rows import Rows
from modernbert.data.sentences import Sentence, read_sentences
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.kept_logits import KeptLogits
from modernbert.evaluation.predict_file import CHUNK_ROWS, Predicted
from modernbert.evaluation.predict_rows import CHUNK_ROWS as FEW_ROWS
from modernbert.evaluation.predict_rows import line_of
from modernbert.evaluation.rows import Unchanged, chunks_of_rows, find_columns, require_other_file
from modernbert.evaluation.tagging import PREDICTION, Tagger
from modernbert.evaluation.written_rows import JsonLines
from modernbert.files import atomic_file
from modernbert.model.locate import record_of
from modernbert.version import versions


def tag_rows(
    tagger: Tagger,
    records: Iterable[Record],
    origin: str,
    put: Callable[[str], bool],
    *,
    text: str | None = None,
    prefix: str = "",
) -> int:
    """Tag rows as they come, each a line of JSON; return how many. As `predict_rows`."""
    records, done = iter(records), 0
    while chunk := list(itertools.islice(records, FEW_ROWS)):
        sentences = _sentences(tagger, chunk, origin, text)
        for (number, row), new in zip(chunk, tagger.tag(sentences), strict=True):
            named = {prefix + name: value for name, value in new.items()}
            if not put(line_of(row, named, f"{origin}, row {number}")):
                return done
            done += 1
    if not done:
        raise BadData("there are no rows", where=origin)
    return done


def tag_file(
    tagger: Tagger,
    path: Path,
    output: Path,
    *,
    text: str | None = None,
    prefix: str = "",
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Tag every row of a file, in order; the output appears whole or not at all.

    Offsets are in characters of the text; of words that come as a list, in these words with single blanks
    between them. A call that was stopped goes on where it was when it is made again.

    Args:
        path: CoNLL, JSONL, Parquet, CSV or TSV.
        output: a .jsonl file; every input column is kept.
        text: the column of the text or the words; by default that of the training, or the usual ones.
        prefix: put before the name of the new column.
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read or has no text, or the file changes meanwhile; nothing is written.
        BadOption: the output is the input or no .jsonl file, another process writes it, or it has the new
            column's name.
    """
    if output.suffix.lower() != ".jsonl":
        raise BadOption("a list of entities fits no cell", where=str(output), fix="Write a .jsonl file.")
    require_other_file(path, output)
    before = Unchanged(path)
    column = _column(tagger, Rows.from_records(next(chunks_of_rows(path, CHUNK_ROWS)), str(path)), text)
    found, rows = find_columns(path, lambda chunk: _look(tagger, chunk, path, column))
    with (
        phase("predicting", rows, "rows", by_text=True) as now,
        KeptLogits(output, _made_from(tagger, before, column)) as kept,
        atomic_file(output) as file,
        closing(JsonLines(file, found, {PREDICTION: []}, prefix, path)) as writer,
    ):
        for chunk in before.watch(chunks_of_rows(path, CHUNK_ROWS)):
            sentences = _sentences(tagger, chunk, str(path), column)
            logits = _logits(tagger, sentences, kept)
            for (number, row), sentence, logits_WC in zip(chunk, sentences, logits, strict=True):
                held = writer.held(row, f"{path}, row {number}")
                writer.write(held, {PREDICTION: tagger.entities(sentence, logits_WC)})
            now.advance(len(chunk))
            on_progress(now.done)
    return Predicted(output, rows, (column,), tagger.truncated, kept.rows)


def _logits(tagger: Tagger, sentences: Sequence[Sentence], kept: KeptLogits) -> list[np.ndarray]:
    """Return the logits of each sentence's words, kept or computed now."""
    sizes = [len(sentence.words) for sentence in sentences]
    if (found := kept.next(sum(sizes), rows=len(sizes))) is not None:
        tagger.truncated += found[1]
        return np.split(found[0], np.cumsum(sizes)[:-1])
    before = tagger.truncated
    logits = tagger.logits(tagger.tokenize(sentences))
    kept.add(np.concatenate(logits), tagger.truncated - before)
    return logits


def _sentences(tagger: Tagger, chunk: list[Record], origin: str, text: str | None) -> tuple[Sentence, ...]:
    rows = Rows.from_records(chunk, origin, columns=[text] if text else [])
    return read_sentences(rows, _column(tagger, rows, text)).all


def _look(tagger: Tagger, chunk: list[Record], path: Path, column: str) -> None:
    """Refuse rows without text, or with what the output cannot hold."""
    _sentences(tagger, chunk, str(path), column)
    for number, row in chunk:
        JsonLines.held(row, f"{path}, row {number}")


def _column(tagger: Tagger, rows: Rows, text: str | None) -> str:
    record = record_of(tagger.source)
    found = text or text_column(rows.columns, record.data.text[0] if record else "")
    if found is None:
        raise BadData(
            f"no column of words or text; the columns are {', '.join(rows.columns)}",
            where=rows.origin,
            fix="Name it with --text-col.",
        )
    return found


def _made_from(tagger: Tagger, file: Unchanged, column: str) -> dict[str, Any]:
    """Return what logits depend on."""
    source = tagger.source
    return {
        "model": [source.weights, str(source.folder), source.base.weights if source.base else None],
        "labels": tagger.tags,
        "file": [str(file.path.absolute()), *file.seen],
        "columns": column,
        "max_length": tagger.max_length,
        "precision": tagger.machine.precision,
        "versions": versions(),
    }
