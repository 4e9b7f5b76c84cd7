"""Which kind of migration two models need: between classifiers, or between models for vectors."""

from __future__ import annotations

from typing import Any

from modernbert.errors import BadModel
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import load_config
from modernbert.model.locate import ModelSource, locate_model, record_of
from modernbert.model.similarity import is_similarity
from modernbert.runs import RunStore

# Heads of models that give no vectors.
HEADS = ("ForSequenceClassification", "ForTokenClassification")


def gives_vectors(source: ModelSource) -> bool:
    """Does a model give one vector for each text, and no labels or numbers?"""
    if is_similarity(source) or is_late_interaction(source.folder):
        return False
    if record := record_of(source):
        return record.task.kind in ("retrieval", "pretraining") and not _reranks(source)
    return not _reranks(source)


def _reranks(source: ModelSource) -> bool:
    return str((load_config(source).architectures or [""])[0]).endswith(HEADS)


def are_for_vectors(old: str, new: str, store: RunStore, **where: Any) -> bool:
    """Are both models for vectors? Raises BadModel where one is and the other gives labels."""
    sources = [locate_model(name, store=store, **where) for name in (old, new)]
    kinds = [gives_vectors(source) for source in sources]
    if kinds[0] != kinds[1]:
        vectors, labels = (sources[kinds.index(kind)].name for kind in (True, False))
        raise BadModel(f"{vectors} gives vectors and {labels} does not: neither can replace the other",
                       fix="Compare two classifiers, or two models for vectors.")  # fmt: skip
    return kinds[0]
