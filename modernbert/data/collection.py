"""Collections for retrieval: documents, queries, and which documents are relevant to which query.

The layout is BEIR's (Thakur et al. 2021, arXiv:2104.08663): `corpus.jsonl` (`_id`, `title`, `text`),
`queries.jsonl` (`_id`, `text`) and `qrels/SPLIT.tsv` (`query-id`, `corpus-id`, `score`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modernbert.data.cells import as_number
from modernbert.data.clusters import query_clusters
from modernbert.data.readers import iter_rows
from modernbert.data.tables import iter_table
from modernbert.errors import BadData

Judgements = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Documents:
    """Documents in the order of their file; a title may be empty."""

    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Sequence[int]) -> Documents:
        """Return the documents at these places."""
        columns = ([column[i] for i in places] for column in (self.ids, self.titles, self.texts))
        return Documents(*columns)

    def with_titles(self) -> list[str]:
        """Return title and text in one, as mteb joins them."""
        return [f"{title} {text}".strip() for title, text in zip(self.titles, self.texts, strict=True)]


@dataclass(frozen=True)
class Collection:
    """One split of a retrieval data set.

    Attributes:
        name: a task's name, or a folder's.
        split: which judgements.
        documents: what is searched.
        queries: text by query id, of the judged queries alone.
        judgements: grade by query id and document id; 0 is judged and not relevant.
        notes: what a careful reader should know of the data.
        teacher: a stronger model's score by query id and document id, to learn from.
        ignore_identical: is a document whose id is the query's left out of that query's results?
        group: what a document belongs to, by its id (see `RetrievalTask.cluster`).
    """

    name: str
    split: str
    documents: Documents
    queries: Mapping[str, str]
    judgements: Judgements
    notes: tuple[str, ...] = ()
    teacher: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ignore_identical: bool = False
    group: Callable[[str], str] = str

    @property
    def clusters(self) -> Mapping[str, str]:
        """Which cluster each query belongs to; empty where no two belong together."""
        found = query_clusters(self.judgements, self.group)
        return found if len(set(found.values())) < len(found) else {}

    def identical(self) -> int:
        """Return how many queries have the id of a document."""
        return len(self.queries.keys() & set(self.documents.ids))

    def to_learn_from(self) -> Collection:
        """Return the collection with judgements of its own documents alone: others have no text."""
        known = frozenset(self.documents.ids)
        judgements = {
            query: {document: grade for document, grade in grades.items() if document in known}
            for query, grades in self.judgements.items()
        }
        return replace(self, judgements=judgements)

    def only(self, queries: Sequence[str]) -> Collection:
        """Return the collection with these of its queries alone; all documents stay."""
        return replace(
            self,
            queries={query: self.queries[query] for query in queries},
            judgements={query: self.judgements[query] for query in queries},
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 over documents, queries and judgements: the identity of this data."""
        digest = hashlib.sha256()
        for row in zip(self.documents.ids, self.documents.titles, self.documents.texts, strict=True):
            digest.update(json.dumps(row, ensure_ascii=False).encode())
        for rows in (self.queries, self.judgements):
            digest.update(json.dumps(rows, ensure_ascii=False, sort_keys=True).encode())
        return digest.hexdigest()


QRELS = ("query-id", "corpus-id", "score")
FIX_QRELS = "Remove the judgement, or add what it names to corpus.jsonl or queries.jsonl."


def is_collection(path: Path) -> bool:
    """Does this folder have BEIR's layout, or half of it? (What is missing is said when it is read.)"""
    return any((path / name).is_file() for name in ("corpus.jsonl", "queries.jsonl"))


def splits_of(folder: Path) -> list[str]:
    """Return the names of a collection's splits."""
    return sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))


def read_collection(folder: Path, split: str = "test", *, name: str = "") -> Collection:
    """Read one split.

    Raises:
        BadData: a file or split is missing, a row is malformed, an id occurs twice, a query is empty, a
            judgement names an unknown query, or none names a document here; the message names file and row.
    """
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        found = ", ".join(splits_of(folder)) or "none"
        raise BadData(f"there is no split '{split}'", where=str(path), fix=f"Splits here: {found}.")
    documents = _read_documents(folder / "corpus.jsonl")
    queries = dict(_texts_by_id(folder / "queries.jsonl"))
    judgements = _read_judgements(path, queries)
    where = str(folder / "queries.jsonl")
    return checked_collection(name or folder.name, split, documents, queries, judgements, where=where)


