"""A collection's training queries as tokenised pairs, and the checks before: what trains on what."""

from __future__ import annotations

from typing import Any

import numpy as np

from modernbert.data.batching import BatchPlan
from modernbert.data.collection import Collection
from modernbert.data.tokens import tokenize
from modernbert.model.embedding import EmbeddingSettings
from modernbert.settings.config import RetrievalTrainingConfig
from modernbert.training.contrastive import PairData


def prompted_texts(collection: Collection, settings: EmbeddingSettings) -> tuple[list[str], list[str]]:
    """Return queries and documents as a model reads them: prompts first, titles before texts."""
    queries = [settings.read(text, "query") for text in collection.queries.values()]
    documents = [settings.read(text) for text in collection.documents.with_titles()]
    return queries, documents


def pair_data(
    collection: Collection, tokenizer: Any, settings: EmbeddingSettings, config: RetrievalTrainingConfig
) -> PairData:
    """Tokenise a collection's queries and judged documents; equal texts are one.

    A document judged above 0 makes a pair; one judged 0 is a negative of its query.
    """
    collection = collection.to_learn_from()
    every_query, every_document = prompted_texts(collection, settings)
    judged = {document for grades in collection.judgements.values() for document in grades}
    texts = {
        identifier: text
        for identifier, text in zip(collection.documents.ids, every_document, strict=True)
        if identifier in judged
    }
    query_numbers = {text: i for i, text in enumerate(dict.fromkeys(every_query))}
    first = len(query_numbers)
    document_numbers = {text: first + i for i, text in enumerate(dict.fromkeys(texts.values()))}
    pairs: list[tuple[int, int]] = []
    relevant: dict[int, set[int]] = {}
    negatives: dict[int, list[int]] = {}
    teacher: dict[tuple[int, int], float] = {}
    for query, text in zip(collection.queries, every_query, strict=True):
        number = query_numbers[text]
        found = {document_numbers[texts[d]]: grade for d, grade in collection.judgements[query].items()}
        good = [document for document, grade in found.items() if grade > 0]
        relevant.setdefault(number, set()).update(good)
        pairs += [(number, document) for document in good]
        negatives.setdefault(number, []).extend(d for d, grade in found.items() if grade <= 0)
        for document, score in collection.teacher.get(query, {}).items():
            teacher[number, document_numbers[texts[document]]] = score
    tokens = tokenize(
        tokenizer, [(text,) for text in [*query_numbers, *document_numbers]], config.data.max_length
    )
    pairs_P2 = np.array(list(dict.fromkeys(pairs)))
    lengths_P = tokens.lengths[pairs_P2].max(axis=1)
    return PairData(
        tokens=tokens,
        pairs_P2=pairs_P2,
        # A text that answers the query under another id is no negative.
        negatives={q: np.array([d for d in ds if d not in relevant[q]]) for q, ds in negatives.items() if ds},
        relevant={query: frozenset(documents) for query, documents in relevant.items()},
        teacher=teacher,
        plan=BatchPlan(lengths_P, config.optimizer.batch_size, config.run.seed, sort=False),
        per_query=config.retrieval.hard_negatives,
    )
