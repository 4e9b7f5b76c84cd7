"""Training an encoder to find: each query against every document of its batch, on little memory.

A batch's vectors are made without a graph, part by part; the loss gives each vector its gradient; then each
part runs again with a graph and takes that gradient (Gao et al. 2021, arXiv:2101.06983). So the batch, and
with it the number of negatives, is not bound by memory.

Shape suffixes: B queries, M documents, K candidates of a query (the positive first), S texts of a batch,
D vector size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modernbert import processes
from modernbert.data.batching import BatchPlan
from modernbert.data.tokens import Tokens
from modernbert.model.late_interaction import max_sim, pad_rows
from modernbert.model.packing import pack
from modernbert.training.grad_cache import Vectors
from modernbert.training.objectives import BatchLoss, cut_shares
from modernbert.training.sharding import idle_passes, is_divided


@dataclass(frozen=True)
class PairBatch:
    """Queries and documents of one batch; every distinct text is there once.

    Attributes:
        texts_S: numbers of the texts; the documents come last.
        queries_B: each query's place among the texts.
        first_document: place of the first document among the texts.
        candidates_BK: columns of each query's own documents, the positive first; -1 where it has fewer.
        allowed_BM: False for a document that is relevant to a query and not its positive here.
        teacher_BK: a stronger model's scores of the candidates; NaN where there is none.
    """

    texts_S: np.ndarray
    queries_B: torch.Tensor
    first_document: int
    candidates_BK: torch.Tensor
    allowed_BM: torch.Tensor
    teacher_BK: torch.Tensor


@dataclass(frozen=True)
class PairData:
    """Queries with a relevant document each, tokenised.

    Attributes:
        tokens: of all queries, then of all documents.
        pairs_P2: numbers of a query and of a document that answers it.
        negatives: by query, numbers of documents that do not answer it.
        relevant: by query, numbers of all documents known to answer it.
        teacher: by (query, document), a stronger model's score.
        plan: the order of the pairs.
        per_query: negatives of its own that a query takes into a batch.
    """

    tokens: Tokens
    pairs_P2: np.ndarray
    negatives: Mapping[int, np.ndarray]
    relevant: Mapping[int, frozenset[int]]
    teacher: Mapping[tuple[int, int], float]
    plan: BatchPlan
    per_query: int

    def batch(self, indices: np.ndarray) -> PairBatch:
        """Return the pairs at `indices` with their negatives."""
        queries_B, positives_B = self.pairs_P2[indices].T
        none = np.zeros(0, np.int64)
        own = [
            [int(p), *self.negatives.get(int(q), none)[: self.per_query].tolist()]
            for q, p in zip(queries_B, positives_B, strict=True)
        ]
        distinct_queries, places_B = np.unique(queries_B, return_inverse=True)
        documents = np.unique([document for row in own for document in row])
        column = {int(document): place for place, document in enumerate(documents)}
        width = max(len(row) for row in own)
        candidates = [[column[d] for d in row] + [-1] * (width - len(row)) for row in own]
        allowed = np.ones((len(own), len(documents)), bool)
        for i, (query, positive) in enumerate(zip(queries_B.tolist(), positives_B.tolist(), strict=True)):
            others = [column[d] for d in self.relevant[query] if d != positive and d in column]
            allowed[i, others] = False
        teacher = [
            [self.teacher.get((int(q), d), float("nan")) for d in row] + [float("nan")] * (width - len(row))
            for q, row in zip(queries_B, own, strict=True)
        ]
        return PairBatch(
            texts_S=np.concatenate([distinct_queries, documents]),
            queries_B=torch.from_numpy(places_B),
            first_document=len(distinct_queries),
            candidates_BK=torch.tensor(candidates),
            allowed_BM=torch.from_numpy(allowed),
            teacher_BK=torch.tensor(teacher),
        )


ScoreLoss = Callable[[torch.Tensor, PairBatch], torch.Tensor]


def contrastive(scores_BM: torch.Tensor, pairs: PairBatch) -> torch.Tensor:
    """Cross-entropy of the positive among all allowed documents of the batch, summed over queries.

    Known relevant documents other than the positive are no negatives.
    """
    device = scores_BM.device
    scores_BM = scores_BM.masked_fill(~pairs.allowed_BM.to(device), float("-inf"))
    return F.cross_entropy(scores_BM, pairs.candidates_BK[:, 0].to(device), reduction="sum")


def distilled(scores_BM: torch.Tensor, pairs: PairBatch) -> torch.Tensor:
    """KL divergence from the teacher's distribution over each query's candidates, summed over queries."""
    scores_BK, teacher_BK, known_BK = _candidates(scores_BM, pairs)
    student_BK = scores_BK.masked_fill(~known_BK, float("-inf")).log_softmax(dim=1)
    target_BK = teacher_BK.masked_fill(~known_BK, float("-inf")).log_softmax(dim=1)
    terms_BK = target_BK.exp() * (target_BK - student_BK)
    return terms_BK.masked_fill(~known_BK, 0.0).sum()


def margin(scores_BM: torch.Tensor, pairs: PairBatch) -> torch.Tensor:
    """Squared difference of the student's and the teacher's margins, positive over negative.

    Averaged over each query's negatives, summed over queries (Hofstaetter et al. 2020, arXiv:2010.02666).
    """
    scores_BK, teacher_BK, known_BK = _candidates(scores_BM, pairs)
    student = scores_BK[:, :1] - scores_BK[:, 1:]
    target = teacher_BK[:, :1] - teacher_BK[:, 1:]
    known = known_BK[:, 1:] & known_BK[:, :1]
    squares = (student - target).masked_fill(~known, 0.0).square()
    return (squares.sum(1) / known.sum(1).clamp(min=1)).sum()


def _candidates(scores_BM: torch.Tensor, pairs: PairBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the scores of each query's own candidates, the teacher's, and where both are known."""
    columns_BK = pairs.candidates_BK.to(scores_BM.device)
    teacher_BK = pairs.teacher_BK.to(scores_BM.device)
    known_BK = (columns_BK >= 0) & ~teacher_BK.isnan()
    return scores_BM.gather(1, columns_BK.clamp(min=0)), teacher_BK.nan_to_num(), known_BK


