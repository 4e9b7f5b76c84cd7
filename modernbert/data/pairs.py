"""The user's own pairs and triplets: a file with a query and documents that answer it in each row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from modernbert.data.cells import as_number
from modernbert.data.collection import Collection, Documents, checked_collection
from modernbert.data.readers import SUFFIXES, iter_rows
from modernbert.data.retrieval_task import MadeCollection, RetrievalTask, guess_analyser
from modernbert.data.task import own_name
from modernbert.errors import BadData
from modernbert.reading import parse_json
from modernbert.wording import counted

T = TypeVar("T")
QUERY = ("query", "anchor", "question", "title", "sentence1")
POSITIVE = ("positive", "positives", "pos", "document", "passage", "answer", "code", "sentence2")
NEGATIVE = re.compile(r"neg(ative)?s?_?\d*")
# A stronger model's score of each document: of the positives first, then of the negatives.
SCORES = ("scores", "teacher_scores")
# A number for each pair, as sentence-transformers writes it: do the two belong together?
LABEL = ("label", "labels", "score")


def is_pairs_file(path: Path) -> bool:
    """Does this file's first row have a query and a positive, under the names that training data has?

    The looser names (`title`, `code`) count only when they are asked for: a file of labelled titles is not
    one of pairs. A pair with a number as its label is a labelled text, not one of search.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        return False
    _, first = next(iter_rows(path), (1, {}))
    if not _pick(first, QUERY[:3]) or not _pick(first, POSITIVE[:3]):
        return False
    label = _pick(first, LABEL)
    labelled = label and (isinstance(first[label], bool) or as_number(first[label]) is not None)
    return not labelled or any(map(NEGATIVE.fullmatch, first))


def _pick(row: Iterable[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in row), "")


@dataclass(frozen=True)
class _Roles:
    """Which column is what; an empty name where a file has none.

    Attributes:
        grade: says 1 where the positive is one, and 0 where it is a negative.
        lists: columns of a table whose cells are all lists, as JSON.
    """

    query: str
    positive: str
    negatives: tuple[str, ...]
    scores: str
    grade: str
    lists: frozenset[str]

    def describe(self, columns: Iterable[str]) -> str:
        """Say what was taken, and which columns were not read."""
        grade = f"{self.grade} (1 relevant, 0 not)" if self.grade else ""
        positive, *negatives = (
            f"{name} (lists)" if name in self.lists else name for name in (self.positive, *self.negatives)
        )
        roles = {"query": self.query, "positive": positive, "negative": ", ".join(negatives)}
        roles |= {"scores": self.scores, "grade": grade}
        read = {self.query, self.positive, *self.negatives, self.scores, self.grade}
        unread = [name for name in columns if name not in read]
        taken = ", ".join(f"{role} <- {name}" for role, name in roles.items() if name)
        return f"{taken}{f' (not read: {chr(44).join(unread)})' if unread else ''}"


def _made(collections: dict[str, Collection], path: Path) -> MadeCollection:
    """Return what was read as a source; it can be sent to another process, which a lambda cannot."""
    return MadeCollection(partial(_itself, collections), partial(_itself, f"file {path.absolute()}"))


def _itself(value: T) -> T:
    return value


def pairs_task(
    path: Path, *, validation: Path | None = None, test: Path | None = None, text: Sequence[str] = ()
) -> tuple[RetrievalTask, list[str]]:
    """Read pairs or triplets and make a task of them.

    Args:
        path: the training pairs.
        validation, test: more pairs, searched for among their own documents.
        text: names of the query's and the document's column; guessed when empty.

    Returns:
        The task, and which columns were taken.

    Raises:
        BadData: a column is missing, or a row has an empty query or document.
    """
    files = {"train": path, "validation": validation, "test": test}
    made = {}
    notes: list[str] = []
    for split, file in files.items():
        if file is not None:
            made[split], note = read_pairs(file, split, text=text)
            notes = notes or [note]
    task = RetrievalTask(
        name=own_name(path),
        summary=f"own pairs from {path}",
        source=_made(made, path),
        train="train",
        validation="validation" if validation else None,
        test="test" if test else None,
        analyser=guess_analyser(made["train"].documents.texts),
    )
    return task, notes


def pairs_to_search(path: Path) -> RetrievalTask:
    """Return the task of finding each query's document among all of a file's documents, without training."""
    found, _ = read_pairs(path, "test")
    return RetrievalTask(
        name=own_name(path),
        summary=f"own pairs from {path}",
        source=_made({"test": found}, path),
        analyser=guess_analyser(found.documents.texts),
    )


