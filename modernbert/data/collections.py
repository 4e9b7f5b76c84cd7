"""Where a retrieval task's collection comes from: bundle folder, this machine, Hugging Face cache, Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modernbert.activity import phase
from modernbert.connection import connection
from modernbert.data.bundle import verify
from modernbert.data.collection import (
    Collection,
    Documents,
    checked_collection,
    is_collection,
    read_collection,
    splits_of,
    text_of,
)
from modernbert.data.readers import iter_rows
from modernbert.data.retrieval_task import (
    FolderCollection,
    HubCollection,
    MadeCollection,
    RetrievalTask,
    guess_analyser,
)
from modernbert.data.sources import bundle_folder
from modernbert.data.splits import hash_split, text_key
from modernbert.data.task import own_name
from modernbert.errors import BadData, NotAvailable
from modernbert.hub import cache_folder, hub_data
from modernbert.records.data import Split

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class LoadedCollection:
    """A collection and where it was found, for the record of a run."""

    collection: Collection
    found_in: str
    revision: str

    def record(self) -> Split:
        """Return what a run keeps about this split."""
        return Split(
            rows=len(self.collection.queries),
            documents=len(self.collection.documents),
            found_in=self.found_in,
            revision=self.revision,
            fingerprint=self.collection.fingerprint(),
        )


def folder_task(folder: Path) -> RetrievalTask:
    """Return the task that a folder in BEIR's layout stands for."""
    splits = splits_of(folder)
    validation = next((name for name in ("validation", "valid", "dev") if name in splits), None)
    return RetrievalTask(
        name=own_name(folder),
        summary=f"collection in {folder}",
        source=FolderCollection(folder),
        train="train" if "train" in splits else None,
        validation=validation,
        test="test" if "test" in splits else None,
        analyser=guess_analyser(_first_texts(folder / "corpus.jsonl")),
    )


def _first_texts(corpus: Path) -> Iterator[str]:
    """Yield documents up to the first that cannot be read: what is wrong is told by who reads them all."""
    with suppress(BadData, OSError):
        yield from (str(row.get("text") or "") for _, row in iter_rows(corpus))


@phase("reading the data")
def load_collection(task: RetrievalTask, split: str, data_dir: Path | None = None) -> LoadedCollection:
    """Find one split of a task, with the task's rules on identical ids and on what belongs together.

    Raises:
        NotAvailable: it is in none of the places; the message names them and the command that fetches it.
        BadData: it was found and cannot be read, or its checksum differs.
    """
    found = _load(task, split, data_dir)
    collection = replace(found.collection, ignore_identical=task.ignore_identical_ids, group=task.cluster)
    return replace(found, collection=collection)


def _load(task: RetrievalTask, split: str, data_dir: Path | None) -> LoadedCollection:
    if isinstance(task.source, FolderCollection):
        collection = read_collection(task.source.path, split, name=task.name)
        return LoadedCollection(collection, f"folder {task.source.path}", "fingerprint only")
    if isinstance(task.source, MadeCollection):
        made = task.source.make()
        if split not in made:
            raise BadData(f"{task.name} has no split '{split}'", fix=f"It has: {', '.join(made)}.")
        return LoadedCollection(made[split], task.source.made_from(), task.source.made_from())
    bundle = bundle_folder(data_dir)
    folder = bundle / task.name if bundle else None
    if bundle and folder and is_collection(folder):
        state = verify(bundle, folder)
        collection = read_collection(folder, split, name=task.name)
        return LoadedCollection(collection, f"bundle {folder} ({state})", state)
    collection = _from_hub(task, task.source, split, folder)
    return LoadedCollection(collection, f"Hub {task.source.repo}", task.source.revision)


def _from_hub(task: RetrievalTask, source: HubCollection, split: str, looked: Path | None) -> Collection:
    prefix = f"{source.config}-" if source.config else ""
    where = f"{source.repo} at {source.revision}"
    try:
        corpus = _hub_rows(source, f"{prefix}corpus", "corpus", split)
        queries = _hub_rows(source, f"{prefix}queries", "queries", split)
        judged = _hub_rows(source, f"{prefix}qrels" if prefix else "default", split)
    except NotAvailable as error:
        reached = connection()
        missing = f"the Hub does not give it ({error.what})" if reached.online else "the Hub is out of reach"
        raise NotAvailable(
            f"{task.name} ({split}) is not on this machine and {missing}\n"
            f"  bundle folder: {looked or 'none given (--data-dir or MBERT_DATA)'}\n"
            f"  cache:         {cache_folder()}\n"
            f"  Hub:           {reached.reason}",
            fix=f"On a machine with network: mbert download {task.name} --to bundle; "
            "then here: --data-dir bundle. Without the Hub: codesearch/stdlib, or a folder of your own.",
        ) from None
    ids = corpus.get("_id") or corpus["id"]
    titles = corpus.get("title") or [""] * len(ids)
    documents = Documents(
        [str(i) for i in ids],
        [text_of(title, "title", where) for title in titles],
        [text_of(text, "text", where) for text in corpus["text"]],
    )
    texts = {
        str(i): text_of(text, "text", where)
        for i, text in zip(queries.get("_id") or queries["id"], queries["text"], strict=True)
    }
    judgements: dict[str, dict[str, int]] = {}
    grades = judged.get("score") or [1] * len(judged["query-id"])
    for query, document, grade in zip(judged["query-id"], judged["corpus-id"], grades, strict=True):
        judgements.setdefault(str(query), {})[str(document)] = int(grade)
    return checked_collection(task.name, split, documents, texts, judgements, where=where)


def _hub_rows(source: HubCollection, config: str, *splits: str) -> dict[str, Any]:
    """Return a configuration's columns: of the first split that it has (a corpus has but one)."""
    loaded = hub_data(source.repo, config, source.revision)
    found = next((split for split in splits if split in loaded), None)
    if found is None and len(loaded) > 1:
        raise NotAvailable(f"{config} has no split {' or '.join(splits)}")
    return dict(loaded[found or next(iter(loaded))].to_dict())


def hold_out(collection: Collection, share: float = VALIDATION_SHARE) -> tuple[Collection, Collection]:
    """Split a collection's queries in two by a hash of their text: (what remains, what is held out).

    Equal texts stay together; both sides keep all documents, and get queries with a relevant one.

    Raises:
        BadData: too few different queries.
    """
    ids = list(collection.queries)
    keys = [text_key([collection.queries[query]]) for query in ids]
    answered = [any(grade > 0 for grade in collection.judgements[query].values()) for query in ids]
    if len({key for key, found in zip(keys, answered, strict=True) if found}) < 2:
        what = "too few different queries with a relevant document to hold any out for validation"
        raise BadData(what, where=collection.name)
    parts = hash_split(keys, answered, {"validation": share, "train": 1 - share})
    train, held = (collection.only([ids[i] for i in parts[name]]) for name in ("train", "validation"))
    return train, replace(held, split="validation")
