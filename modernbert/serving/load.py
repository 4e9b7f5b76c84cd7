"""Load what is to be served: each kind of model as the command that uses it would."""

from __future__ import annotations

from typing import Any

from modernbert.errors import BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.predict_rows import task_of_texts
from modernbert.evaluation.rerank import Reranker
from modernbert.evaluation.tagging import Tagger
from modernbert.migration.sides import common_tasks, load_side
from modernbert.model.labels import head_of
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import load_config
from modernbert.model.locate import ModelSource, read_export, record_of
from modernbert.model.tagger import is_tagger
from modernbert.serving.models import (
    Served,
    ServedClassifier,
    ServedEmbedder,
    ServedReranker,
    ServedTagger,
)


def load_served(source: ModelSource, name: str, *, device: str, precision: str) -> Served:
    """Load a model.

    A folder that is no run and gives one number for each text is taken for a reranker.

    Raises:
        BadModel: it has a vector for each token, or cannot be read.
    """
    machine: dict[str, Any] = {"device": device, "precision": precision}
    if is_late_interaction(source.folder):
        raise BadModel(f"{source.name} has a vector for each token, and such a model cannot be served yet",
                       fix="Serve one with a vector for each text (--head vectors).")  # fmt: skip
    if is_tagger(source):
        return ServedTagger(name, Tagger(source, **machine))
    if _is_reranker(source):
        return ServedReranker(name, Reranker(source, **machine))
    if _has_labels(source):
        task, length = task_of_texts(source), trained_length(source)
        return ServedClassifier(name, Scorer(source, task, max_length=length, **machine))
    return ServedEmbedder(name, Embedder(source, **machine))


def _is_reranker(source: ModelSource) -> bool:
    if record := record_of(source):
        return record.task.kind == "retrieval" and record.config.by_name().get("head") == "reranker"
    if source.is_export:
        return read_export(source.folder).kind == "reranker"
    return _classifies(source) and head_of(source).kind == "regression"


def _has_labels(source: ModelSource) -> bool:
    if record := record_of(source):
        return record.task.kind in ("single_label", "multi_label", "regression")
    return _classifies(source)


def _classifies(source: ModelSource) -> bool:
    made = (load_config(source).architectures or [""])[0]
    return str(made).endswith("ForSequenceClassification")


def load_shadow(
    served: ModelSource, shadow: ModelSource, name: str, *, device: str, precision: str
) -> ServedClassifier:
    """Load the classifier that runs in another's shadow, its labels in that one's order.

    Raises:
        BadModel: they predict other labels, several a text, or numbers.
        BadOption: they read another number of texts.
    """
    own, other = common_tasks(served, shadow, ())
    if len(own.text) != len(other.text):
        raise BadOption("one model reads pairs of texts, and the other one text at a time")
    return ServedClassifier(name, load_side(shadow, other, device=device, precision=precision))
