"""Training a cross-encoder: query and document are read together, each positive against its negatives.

The loss is the cross-entropy of the positive within its own group (Gao et al. 2021, arXiv:2101.08751).

Shape suffixes: B groups, G texts of a group (the positive first), N = B x G.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modernbert.data.batching import BatchPlan
from modernbert.data.collection import Collection
from modernbert.data.tokens import Tokens, tokenize
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.hits import NOTHING
from modernbert.evaluation.predict import predict_logits
from modernbert.evaluation.ranking import (
    RankingScores,
    depth,
    score_hits,
    without_identical,
)
from modernbert.evaluation.rerank import RERANKING, rerank
from modernbert.model.encoder import PackedClassifier
from modernbert.model.loading import (
    largest_difference,
    load_classifier,
    load_trained,
    logits_of,
    save_classifier,
)
from modernbert.model.lora import merged
from modernbert.model.packing import PackedBatch, pack
from modernbert.records.scores import SplitScores
from modernbert.training.inputs import Job, trainable
from modernbert.training.objectives import PerExample
from modernbert.training.reports import Evaluation
from modernbert.training.retrieval import CANDIDATES, QUICK_CANDIDATES, RetrievalInputs, bm25_note
from modernbert.training.signals import StopRequest

# Queries in the evaluations during training.
QUICK_QUERIES = 100


def groupwise(logits_N1: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Cross-entropy of each group's positive, which stands first; labels are zeros."""
    logits_BG = logits_N1.float().view(len(labels_B), -1)
    return F.cross_entropy(logits_BG, labels_B, reduction="sum"), len(labels_B)


@dataclass(frozen=True)
class Groups:
    """Groups of (query, document), tokenised: text `i * size` is the positive of group i."""

    tokens: Tokens
    size: int
    plan: BatchPlan

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return every text of the groups at `indices`, and zeros."""
        texts = (indices[:, None] * self.size + np.arange(self.size)).ravel()
        return pack(self.tokens, texts), torch.zeros(len(indices), dtype=torch.int64)


def make_groups(train: Collection, analyser: str, size: int, seed: int) -> list[list[tuple[str, str]]]:
    """Return, for each relevant document, its query with it and with `size` - 1 others.

    Negatives are documents judged 0, then some that BM25 finds, then any: never one known to be relevant.
    """
    draw = np.random.default_rng(seed)
    train = train.to_learn_from()
    documents = train.documents.with_titles()
    place = {identifier: i for i, identifier in enumerate(train.documents.ids)}
    found = _candidates(train, analyser)
    groups = []
    for (query, text), row in zip(train.queries.items(), found, strict=True):
        grades = {place[document]: grade for document, grade in train.judgements[query].items()}
        relevant = {documents[i] for i, grade in grades.items() if grade > 0}
        if train.ignore_identical and query in place:
            relevant.add(documents[place[query]])
        given = [i for i, grade in grades.items() if grade <= 0]
        for positive in (i for i, grade in grades.items() if grade > 0):
            others = [
                *given,
                *draw.permutation(row[row != NOTHING]).tolist(),
                *draw.integers(0, len(documents), size * 4),
            ]
            wrong = [documents[i] for i in dict.fromkeys(others) if documents[i] not in relevant]
            group = [documents[positive], *wrong[: size - 1]]
            if len(group) == size:
                groups.append([(text, document) for document in group])
    return groups


def _candidates(collection: Collection, analyser: str) -> np.ndarray:
    """Return the documents that BM25 finds best, shape (queries, CANDIDATES or fewer)."""
    bm25 = Bm25(collection.documents.with_titles(), analyser)
    hits = bm25.search(list(collection.queries.values()), depth(collection, CANDIDATES))
    return without_identical(collection, hits, CANDIDATES)[1]


class RerankingJob(Job):
    """A cross-encoder on its device, with its groups."""

    def __init__(self, inputs: RetrievalInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model; its head is drawn from the current random state."""
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        config = inputs.config
        loaded = load_classifier(inputs.start, RERANKING)
        self.model = trainable(loaded.model, config, head=True)
        self.network = PackedClassifier(self.model)
        self.new_tensors = loaded.new_tensors
        self.objective = PerExample(groupwise)
        size = 1 + config.retrieval.hard_negatives
        groups = make_groups(inputs.train, inputs.task.analyser, size, config.run.seed)
        tokens = self._tokens([pair for group in groups for pair in group])
        # A group is one example: its parts are cut as if each of its texts were as long as the longest.
        longest_B = tokens.lengths.reshape(-1, size).max(axis=1) * size
        self.data: Groups = Groups(
            tokens, size, BatchPlan(longest_B, config.optimizer.batch_size, config.run.seed)
        )
        first, *_ = inputs.held_out.values()
        self.quick = first.only(list(first.queries)[:QUICK_QUERIES])
        self.quick_candidates = _candidates(self.quick, inputs.task.analyser)

    def _tokens(self, pairs: Sequence[tuple[str, str]]) -> Tokens:
        return tokenize(self.inputs.tokenizer, pairs, self.inputs.config.data.max_length)

    def _ranked(
        self, network: nn.Module, collection: Collection, candidates: np.ndarray, read: int
    ) -> RankingScores:
        def score(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
            return predict_logits(
                network,
                self._tokens(pairs),
                max_tokens=self.inputs.config.memory.max_tokens,
                accelerator=self.accelerator,
                check_stop=self.stop.raise_if_requested,
            )[:, 0]

        found = rerank(
            score,
            list(collection.queries.values()),
            collection.documents.with_titles(),
            candidates,
            depth=read,
        )
        return score_hits(collection, found)

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Order BM25's best documents of some validation queries."""
        scores = self._ranked(network, self.quick, self.quick_candidates, QUICK_CANDIDATES)
        return Evaluation({score.metric: score.value for score in scores.scores}, scores.main.value)

    def save(self, folder: Path) -> float:
        """Save whole, adapters folded in; read back and compare logits on a few texts."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        self.model = merged(self.model.to("cpu").eval())
        self.network = PackedClassifier(self.model).eval()
        save_classifier(self.model, self.inputs.tokenizer, folder)
        source = replace(self.inputs.source, name=folder.parent.name, folder=folder, base=None, labels=None)
        batch = pack(self.data.tokens, range(min(8, len(self.data.tokens))))
        fresh = load_trained(source, RERANKING)
        difference = largest_difference(logits_of(self.model, batch), logits_of(fresh, batch))
        self.network.to(self.accelerator.device)
        return difference

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Order BM25's 100 best documents of every held-out query."""
        results: list[SplitScores] = []
        rows: list[dict[str, Any]] = []
        for split, collection in self.inputs.held_out.items():
            candidates = _candidates(collection, self.inputs.task.analyser)
            scores = self._ranked(self.network.eval(), collection, candidates, CANDIDATES)
            notes = (
                f"BM25's best {CANDIDATES} documents of each query, reranked",
                bm25_note(collection, self.inputs.task.analyser, scores.main.value),
            )
            results.append(SplitScores.of(split, scores.scores, notes))
            rows += scores.rows(split)
        return tuple(results), rows