SCORE_LOSSES: dict[str, ScoreLoss] = {"contrastive": contrastive, "kl": distilled, "margin": margin}


@dataclass(frozen=True)
class Contrastive:
    """The objective of a bi-encoder.

    Attributes:
        loss: over the scores of queries against documents.
        temperature: scores are cosines divided by it.
        dims: the loss is the mean over these sizes, each a vector's first numbers (Matryoshka: Kusupati et
            al. 2022, arXiv:2205.13147); empty for whole vectors.
    """

    loss: ScoreLoss
    temperature: float
    dims: tuple[int, ...] = ()

    def of_vectors(
        self, vectors_SD: torch.Tensor, pairs: PairBatch, lengths_S: np.ndarray, order: np.ndarray
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Args:
            vectors_SD: of the batch's texts, in the order in which these were embedded.
            pairs: what belongs together.
            lengths_S: tokens of each text, in the order of the batch.
            order: for each text of the batch, its place in `vectors_SD`.
        """
        vectors_SD = vectors_SD[torch.from_numpy(order).to(vectors_SD.device)]
        losses = []
        for size in self.dims or (vectors_SD.shape[1],):
            unit_SD = F.normalize(vectors_SD[:, :size].float(), dim=1)
            queries_BD = unit_SD[pairs.queries_B.to(unit_SD.device)]
            scores_BM = queries_BD @ unit_SD[pairs.first_document :].T / self.temperature
            losses.append(self.loss(scores_BM, pairs))
        return torch.stack(losses).mean()

    def num_rows(self, lengths: np.ndarray) -> int:
        """Return how many vectors texts of these lengths have."""
        return len(lengths)

    def accumulate(
        self, network: nn.Module, data: PairData, indices: np.ndarray, *, max_tokens: int, accelerator: Any
    ) -> BatchLoss:
        """Add the gradients of a whole batch up, with at most `max_tokens` tokens under a graph at once.

        Of several processes each embeds its share of the texts and is given the others' vectors. So all have
        the loss of the whole batch, and each goes on with the gradients of its own vectors.
        """
        pairs = data.batch(indices)
        lengths_S = data.tokens.lengths[pairs.texts_S]
        every = np.arange(len(lengths_S))
        shares = cut_shares(network, every, lengths_S, max_tokens)
        order = np.argsort(np.concatenate([place for share in shares for place in share]))
        number = processes.number()

        def embed(place: np.ndarray) -> torch.Tensor:
            batch = pack(data.tokens, pairs.texts_S[place])
            with accelerator.autocast():
                vectors_SD: torch.Tensor = network(batch.to(accelerator.device))
            return vectors_SD

        idle = max(idle_passes(network, shares), not shares[number])
        # Where weights are divided, nobody can go on when memory runs out in one process (see `step`).
        with contextlib.nullcontext() if is_divided(network) else processes.enough_memory():
            own = Vectors.of(embed, shares[number], [lengths_S.argmin(keepdims=True)] * idle)
        counts = [sum(self.num_rows(lengths_S[place]) for place in share) for share in shares]
        every_SD = processes.gather_rows(own.rows().detach(), counts).requires_grad_()
        loss = self.of_vectors(every_SD, pairs, lengths_S, order)
        loss.backward()  # type: ignore[no-untyped-call]
        assert every_SD.grad is not None, "the loss is of these vectors"
        own.backward(torch.split(every_SD.grad, counts)[number], accelerator)
        tokens = sum(int(lengths_S[place].sum()) for place in shares[number])
        if number:  # the first process's loss is that of all
            return BatchLoss(torch.zeros_like(loss), 0, tokens)
        return BatchLoss(loss.detach(), len(indices), tokens)


@dataclass(frozen=True)
class LateInteraction(Contrastive):
    """The same with a vector for each token; scores are means of the best cosines."""

    def num_rows(self, lengths: np.ndarray) -> int:
        """A vector for each token."""
        return int(lengths.sum())

    def of_vectors(
        self, vectors_SD: torch.Tensor, pairs: PairBatch, lengths_S: np.ndarray, order: np.ndarray
    ) -> torch.Tensor:
        """Return the loss of a batch; `vectors_SD` holds the rows of all texts, one text after another."""
        embedded = lengths_S[np.argsort(order)].tolist()
        rows_SLD, there_SL = pad_rows(vectors_SD, embedded)
        places = torch.from_numpy(order).to(vectors_SD.device)
        rows_SLD, there_SL = rows_SLD[places], there_SL[places]
        queries_B, first = pairs.queries_B.to(vectors_SD.device), pairs.first_document
        scores_BM = max_sim(rows_SLD[queries_B], there_SL[queries_B], rows_SLD[first:], there_SL[first:])
        return self.loss(scores_BM / self.temperature, pairs)
