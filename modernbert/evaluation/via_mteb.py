"""A collection evaluated by the `mteb` package's own code, with vectors of ours: a check from outside."""

from __future__ import annotations

from typing import Any

import numpy as np

from modernbert.data.collection import Collection
from modernbert.errors import NotAvailable
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit


def mteb_scores(collection: Collection, embedder: Embedder) -> dict[str, float]:
    """Return what mteb finds: `ndcg_at_10`, `mrr_at_10` and all its other measures.

    mteb joins titles and texts, searches and scores by itself; only the vectors come from the embedder.

    Raises:
        NotAvailable: mteb is not installed.
    """
    import datasets

    try:
        import mteb
        from mteb.abstasks.retrieval import AbsTaskRetrieval
        from mteb.models import ModelMeta
    except ImportError:
        raise NotAvailable("--via mteb needs the Python package 'mteb'", fix="pip install mteb") from None
    task = mteb_task(AbsTaskRetrieval, mteb.TaskMetadata, collection)
    model = _Encoder(embedder, ModelMeta.create_empty({"name": "mbert/model", "revision": "1"}))
    datasets.disable_progress_bars()
    try:
        found = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    finally:
        datasets.enable_progress_bars()
    row = found.task_results[0].scores[collection.split][0]
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}


def mteb_task(base: Any, metadata: Any, collection: Collection) -> Any:
    """Return an mteb task that holds this collection."""
    from datasets import Dataset

    own = collection.documents
    corpus = {"id": list(own.ids), "title": list(own.titles), "text": list(own.texts)}
    queries = {"id": list(collection.queries), "text": list(collection.queries.values())}
    kind = type(
        "OwnRetrieval",
        (base,),
        {
            "ignore_identical_ids": collection.ignore_identical,
            "metadata": metadata(
                name="OwnRetrieval",
                description=f"{collection.name}, as mbert reads it",
                reference=None,
                dataset={"path": "own/collection", "revision": "1"},
                type="Retrieval",
                category="t2t",
                modalities=["text"],
                eval_splits=[collection.split],
                eval_langs=["eng-Latn"],
                main_score="ndcg_at_10",
            ),
        },
    )
    task = kind()
    task.dataset = {
        "default": {
            collection.split: {
                "corpus": Dataset.from_dict(corpus),
                "queries": Dataset.from_dict(queries),
                "relevant_docs": {query: dict(grades) for query, grades in collection.judgements.items()},
                "top_ranked": None,
            }
        }
    }
    task.data_loaded = True
    return task


class _Encoder:
    """An embedder behind mteb's interface."""

    def __init__(self, embedder: Embedder, meta: Any) -> None:
        self.embedder, self.mteb_model_meta = embedder, meta

    def encode(self, inputs: Any, *, prompt_type: Any = None, **_: Any) -> np.ndarray:
        """Embed batches of texts; see mteb's `EncoderProtocol`."""
        texts = [text for batch in inputs for text in batch["text"]]
        is_query = prompt_type is not None and prompt_type.value == "query"
        return self.embedder.encode(texts, "query" if is_query else "document")

    def similarity(self, first_ND: Any, second_MD: Any) -> Any:
        """Return cosines (or products, for a model that compares so), shape (N, M)."""
        import torch

        first, second = np.asarray(first_ND), np.asarray(second_MD)
        if self.embedder.settings.similarity == "cosine":
            first, second = unit(first), unit(second)
        return torch.from_numpy(first @ second.T)

    def similarity_pairwise(self, first_ND: Any, second_ND: Any) -> Any:
        """Return the similarity of each pair, shape (N,)."""
        return self.similarity(first_ND, second_ND).diagonal()
