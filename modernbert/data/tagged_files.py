"""Does a file hold tagged words? By its suffix, or by its columns and what they hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modernbert.data.conll import SUFFIXES as CONLL
from modernbert.data.readers import iter_rows
from modernbert.data.rows import Rows
from modernbert.data.sentences import Form, form_of, is_span
from modernbert.data.split_files import split_file

# Usual names of columns, by what the first one holds.
USUAL: dict[Form, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "words": (("tokens", "words"), ("tags", "ner_tags", "labels")),
    "text": (("text", "sentence"), ("spans", "entities")),
}
# Rows of a file that are looked at, to tell what it is.
LOOKED_AT = 1_000


def is_tagged(path: Path) -> bool:
    """Does a file (or a folder's training file) hold words with tags or texts with spans, by its columns?"""
    file = split_file(path, "train") if path.is_dir() else path
    if file is None or not file.is_file():
        return False
    if file.suffix.lower() in CONLL:
        return True
    if file.suffix.lower() not in (".jsonl", ".parquet"):
        return False
    records = iter_rows(file)
    first = list(itertools.islice(records, 1))
    if not any(_has_usual(row, form) for _, row in first for form in USUAL):
        return False
    rows = Rows.from_records([*first, *itertools.islice(records, LOOKED_AT)], str(file))
    return usual_columns(rows) is not None


def _has_usual(columns: Iterable[str], form: Form) -> bool:
    return all({*columns} & {*names} for names in USUAL[form])


def usual_columns(rows: Rows) -> tuple[str, str] | None:
    """Return the columns of texts and labels by their usual names, if what they hold fits."""
    for form, (texts, labels) in USUAL.items():
        text = next((name for name in texts if name in rows.columns), None)
        label = next((name for name in labels if name in rows.columns), None)
        if text and label and all(form_of(cell) == form for cell in rows.columns[text]):
            cells = rows.columns[label]
            if all(isinstance(cell, list) for cell in cells) and (form == "words" or _any_span(cells)):
                return text, label
    return None


def _any_span(cells: Iterable[Any]) -> bool:
    """Is any item of these lists a span? Lists of names are labels of whole texts."""
    return any(is_span(one) or (isinstance(one, dict) and "start" in one) for cell in cells for one in cell)
