"""BM25, the baseline that a dense model must beat (Robertson and Zaragoza 2009), through bm25s."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from modernbert.evaluation.ranking import NOTHING

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True)
class Analyser:
    """How a text becomes words, and BM25's two parameters.

    Attributes:
        split_names: cut `readFileAsync` and `read_file_async` into their parts, and keep the whole name too.
        k1, b: how much repetition and length count.
    """

    name: str
    split_names: bool
    k1: float
    b: float


# k1 and b: for text Anserini's in BEIR (Thakur et al. 2021, arXiv:2104.08663), for code Lucene's defaults.
ANALYSERS = {
    "english": Analyser("english", split_names=False, k1=0.9, b=0.4),
    "code": Analyser("code", split_names=True, k1=1.2, b=0.75),
}


def words_of(text: str, *, split_names: bool, stem: Callable[[list[str]], list[str]]) -> list[str]:
    """Return lower-case stems without stop words; see `Analyser` for names."""
    from bm25s.stopwords import STOPWORDS_EN

    words: list[str] = []
    for name in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(name)] if split_names else [name.lower()]
        words += stem([part for part in parts if part not in STOPWORDS_EN])
        if len(parts) > 1:
            words.append(name.lower())
    return words


@cache
def word_reader(analyser: str) -> Callable[[str], list[str]]:
    """Return the function that turns a text into words as an analyser does."""
    import Stemmer

    stem = Stemmer.Stemmer("english").stemWords
    return partial(words_of, split_names=ANALYSERS[analyser].split_names, stem=stem)


class Bm25:
    """An index over documents."""

    def __init__(self, documents: Sequence[str], analyser: str = "english") -> None:
        """Index the documents; results name them by their places."""
        import bm25s

        chosen = ANALYSERS[analyser]
        self.words = word_reader(analyser)
        self.size = len(documents)
        self.vocabulary: dict[str, int] = {}
        numbers = [[self._number(word) for word in self.words(text)] for text in documents]
        self.index: Any = bm25s.BM25(k1=chosen.k1, b=chosen.b)
        self.index.index((numbers, self.vocabulary or {"": 0}), show_progress=False)

    def _number(self, word: str) -> int:
        return self.vocabulary.setdefault(word, len(self.vocabulary))

    def search(self, queries: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and document numbers, best first, both of shape (queries, k).

        A document that shares no word with the query is no result: its place stays empty (`NOTHING`).
        """
        k = min(k, self.size)
        scores, places = [], []
        for query in queries:
            every = self._scores(query)
            best = np.argpartition(-every, k - 1)[:k]
            best = best[np.argsort(-every[best], kind="stable")]
            scores.append(every[best])
            places.append(best)
        scores_QK, numbers_QK = np.stack(scores), np.stack(places)
        found_QK = scores_QK > 0
        return np.where(found_QK, scores_QK, -np.inf), np.where(found_QK, numbers_QK, NOTHING)

    def _scores(self, query: str) -> np.ndarray:
        known = [self.vocabulary[word] for word in self.words(query) if word in self.vocabulary]
        if not known:
            return np.zeros(self.size, np.float32)
        return np.asarray(self.index.get_scores_from_ids(known))
