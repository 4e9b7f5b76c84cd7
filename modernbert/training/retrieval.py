"""Training a bi-encoder: queries and documents of a collection, its network, its scores."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert.data.collection import Collection
from modernbert.data.collections import LoadedCollection
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.tokens import TokenLengths, Tokens, tokenize
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.hits import unit
from modernbert.evaluation.predict import predict_logits
from modernbert.evaluation.ranking import (
    RankingScores,
    depth,
    score_hits,
    without_identical,
)
from modernbert.evaluation.search import exact_search
from modernbert.model.embedding import EmbeddingSettings, PackedEmbedder, load_embedder, save_embedder
from modernbert.model.loading import load_encoder
from modernbert.model.lora import merged
from modernbert.model.packing import pack
from modernbert.records.data import Data, Split
from modernbert.records.scores import SplitScores
from modernbert.settings.config import RetrievalTrainingConfig
from modernbert.training.contrastive import SCORE_LOSSES, Contrastive
from modernbert.training.inputs import Inputs, Job, trainable
from modernbert.training.negatives import mine
from modernbert.training.pairs import pair_data, prompted_texts
from modernbert.training.reports import Evaluation
from modernbert.training.signals import StopRequest
from modernbert.wording import counted, truncated_text

# Documents searched in the evaluations during training: the relevant ones, and others drawn once.
EVALUATION_DOCUMENTS = 5000
DEPTH = 100
# Results kept of each query.
RESULTS = 1000
# Documents that BM25 finds for a query, for a reranker to order anew (its negatives are drawn from them); and
# how many of them in the evaluations during training.
CANDIDATES, QUICK_CANDIDATES = 100, 30


@dataclass(frozen=True, kw_only=True)
class RetrievalInputs(Inputs):
    """A request to train on queries and the documents that answer them."""

    task: RetrievalTask
    config: RetrievalTrainingConfig
    loaded: dict[str, LoadedCollection]
    train: Collection
    held_out: dict[str, Collection]
    settings: EmbeddingSettings
    lengths: dict[str, TokenLengths]
    remarks: tuple[str, ...]

    def facts(self) -> dict[str, str]:
        """Return sizes, where the data is from, and how long its texts are."""
        sizes = [
            f"{name} {counted(len(c.queries), 'query', 'queries')}, {counted(len(c.documents), 'document')}"
            for name, c in {"train": self.train, **self.held_out}.items()
        ]
        cut = self.config.data.max_length
        tokens = [
            f"{name}: median {lengths.quantile(0.5)}, 95 % up to {lengths.quantile(0.95)}, "
            f"{truncated_text(lengths.share_over(cut), cut, name)}"
            for name, lengths in self.lengths.items()
        ]
        return {
            "data": f"{'; '.join(sizes)}  ({next(iter(self.loaded.values())).found_in})",
            "tokens per text": "; ".join(tokens),
            "scores": self._scores(),
        }

    def _scores(self) -> str:
        if self.config.retrieval.head == "reranker":
            return (
                f"one for each pair; BM25's best {QUICK_CANDIDATES} are reranked during training, "
                f"its best {CANDIDATES} at the end"
            )
        if self.config.retrieval.head == "tokens":
            return "the mean, over a query's tokens, of the best cosine with a document's tokens"
        dims = self.config.retrieval.dims
        sizes = f", sizes {', '.join(map(str, dims))}" if dims else ""
        return f"cosine of vectors, {self.settings.pooling} pooling{sizes}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the collections themselves remark, and texts of training that stand in the test."""
        return self.remarks

    def data_record(self) -> Data:
        """Return splits with fingerprints; what was held out of training is one of them."""
        splits = {name: loaded.record() for name, loaded in self.loaded.items()}
        assert self.task.train is not None, "prepared for training"
        splits[self.task.train] = splits[self.task.train].with_values(used=len(self.train.queries))
        held = {
            name: Split(rows=len(c.queries), documents=len(c.documents), fingerprint=c.fingerprint())
            for name, c in self.held_out.items()
            if name not in splits
        }
        return Data(text=self.task.text, splits=splits | held)

    @property
    def job(self) -> str:
        """A bi-encoder, or what the head makes of it."""
        names = {"reranker": "reranker", "tokens": "late interaction"}
        return names.get(self.config.retrieval.head, "bi-encoder")


@dataclass(frozen=True)
class TokenizedCollection:
    """A held-out collection, tokenised."""

    collection: Collection
    queries: Tokens
    documents: Tokens


