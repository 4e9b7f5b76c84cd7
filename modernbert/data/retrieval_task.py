"""What a retrieval task is: a data sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from modernbert.data.collection import Collection


@dataclass(frozen=True)
class HubCollection:
    """A collection on the Hugging Face Hub, at a pinned revision, in the layout that mteb reads.

    Attributes:
        repo: the data set's repository.
        revision: a commit.
        config: what stands before `corpus`, `queries` and `qrels` in the names of its configurations.
    """

    repo: str
    revision: str
    config: str = ""


@dataclass(frozen=True)
class MadeCollection:
    """A collection that is made on this machine; `make` maps split names to collections.

    `made_from` names what it was made from, such as an interpreter's version.
    """

    make: Callable[[], Mapping[str, Collection]]
    made_from: Callable[[], str]


@dataclass(frozen=True)
class FolderCollection:
    """A folder in BEIR's layout."""

    path: Path


Analyser = Literal["english", "code"]
# Texts that are looked at, and the share of marks (neither letters nor digits) among what is no space, above
# which they are code: 2 to 7 % in BEIR's scientific abstracts and in transcripts, 14 to 21 % in the code of
# Stack Overflow's answers.
LOOKED_AT, CODE_MARKS = 512, 0.1


def guess_analyser(texts: Iterable[str]) -> Analyser:
    """Return how BM25 should read texts of one's own: it must not lose because it was told nothing."""
    sample = "".join("".join(islice(texts, LOOKED_AT)).split())
    marks = sum(not character.isalnum() for character in sample)
    return "code" if marks > CODE_MARKS * len(sample) else "english"


@dataclass(frozen=True, kw_only=True)
class RetrievalTask:
    """One retrieval task: what it reads and how it is scored.

    Attributes:
        train: the split to train on; None when there is none.
        validation: the split that selects the checkpoint; None holds a tenth of the training queries out.
        test: the split that is reported.
        analyser: how BM25 reads its texts.
        average: the benchmark whose mean it belongs to; `benchmark/set` where several tasks are one set.
        cluster: what a document belongs to, by its id, such as a module: queries whose most relevant
            documents belong to the same are one cluster, and intervals are over clusters. By default a
            document is all that two queries can have in common.
        ignore_identical_ids: is a document whose id is the query's left out of that query's results?
    """

    name: str
    summary: str
    source: HubCollection | MadeCollection | FolderCollection
    train: str | None = None
    validation: str | None = None
    test: str | None = "test"
    analyser: Analyser = "english"
    average: str = ""
    cluster: Callable[[str], str] = str
    ignore_identical_ids: bool = False
    licence: str = "see the source"
    citation: str = ""
    kind: Literal["retrieval"] = "retrieval"
    labels: tuple[str, ...] = ()
    text: tuple[str, ...] = ("query", "document")
    metrics: tuple[str, ...] = ("ndcg_at_10", "mrr_at_10", "map", "recall_at_10", "recall_at_100")

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that it has, the training one first."""
        return tuple(split for split in (self.train, self.validation, self.test) if split)