def checked_collection(
    name: str,
    split: str,
    documents: Documents,
    queries: Mapping[str, str],
    judgements: Judgements,
    *,
    where: str,
) -> Collection:
    """Put a collection together, with the judged queries alone, and note what a reader should know.

    A judged document that the corpus lacks stays judged: if it is relevant, it is one that is not found, as
    in trec_eval and mteb.

    Raises:
        BadData: a judged query is unknown or empty, or no judged document is in the corpus.
    """
    documents, notes = _first_of_each(documents)
    known = frozenset(documents.ids)
    rows = {query: number for number, query in enumerate(queries, start=1)}
    for query in judgements:
        if query not in queries:
            raise BadData(
                f"the query '{query}' is judged and is not in the collection", where=where, fix=FIX_QRELS
            )
        if not queries[query].strip():
            raise BadData(f"query '{query}' is empty", where=f"{where}, row {rows[query]}")
    judged_documents = {document for grades in judgements.values() for document in grades}
    if lost := judged_documents - known:
        if lost == judged_documents:
            raise BadData("no judged document is in the collection", where=where, fix=FIX_QRELS)
        notes.append(
            f"judged documents that the corpus lacks: {len(lost)}, such as {min(lost)}; relevant ones count "
            "as not found"
        )
    if empty := sum(not text for text in documents.with_titles()):
        notes.append(f"documents without text: {empty}; they stay in the corpus and match nothing")
    hopeless = sum(not any(grade > 0 for grade in grades.values()) for grades in judgements.values())
    if hopeless == len(judgements):
        raise BadData(
            "no query has a relevant document",
            where=where,
            fix="A relevant document's score in qrels is greater than 0.",
        )
    if hopeless:
        notes.append(
            f"queries without a relevant document: {hopeless}; trec_eval leaves them out of the means"
        )
    judged = {query: queries[query] for query in judgements}
    return Collection(name, split, documents, judged, judgements, tuple(notes))


def _first_of_each(documents: Documents) -> tuple[Documents, list[str]]:
    """Leave out documents whose id another one before them has, and note how many."""
    places = {identifier: place for place, identifier in reversed(list(enumerate(documents.ids)))}
    if not (repeated := len(documents) - len(places)):
        return documents, []
    note = f"documents with the id of another one: {repeated}; the first of each is kept"
    return documents.take(sorted(places.values())), [note]


def _read_documents(path: Path) -> Documents:
    ids, titles, texts = [], [], []
    for document, row in _rows_by_id(path):
        ids.append(document)
        titles.append(row["title"])
        texts.append(row["text"])
    if not ids:
        raise BadData("the corpus has no documents", where=str(path))
    return Documents(ids, titles, texts)


def _texts_by_id(path: Path) -> Iterator[tuple[str, str]]:
    for query, row in _rows_by_id(path):
        yield query, row["text"]


def _rows_by_id(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    seen: dict[str, int] = {}
    for number, row in iter_rows(path):
        where = f"{path}, row {number}"
        if row.get("_id") in (None, "") or "text" not in row:
            raise BadData("a row needs '_id' and 'text'", where=where)
        name = id_of(row["_id"], where)
        if name in seen:
            raise BadData(f"the id '{name}' stands in row {seen[name]} too", where=where)
        seen[name] = number
        yield name, {column: text_of(row.get(column), column, where) for column in ("title", "text")}


def id_of(value: Any, where: str) -> str:
    """Return an id, which is a text or a whole number. Raises BadData."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise BadData(f"the id is {value!r}, neither a text nor a whole number", where=where)
    return str(value)


def text_of(value: Any, column: str, where: str) -> str:
    """Return a text, empty for none. Raises BadData for a list, a number or an object."""
    if value is not None and not isinstance(value, str):
        shown = repr(value)[:60]
        fix = "Write one text; parts of a document are joined, or are documents of their own."
        raise BadData(f"column '{column}' holds {shown} where text is expected", where=where, fix=fix)
    return value or ""


def _read_judgements(path: Path, queries: Mapping[str, str]) -> Judgements:
    judgements: dict[str, dict[str, int]] = {}
    for number, row in iter_table(path, QRELS):
        where = f"{path}, row {number}"
        query, document = row["query-id"], row["corpus-id"]
        grade = as_number(row["score"])
        if grade is None or grade != int(grade):
            raise BadData(f"the score {row['score']!r} is not a whole number", where=where)
        if query not in queries:
            raise BadData(
                f"the query '{query}' is judged and is not in the collection", where=where, fix=FIX_QRELS
            )
        if judgements.setdefault(query, {}).setdefault(document, int(grade)) != grade:
            raise BadData(f"'{query}' and '{document}' are judged twice, and differently", where=where)
    if not judgements:
        raise BadData("there are no judgements", where=str(path))
    return judgements


def write_collections(splits: Mapping[str, Collection], folder: Path) -> None:
    """Write a data set's splits in BEIR's layout; what several splits share stands there once."""
    documents: dict[str, dict[str, str]] = {}
    queries: dict[str, dict[str, str]] = {}
    (folder / "qrels").mkdir()
    for split, collection in splits.items():
        own = collection.documents
        for identifier, title, text in zip(own.ids, own.titles, own.texts, strict=True):
            documents[identifier] = {"_id": identifier, "title": title, "text": text}
        queries |= {i: {"_id": i, "text": text} for i, text in collection.queries.items()}
        rows = [
            f"{query}\t{document}\t{grade}\n"
            for query, grades in collection.judgements.items()
            for document, grade in grades.items()
        ]
        text = "query-id\tcorpus-id\tscore\n" + "".join(rows)
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    for name, found in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in found.values())
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
