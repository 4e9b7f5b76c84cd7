"""Sentences whose words have tags: read from lists of words and tags, or from texts with spans.

Words that come as a list are joined with single blanks; offsets are in that text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from modernbert.data.entities import Span, as_iob2, is_tag, labels_of, spans_of, tags_of
from modernbert.data.examples import require_columns
from modernbert.data.rows import Rows
from modernbert.errors import BadData
from modernbert.records.data import StoredTask
from modernbert.wording import counted

# Scripts that put no blanks between words: each of their characters counts as one.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
Form = Literal["words", "text"]


@dataclass(frozen=True)
class Sentence:
    """A text and its words.

    Attributes:
        words: where each begins and ends in the text, in characters.
        tags: one for each word, in IOB2; empty where they are not wanted.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] = ()

    @property
    def entities(self) -> list[Span]:
        """The entities, in characters."""
        return self.spans(self.tags)

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """Return the entities that tags of its words stand for, in characters."""
        return [Span(self.words[a][0], self.words[b - 1][1], label) for a, b, label in spans_of(tags)]


@dataclass(frozen=True)
class Sentences:
    """The sentences of one split, the rows that they are, and what was mended to read them."""

    all: tuple[Sentence, ...]
    rows: Rows
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.all)

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The texts, as `Examples` has them."""
        return [(sentence.text,) for sentence in self.all]

    def take(self, places: Sequence[int]) -> Sentences:
        """Return the sentences at `places`."""
        return Sentences(tuple(self.all[i] for i in places), self.rows.take(places), self.notes)


@dataclass(frozen=True, kw_only=True)
class TokenTask:
    """A data sheet: sentences whose words are tagged.

    Attributes:
        text, label: the columns: of words and their tags, or of a text and its spans.
        labels: every tag, O first: what the model tells apart.
        splits: by name; the first is trained on, the second is scored while training runs.
    """

    name: str
    summary: str
    text: str
    label: str
    labels: tuple[str, ...]
    splits: Mapping[str, Rows]
    path: Path
    metrics: tuple[str, ...] = ("f1", "precision", "recall")

    kind: ClassVar[Literal["tokens"]] = "tokens"

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits that are held out."""
        return tuple(name for name in self.splits if name != "train")

    @property
    def watched(self) -> str:
        """The split that is scored while training runs: validation, or the fold that is held out."""
        return self.scored[0]

    def record(self) -> StoredTask:
        """Return what a run keeps of its task."""
        return StoredTask(name=self.name, kind=self.kind, labels=self.labels, metrics=self.metrics)


def read_sentences(rows: Rows, text: str, label: str | None = None) -> Sentences:
    """Read every row.

    Args:
        text: the column of words (a list) or of a text.
        label: the column of tags (a list, one for each word) or of spans (a list of objects with `start`,
            `end` and `label`, in characters, or of lists of these three); None where they are not wanted.

    Raises:
        BadData: a column is missing, or a cell is not of that form; the row is named.
    """
    require_columns(rows, [text, *([label] if label else [])])
    labels = rows.columns[label] if label else [None] * len(rows)
    found: list[Sentence] = []
    begun = widened = 0
    for place, (given, marked) in enumerate(zip(rows.columns[text], labels, strict=True)):
        where = rows.where(place)
        sentence = _sentence(given, text, where)
        if label and isinstance(given, str):
            tags, mended = _tags_of_spans(sentence, _spans(marked, label, where), where)
            widened += mended
        elif label:
            tags, mended = _tags(marked, len(sentence.words), label, where)
            begun += mended
        found.append(Sentence(sentence.text, sentence.words, tuple(tags)) if label else sentence)
    return Sentences(tuple(found), rows, tuple(_notes(rows.origin, begun, widened)))


def _notes(origin: str, begun: int, widened: int) -> list[str]:
    notes = []
    if begun:
        tags = counted(begun, "tag I- that continues nothing is", "tags I- that continue nothing are")
        notes.append(f"{origin}: {tags} read as B-")
    if widened:
        spans = counted(widened, "span that begins or ends", "spans that begin or end")
        notes.append(f"{origin}: {spans} inside a word cover the whole word")
    return notes