class RetrievalJob(Job):
    """An encoder on its device, with its pairs and its held-out collections."""

    def __init__(self, inputs: RetrievalInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load everything."""
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        config = inputs.config
        self.model = trainable(load_encoder(inputs.start), config, head=False)
        self._make_network()
        train = inputs.train
        if config.retrieval.mine:
            train = self._with_negatives(train)
        self.data = pair_data(train, inputs.tokenizer, inputs.settings, config)
        first, *_ = inputs.held_out
        self.quick = self._tokenized(sample(inputs.held_out[first], EVALUATION_DOCUMENTS))

    def _make_network(self) -> None:
        config = self.inputs.config.retrieval
        self.network: nn.Module = PackedEmbedder(self.model, self.inputs.settings)
        self.new_tensors = ()
        self.objective = Contrastive(SCORE_LOSSES[config.loss], config.temperature, config.dims)

    def _tokenized(self, collection: Collection) -> TokenizedCollection:
        queries, documents = prompted_texts(collection, self.inputs.settings)
        length = self.inputs.config.data.max_length
        return TokenizedCollection(
            collection,
            tokenize(self.inputs.tokenizer, [(text,) for text in queries], length),
            tokenize(self.inputs.tokenizer, [(text,) for text in documents], length),
        )

    def _with_negatives(self, train: Collection) -> Collection:
        """Mine with the model as it is before training."""
        network = self.network.to(self.accelerator.device).eval()
        queries_QD, documents_ND = self._vectors(network, self._tokenized(train))
        config = self.inputs.config
        judgements, _ = mine(
            train, queries_QD, documents_ND, per_query=config.retrieval.hard_negatives, seed=config.run.seed
        )
        return replace(train, judgements=judgements)

    def _vectors(self, network: nn.Module, tokenized: TokenizedCollection) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors of queries and documents."""
        found = [
            predict_logits(
                network,
                tokens,
                max_tokens=self.inputs.config.memory.max_tokens,
                accelerator=self.accelerator,
                check_stop=self.stop.raise_if_requested,
            )
            for tokens in (tokenized.queries, tokenized.documents)
        ]
        return unit(found[0]), unit(found[1])

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Search the validation queries among the sampled documents."""
        scores, _ = self._search(network, self.quick)
        metrics = {score.metric: score.value for score in scores.scores}
        return Evaluation(metrics, scores.main.value)

    def save(self, folder: Path) -> float:
        """Save in sentence-transformers' layout, adapters folded in; compare a few vectors."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        self.model = merged(self.model.to("cpu").eval())
        self.network = PackedEmbedder(self.model, self.inputs.settings).eval()
        save_embedder(self.model, self.inputs.tokenizer, self.inputs.settings, folder)
        fresh = load_embedder(replace(self.inputs.source, name=folder.parent.name, folder=folder, base=None))
        batch = pack(self.quick.queries, range(min(8, len(self.quick.queries))))
        with torch.inference_mode():
            difference = float((self.network(batch) - fresh(batch)).abs().nan_to_num(nan=float("inf")).max())
        self.network.to(self.accelerator.device)
        return difference

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Search every held-out collection, whole; BM25's score stands in the notes."""
        results: list[SplitScores] = []
        rows: list[dict[str, Any]] = []
        for split, collection in self.inputs.held_out.items():
            scores, notes = self._search(self.network.eval(), self._tokenized(collection))
            notes = [*notes, bm25_note(collection, self.inputs.task.analyser, scores.main.value)]
            results.append(SplitScores.of(split, scores.scores, tuple(notes)))
            rows += scores.rows(split)
        return tuple(results), rows

    def _search(self, network: nn.Module, tokenized: TokenizedCollection) -> tuple[RankingScores, list[str]]:
        """Return the scores of an exact search, and those of smaller vectors in words."""
        collection = tokenized.collection
        queries_QD, documents_ND = self._vectors(network, tokenized)
        results = depth(collection, RESULTS)
        scores = scored(collection, exact_search(queries_QD, [documents_ND], results))
        notes = []
        for size in self.inputs.config.retrieval.dims:
            found = exact_search(unit(queries_QD[:, :size]), [unit(documents_ND[:, :size])], results)
            value = scored(collection, found).main.value
            notes.append(f"the first {size} numbers of each vector: nDCG@10 {value:.4f}")
        return scores, notes


def bm25_note(collection: Collection, analyser: str, value: float) -> str:
    """Return how BM25 does on a collection, beside a model's nDCG@10."""
    documents = collection.documents.with_titles()
    found = Bm25(documents, analyser).search(list(collection.queries.values()), depth(collection, DEPTH))
    bm25 = scored(collection, found).main.value
    verdict = "better than" if bm25 > value else "below" if bm25 < value else "as good as"
    return f"BM25 ({analyser}) scores nDCG@10 {bm25:.4f}: {verdict} this model"


def scored(collection: Collection, found: tuple[np.ndarray, np.ndarray]) -> RankingScores:
    """Score what a search found, which was asked for `depth(collection, RESULTS)` documents of each query."""
    return score_hits(collection, without_identical(collection, found, RESULTS))


def sample(collection: Collection, size: int) -> Collection:
    """Keep the judged documents, and others up to `size`, drawn alike every time."""
    documents = collection.documents
    if len(documents) <= size:
        return collection
    judged = {document for grades in collection.judgements.values() for document in grades}
    others = [i for i, identifier in enumerate(documents.ids) if identifier not in judged]
    drawn = np.random.default_rng(0).permutation(others)[: max(0, size - len(judged))]
    places = sorted({i for i, identifier in enumerate(documents.ids) if identifier in judged} | set(drawn))
    return replace(collection, documents=documents.take(places))
