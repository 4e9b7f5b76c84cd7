"""The user's own pairs and triplets: a file with a query and a document that answers it in each row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernbert.data.cells import as_number
from modernbert.data.collection import Collection, Documents
from modernbert.data.readers import SUFFIXES, iter_rows
from modernbert.data.retrieval_task import MadeCollection, RetrievalTask, guess_analyser
from modernbert.errors import BadData
from modernbert.reading import parse_json

QUERY = ("query", "anchor", "question", "title", "sentence1")
POSITIVE = ("positive", "document", "passage", "answer", "pos", "code", "sentence2")
NEGATIVE = ("negative", "negatives", "neg")
# A stronger model's score of each document: of the positive first, then of the negatives.
SCORES = ("scores", "teacher_scores")


def is_pairs_file(path: Path) -> bool:
    """Does this file's first row have a query and a positive, under the names that training data has?

    The looser names (`title`, `code`) count only when they are asked for: a file of labelled titles is not
    one of pairs.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        return False
    first = next(iter_rows(path), None)
    return first is not None and _pick(first[1], QUERY[:3]) != "" and _pick(first[1], POSITIVE[:1]) != ""


def _pick(row: dict[str, Any], names: Sequence[str]) -> str:
    return next((name for name in names if name in row), "")


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
        name=f"own/{path.stem}",
        summary=f"own pairs from {path}",
        source=MadeCollection(lambda: made, lambda: f"file {path.absolute()}"),
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
        name=f"own/{path.stem}",
        summary=f"own pairs from {path}",
        source=MadeCollection(lambda: {"test": found}, lambda: f"file {path.absolute()}"),
        analyser=guess_analyser(found.documents.texts),
    )


def read_pairs(path: Path, split: str, *, text: Sequence[str] = ()) -> tuple[Collection, str]:
    """Read a file of pairs as a collection: equal texts are one query or one document.

    A negative is a document judged 0. Returns the collection, and which columns were taken.

    Raises:
        BadData: as `pairs_task`.
    """
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    judgements: dict[str, dict[str, int]] = {}
    teacher: dict[str, dict[str, float]] = {}
    columns: dict[str, str] = {}
    for number, row in iter_rows(path):
        where = f"{path}, row {number}"
        columns = columns or _columns(row, text, where)
        query = queries.setdefault(_text(row, columns["query"], where), f"q{len(queries)}")
        found = [_text(row, columns["positive"], where), *_negatives(row, columns["negative"], where)]
        ids = [documents.setdefault(document, f"d{len(documents)}") for document in found]
        grades = judgements.setdefault(query, {})
        for document in ids[1:]:
            grades.setdefault(document, 0)
        grades[ids[0]] = 1
        if columns["scores"]:
            teacher.setdefault(query, {}).update(_scores(row[columns["scores"]], ids, where))
    if not judgements:
        raise BadData("the file has no rows", where=str(path))
    texts = list(documents)
    collection = Collection(
        name=f"own/{path.stem}",
        split=split,
        documents=Documents(list(documents.values()), [""] * len(texts), texts),
        queries={identifier: text for text, identifier in queries.items()},
        judgements=judgements,
        teacher=teacher,
    )
    taken = ", ".join(f"{role} <- {name}" for role, name in columns.items() if name)
    return collection, f"{taken}: {len(queries):,} queries, {len(texts):,} documents"


def _columns(row: dict[str, Any], text: Sequence[str], where: str) -> dict[str, str]:
    if text and len(text) != 2:
        raise BadData(f"pairs have two text columns, and {len(text)} were named", where=where)
    query, positive = text or (_pick(row, QUERY), _pick(row, POSITIVE))
    for role, name in (("query", query), ("positive", positive)):
        if name not in row:
            raise BadData(f"there is no column for the {role}", where=where,
                          fix=f"Columns here: {', '.join(row)}. Name two with --text-col.")  # fmt: skip
    return {
        "query": query,
        "positive": positive,
        "negative": _pick(row, NEGATIVE),
        "scores": _pick(row, SCORES),
    }


def _text(row: dict[str, Any], column: str, where: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise BadData(f"the column '{column}' is empty or no text", where=where)
    return value


def _negatives(row: dict[str, Any], column: str, where: str) -> list[str]:
    """Return a row's negatives: none, one text, or a list (in CSV, as JSON)."""
    value = row.get(column) if column else None
    if value in (None, "", []):
        return []
    if isinstance(value, str):
        value = parse_json(value, where=where) if value.startswith("[") and value.endswith("]") else [value]
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise BadData(f"the column '{column}' holds something that is no text", where=where)
    return list(value)


def _scores(value: Any, documents: list[str], where: str) -> dict[str, float]:
    numbers = parse_json(value, where=where, finite=True) if isinstance(value, str) else value
    if not isinstance(numbers, list) or len(numbers) != len(documents):
        raise BadData("the scores must be a list: the positive's, then one for each negative", where=where)
    return dict(zip(documents, [_score(number, where) for number in numbers], strict=True))


def _score(value: Any, where: str) -> float:
    number = as_number(value)
    if number is None:
        raise BadData(f"the score {value!r} is not a number", where=where)
    return number