def form_of(cell: Any) -> Form | None:
    """Return whether a cell holds a text or its words; None for neither."""
    if isinstance(cell, str):
        return "text"
    return "words" if isinstance(cell, list) and all(isinstance(word, str) for word in cell) else None


def words_of(text: str) -> tuple[tuple[int, int], ...]:
    """Return where each word is: runs of letters and digits, and every other character but blanks."""
    return tuple(match.span() for match in WORD.finditer(text))


def _sentence(given: Any, column: str, where: str) -> Sentence:
    """Return a cell's text and words. Raises BadData for one that holds neither."""
    form = form_of(given)
    if form == "text":
        return Sentence(given, words_of(given))
    if form is None:
        raise BadData(f"column '{column}' holds {given!r:.60} where words or a text is expected", where=where)
    words, start = [], 0
    for number, word in enumerate(given, start=1):
        if not word.strip():
            raise BadData(f"word {number} is blank", where=where, fix="Leave it out, with its tag.")
        words.append((start, start + len(word)))
        start += len(word) + 1
    return Sentence(" ".join(given), tuple(words))


def _tags(given: Any, size: int, column: str, where: str) -> tuple[list[str], int]:
    """Return a cell's tags in IOB2. Raises BadData unless there is one for each word."""
    if not isinstance(given, list) or not all(isinstance(tag, str) for tag in given):
        said = f"column '{column}' holds {given!r:.60} where a list of tags is expected"
        raise BadData(said, where=where, fix="Write tags as text: O, B-PER, I-PER.")
    if len(given) != size:
        raise BadData(f"{counted(len(given), 'tag')} for {counted(size, 'word')}", where=where)
    for number, tag in enumerate(given, start=1):
        if not is_tag(tag):
            raise BadData(f"the tag of word {number} is '{tag:.40}'", where=where,
                          fix="Tags are O, B-PER, I-PER and the like (BIOES, BILOU too).")  # fmt: skip
    return as_iob2(given)


def _spans(given: Any, column: str, where: str) -> list[Span]:
    """Return a cell's spans. Raises BadData for what is none."""
    if not isinstance(given, list):
        raise BadData(f"column '{column}' holds {given!r:.60} where a list of spans is expected", where=where)
    spans = []
    for one in given:
        parts = [one.get(key) for key in Span._fields] if isinstance(one, dict) else one
        if not is_span(parts):
            raise BadData(f"{one!r:.60} is no span", where=where,
                          fix='A span is {"start": 0, "end": 4, "label": "PER"}, in characters.')  # fmt: skip
        spans.append(Span(*parts))
    return sorted(spans)


def is_span(parts: Any) -> bool:
    """Are these two whole numbers and a label?"""
    if not isinstance(parts, (list, tuple)) or len(parts) != 3:
        return False
    numbers = all(isinstance(number, int) and not isinstance(number, bool) for number in parts[:2])
    return numbers and isinstance(parts[2], str) and bool(parts[2].strip())


def _tags_of_spans(sentence: Sentence, spans: list[Span], where: str) -> tuple[list[str], int]:
    """Return the tags of a text's words, and how many spans begin or end inside one.

    Raises:
        BadData: a span is not in the text, holds no word, or shares a word with another.
    """
    found: list[Span] = []
    widened = 0
    for start, end, label in spans:
        said = f"the span {start} to {end} ({label})"
        if not 0 <= start < end <= len(sentence.text):
            raise BadData(
                f"{said} is not within the text's {counted(len(sentence.text), 'character')}", where=where
            )
        inside = [i for i, (first, last) in enumerate(sentence.words) if first < end and last > start]
        if not inside:
            raise BadData(f"{said} holds no word", where=where)
        if found and inside[0] < found[-1].end:
            raise BadData(f"{said} shares a word with the one before it", where=where,
                          fix="A word belongs to one entity: leave the inner one out.")  # fmt: skip
        found.append(Span(inside[0], inside[-1] + 1, label))
        widened += sentence.words[inside[0]][0] < start or sentence.words[inside[-1]][1] > end
    return tags_of(found, len(sentence.words)), widened


def labels_in(sentences: Sentences) -> tuple[str, ...]:
    """Return the labels that occur, sorted."""
    return labels_of(tag for sentence in sentences.all for tag in sentence.tags)