def read_pairs(path: Path, split: str, *, text: Sequence[str] = ()) -> tuple[Collection, str]:
    """Read a file of pairs as a collection: equal texts are one query or one document.

    A negative is a document judged 0. Returns the collection, and which columns were taken.

    Raises:
        BadData: as `pairs_task`.
    """
    rows = list(iter_rows(path))
    if not rows:
        raise BadData("the file has no rows", where=str(path))
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    roles = _roles(path, names, [row for _, row in rows], text)
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    judgements: dict[str, dict[str, int]] = {}
    teacher: dict[str, dict[str, float]] = {}
    for number, row in rows:
        where = f"{path}, row {number}"
        query = queries.setdefault(_query(row.get(roles.query), roles.query, where), f"q{len(queries)}")
        positives, negatives = _documents(row, roles, where)
        ids = [documents.setdefault(text, f"d{len(documents)}") for text in (*positives, *negatives)]
        grades = judgements.setdefault(query, {})
        for document in ids[len(positives) :]:
            grades.setdefault(document, 0)
        grades.update(dict.fromkeys(ids[: len(positives)], 1))
        if roles.scores:
            teacher.setdefault(query, {}).update(_scores(row.get(roles.scores), ids, where))
    texts = list(documents)
    collection = checked_collection(
        own_name(path),
        split,
        Documents(list(documents.values()), [""] * len(texts), texts),
        {identifier: text for text, identifier in queries.items()},
        judgements,
        where=str(path),
    )
    taken = roles.describe(names)
    return replace(
        collection, teacher=teacher
    ), f"{taken}: {counted(len(queries), 'query', 'queries')}, {counted(len(texts), 'document')}"


def _roles(path: Path, names: Sequence[str], rows: Sequence[dict[str, Any]], text: Sequence[str]) -> _Roles:
    """Choose the columns, and how their cells are read, by all of the rows."""
    if text and len(text) != 2:
        raise BadData(f"pairs have two text columns, and {len(text)} were named", where=str(path))
    query, positive = text or (_pick(names, QUERY), _pick(names, POSITIVE))
    for role, name in (("query", query), ("positive", positive)):
        if name not in names:
            raise BadData(f"there is no column for the {role}", where=str(path),
                          fix=f"Columns here: {', '.join(names)}. Name two with --text-col.")  # fmt: skip
    negatives = tuple(name for name in names if NEGATIVE.fullmatch(name) and name not in (query, positive))
    label = _pick(names, LABEL)
    graded = label and not negatives and all(as_number(row.get(label)) in (0, 1) for row in rows)
    typed = path.suffix.lower() not in (".csv", ".tsv")
    lists = {name for name in (positive, *negatives) if not typed and _are_lists(rows, name)}
    return _Roles(query, positive, negatives, _pick(names, SCORES), label if graded else "", frozenset(lists))


def _are_lists(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Do all filled cells of a table's column write a list of texts? A single text may look like one."""
    filled = [value for row in rows if (value := str(row.get(name) or "").strip())]
    return bool(filled) and all(value[0] == "[" and _as_list(value) for value in filled)


def _as_list(value: str) -> list[str]:
    """Return the texts that a cell lists as JSON; none when it is no such list."""
    try:
        found = parse_json(value, where="")
    except BadData:
        return []
    return found if isinstance(found, list) and all(isinstance(text, str) for text in found) else []


def _documents(row: dict[str, Any], roles: _Roles, where: str) -> tuple[list[str], list[str]]:
    """Return a row's relevant documents and its others."""
    positives = _texts(row, roles.positive, roles, where)
    if not positives:
        raise BadData(f"the column '{roles.positive}' is empty", where=where)
    if roles.grade and as_number(row[roles.grade]) == 0:
        return [], positives
    return positives, [text for name in roles.negatives for text in _texts(row, name, roles, where)]


def _query(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadData(f"the column '{column}' is empty or no text", where=where)
    return value


def _texts(row: dict[str, Any], column: str, roles: _Roles, where: str) -> list[str]:
    """Return the texts in a cell: none, one, or those of a list."""
    value = row.get(column)
    if value is None or value == []:
        return []
    if isinstance(value, str) and not value.strip():
        return []
    if isinstance(value, str):
        return _as_list(value) if column in roles.lists else [value]
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise BadData(f"the column '{column}' holds something that is no text", where=where)
    return value


def _scores(value: Any, documents: list[str], where: str) -> dict[str, float]:
    numbers = parse_json(value, where=where, strict=True) if isinstance(value, str) else value
    if not isinstance(numbers, list) or len(numbers) != len(documents):
        raise BadData(
            "the scores must be a list: one for each positive, then one for each negative", where=where
        )
    return dict(zip(documents, [_score(number, where) for number in numbers], strict=True))


def _score(value: Any, where: str) -> float:
    number = as_number(value)
    if number is None:
        raise BadData(f"the score {value!r} is not a number", where=where)
    return number
