"""What each kind of model can be asked, between tokenising (when a request comes) and running (in batches).

Shape suffixes: N texts, C outputs, D vector size, W words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from modernbert.data.rows import Rows
from modernbert.data.sentences import Sentence, read_sentences
from modernbert.data.task import Task
from modernbert.data.tokens import PairTokens, Tokens, joined
from modernbert.data.word_tokens import WordTokens
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.rerank import Reranker
from modernbert.evaluation.scoring import readable_prediction
from modernbert.evaluation.tagging import PREDICTION, Tagger
from modernbert.model.device import MAX_TOKENS
from modernbert.model.embedding import TextKind

Ability = Literal["predict", "embed", "rerank"]
Text = tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """One text, or pair, as a model reads it.

    Attributes:
        tokens: of it alone; two texts where those of a pair are read apart.
        words: of a tagger, the sentence and its words.
    """

    tokens: Tokens
    words: tuple[Sentence, WordTokens] | None = None

    @property
    def count(self) -> int:
        """Tokens that the model sees, at least one."""
        return max(1, len(self.tokens.ids))

    def is_cut(self, max_length: int) -> bool:
        """Was it longer than the model reads?"""
        return int(self.tokens.full.lengths.max()) > max_length


class Served(ABC):
    """A loaded model.

    Attributes:
        name: by which a request chooses it.
        ability: what it can be asked.
        kind: what it is called in answers.
        num_texts: how many texts it reads together: 2 for pairs.
    """

    ability: ClassVar[Ability]
    num_texts = 1

    def __init__(self, name: str, kind: str, loaded: Any, max_length: int) -> None:
        """Take over a loaded model."""
        self.name, self.kind, self.loaded, self.max_length = name, kind, loaded, max_length

    @property
    def max_tokens(self) -> int:
        """Tokens of a batch that fill the device."""
        return MAX_TOKENS[self.loaded.machine.device]

    @abstractmethod
    def read(self, texts: Sequence[Text], kind: TextKind = "document") -> list[Reading]:
        """Tokenise texts; in one thread at a time."""

    @abstractmethod
    def run(self, readings: list[Reading]) -> Sequence[Any] | np.ndarray:
        """Return what the model gives for each text."""

    def facts(self) -> dict[str, Any]:
        """Return what a user of the model wants to know."""
        return {"kind": self.kind, "ability": self.ability, "max_length": self.max_length}


class ServedClassifier(Served):
    """Labels of texts or pairs, or a number."""

    ability = "predict"
    loaded: Scorer

    def __init__(self, name: str, scorer: Scorer) -> None:
        """Take over a loaded classifier."""
        super().__init__(name, scorer.task.kind, scorer, scorer.length)
        self.task: Task = scorer.task
        self.num_texts = len(scorer.task.text)

    def read(self, texts: Sequence[Text], kind: TextKind = "document") -> list[Reading]:
        """Tokenise texts."""
        tokens = self.loaded.tokens_of(list(texts))
        parts = tokens.texts.parts(2) if isinstance(tokens, PairTokens) else tokens.parts()
        return [Reading(part) for part in parts]

    def run(self, readings: list[Reading]) -> np.ndarray:
        """Return logits, fp32, shape (N, C), in the order of the task's labels."""
        tokens = joined([reading.tokens for reading in readings])
        return self.loaded.run(PairTokens(tokens) if self.loaded.apart else tokens)

    def readable(self, logits_C: np.ndarray, *, top: int = 0, calibrated: bool = False) -> dict[str, Any]:
        """Return a prediction as `mbert predict` gives it."""
        return readable_prediction(self.task, logits_C, top=top, calibrated=calibrated)

    def facts(self) -> dict[str, Any]:
        """Return labels too, and whether there is a temperature."""
        labels = {"labels": list(self.task.labels)} if self.task.labels else {}
        calibrated = self.task.temperature != 1
        return super().facts() | {"texts": list(self.task.text), "calibrated": calibrated} | labels


class ServedTagger(Served):
    """Entities in texts."""

    ability = "predict"
    loaded: Tagger

    def __init__(self, name: str, tagger: Tagger) -> None:
        """Take over a loaded tagger."""
        super().__init__(name, "tokens", tagger, tagger.max_length)

    def read(self, texts: Sequence[Text], kind: TextKind = "document") -> list[Reading]:
        """Tokenise texts."""
        plain = Rows.of({"text": [text[0] for text in texts]}, "the texts")
        sentences = read_sentences(plain, "text").all
        words = self.loaded.tokenize(sentences)
        return [
            Reading(tokens, (sentence, WordTokens(tokens, (first,))))
            for tokens, sentence, first in zip(words.tokens.parts(), sentences, words.first, strict=True)
        ]

    def run(self, readings: list[Reading]) -> list[dict[str, Any]]:
        """Return each text's entities as `mbert predict` gives them."""
        parts = [reading.words for reading in readings if reading.words]
        first = tuple(words.first[0] for _, words in parts)
        tokens = WordTokens(joined([reading.tokens for reading in readings]), first)
        logits = self.loaded.logits(tokens)
        return [
            {PREDICTION: self.loaded.entities(sentence, logits_WC)}
            for (sentence, _), logits_WC in zip(parts, logits, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Return the entities' labels too."""
        labels = sorted({tag.partition("-")[2] for tag in self.loaded.tags} - {""})
        return super().facts() | {"labels": labels}


class ServedEmbedder(Served):
    """A vector for each text."""

    ability = "embed"
    loaded: Embedder

    def __init__(self, name: str, embedder: Embedder) -> None:
        """Take over a loaded encoder."""
        super().__init__(name, "embedder", embedder, embedder.settings.max_length)

    def read(self, texts: Sequence[Text], kind: TextKind = "document") -> list[Reading]:
        """Tokenise texts."""
        tokens = self.loaded.tokens_of([text[0] for text in texts], kind)
        return [Reading(one) for one in tokens.parts()]

    def run(self, readings: list[Reading]) -> np.ndarray:
        """Return vectors, fp32, shape (N, D)."""
        return self.loaded.run(joined([reading.tokens for reading in readings]))

    def facts(self) -> dict[str, Any]:
        """Return the size of the vectors too."""
        return super().facts() | {"size": self.loaded.size, "similarity": self.loaded.settings.similarity}


class ServedReranker(Served):
    """How well a document answers a query."""

    ability = "rerank"
    loaded: Reranker
    num_texts = 2

    def __init__(self, name: str, reranker: Reranker) -> None:
        """Take over a loaded cross-encoder."""
        super().__init__(name, "reranker", reranker, reranker.max_length)

    def read(self, texts: Sequence[Text], kind: TextKind = "document") -> list[Reading]:
        """Tokenise texts."""
        pairs = [(query, document) for query, document in texts]
        return [Reading(tokens) for tokens in self.loaded.tokens_of(pairs).parts()]

    def run(self, readings: list[Reading]) -> np.ndarray:
        """Return scores, fp32, shape (N,)."""
        return self.loaded.run(joined([reading.tokens for reading in readings]))
