"""CoNLL files: a word a line with its tag in the last column, and a blank line between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from modernbert.data.entities import is_tag
from modernbert.data.lines import lines_of
from modernbert.errors import BadData

SUFFIXES = (".conll", ".bio", ".iob", ".iob2")
# What the columns of such a file are called here.
WORDS, TAGS = "tokens", "tags"
# The line that CoNLL-2003 puts between documents.
DOCUMENT = "-DOCSTART-"


def iter_conll(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based number of the sentence, its words and tags).

    Columns stand between blanks or tabs: the word is the first, its tag the last. `-DOCSTART-` begins a
    document and is no word. A line that begins with # and ends in no tag is a comment.

    Raises:
        BadData: a line has one column, or another number of them than the first one.
    """
    number, columns = 0, 0
    words: list[str] = []
    tags: list[str] = []
    with closing(lines_of(path)) as lines:
        for line_number, line in enumerate(lines, start=1):
            cells = line.split()
            if cells and not _is_aside(cells):
                columns = columns or len(cells)
                _require_columns(cells, columns, f"{path}, line {line_number}")
                words.append(cells[0])
                tags.append(cells[-1])
            elif words and not cells:
                number += 1
                yield number, {WORDS: words, TAGS: tags}
                words, tags = [], []
    if words:
        yield number + 1, {WORDS: words, TAGS: tags}


def _is_aside(cells: list[str]) -> bool:
    return cells[0] == DOCUMENT or (cells[0].startswith("#") and not is_tag(cells[-1]))


def _require_columns(cells: list[str], columns: int, where: str) -> None:
    if len(cells) == 1:
        raise BadData(f"one column ({cells[0]:.40}) where a word and its tag are expected", where=where)
    if len(cells) != columns:
        raise BadData(f"{len(cells)} columns; the first line has {columns}", where=where,
                      fix="Every line has as many: the word first, its tag last.")  # fmt: skip
