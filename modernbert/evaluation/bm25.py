"""BM25, the baseline that a dense model must beat (Robertson and Zaragoza 2009).

One formula ranks the documents of an evaluation, whose words are counted in memory, and the chunks of an
index, whose words are counted in its file: what `mbert eval` measures is what `mbert search --hybrid` does.

Shape suffixes: N documents, T words of all documents in order, V different words, P documents that hold a
word, Q queries, K results.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from modernbert.evaluation.hits import NOTHING, Hits, best_places

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
# Lucene's English stop words (org.apache.lucene.analysis.en.EnglishAnalyzer).
STOP_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
        "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this",
        "to", "was", "will", "with",
    }
)  # fmt: skip


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

# Of one word: the documents that hold it, each once, and how often each does; both of shape (P,).
Postings = tuple[np.ndarray, np.ndarray]


def words_of(text: str, *, split_names: bool, stem: Callable[[list[str]], list[str]]) -> list[str]:
    """Return lower-case stems without stop words; see `Analyser` for names."""
    words: list[str] = []
    for name in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(name)] if split_names else [name.lower()]
        words += stem([part for part in parts if part not in STOP_WORDS])
        if len(parts) > 1:
            words.append(name.lower())
    return words


@cache
def word_reader(analyser: str) -> Callable[[str], list[str]]:
    """Return the function that turns a text into words as an analyser does."""
    import Stemmer

    stem = Stemmer.Stemmer("english").stemWords
    return partial(words_of, split_names=ANALYSERS[analyser].split_names, stem=stem)


def ranked(
    query: str, postings: Callable[[str], Postings], lengths_N: np.ndarray, analyser: str, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and places of up to `k` documents that share a word with the query, best first.

    Of equals, the first document comes first. A word that a query repeats counts as often.

    Args:
        query: what is looked for.
        postings: of a word; empty arrays for one that no document holds.
        lengths_N: how many words each document has.
        analyser: a name in `ANALYSERS`.
        k: results.
    """
    scores_N = np.zeros(len(lengths_N))
    for word, times in Counter(word_reader(analyser)(query)).items():
        places_P, counts_P = postings(word)
        scores_N[places_P] += times * _word_scores(places_P, counts_P, lengths_N, ANALYSERS[analyser])
    found_P = np.flatnonzero(scores_N)
    best_K = found_P[best_places(scores_N[found_P], k)]
    return scores_N[best_K], best_K


def _word_scores(
    places_P: np.ndarray, counts_P: np.ndarray, lengths_N: np.ndarray, analyser: Analyser
) -> np.ndarray:
    """Return what one word adds to the documents that hold it, in Lucene's form (since its version 8).

    See Kamphuis et al. 2020, "Which BM25 do you mean?", table 1, without the constant factor `k1 + 1`.
    """
    size, held = len(lengths_N), len(places_P)
    if not held:
        return np.zeros(0)
    idf = np.log(1 + (size - held + 0.5) / (held + 0.5))
    relative_P = lengths_N[places_P] / lengths_N.mean()
    k1, b = analyser.k1, analyser.b
    return np.asarray(idf * counts_P / (counts_P + k1 * (1 - b + b * relative_P)))


class Bm25:
    """The words of documents, counted in memory."""

    def __init__(self, documents: Sequence[str], analyser: str = "english") -> None:
        """Count the documents' words; results name them by their places."""
        self.analyser, self.size = analyser, len(documents)
        self.vocabulary: dict[str, int] = {}
        read, number = word_reader(analyser), self._number
        texts = [np.fromiter(map(number, read(text)), np.int64) for text in documents]
        self.lengths_N = np.array([len(text) for text in texts])
        places_T = np.repeat(np.arange(self.size), self.lengths_N)
        # One number for each pair of word and document, so that equal pairs can be counted.
        pairs, self.counts = np.unique(np.concatenate(texts) * self.size + places_T, return_counts=True)
        self.places = pairs % self.size
        self.starts_V = np.searchsorted(pairs, np.arange(len(self.vocabulary) + 1) * self.size)

    def _number(self, word: str) -> int:
        return self.vocabulary.setdefault(word, len(self.vocabulary))

    def search(self, queries: Sequence[str], k: int) -> Hits:
        """Return scores and document numbers, best first, both of shape (queries, k).

        A document that shares no word with the query is no result: its place stays empty (`NOTHING`).
        """
        shape = (len(queries), min(k, self.size))
        scores_QK, numbers_QK = np.full(shape, -np.inf, np.float32), np.full(shape, NOTHING)
        for row, query in enumerate(queries):
            scores_K, places_K = ranked(query, self._postings, self.lengths_N, self.analyser, k)
            scores_QK[row, : len(scores_K)], numbers_QK[row, : len(places_K)] = scores_K, places_K
        return scores_QK, numbers_QK

    def _postings(self, word: str) -> Postings:
        number = self.vocabulary.get(word)
        span = slice(0, 0) if number is None else slice(self.starts_V[number], self.starts_V[number + 1])
        return self.places[span], self.counts[span]
