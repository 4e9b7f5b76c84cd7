"""What any neural model should beat: the most frequent answer, and TF-IDF with a linear model.

Shape suffixes: N texts, C outputs, V terms.
"""

from __future__ import annotations

import datetime
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier

from modernbert.data.examples import Examples, to_examples
from modernbert.data.sources import bundle_folder
from modernbert.data.task import Kind, Task
from modernbert.evaluation.metrics import METRICS
from modernbert.evaluation.multi_label import with_thresholds
from modernbert.evaluation.scoring import example_rows, score_split
from modernbert.files import write_jsonl
from modernbert.memory import peak_memory
from modernbert.model.device import describe_hardware
from modernbert.runs import RunStore, write_run
from modernbert.training.classification import load_training_splits, resolve_task
from modernbert.training.inputs import Request, limited
from modernbert.versions import versions

NAMES = ("majority", "tfidf")
# Of regularisation (`C`, or ridge's `alpha`), to choose from.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
FOLDS = 3


class Baseline(Protocol):
    """A model without a neural network."""

    def fit(self, texts: list[tuple[str, ...]], labels: np.ndarray) -> None:
        """Learn from texts and labels as `Examples` has them."""

    def logits(self, texts: list[tuple[str, ...]]) -> np.ndarray:
        """Return outputs as a classifier gives them, shape (N, C)."""


@dataclass
class Majority:
    """The training data's most frequent answer (or mean), whatever the text."""

    kind: Kind
    num_outputs: int

    def fit(self, texts: list[tuple[str, ...]], labels: np.ndarray) -> None:
        """Count the answers."""
        if self.kind == "regression":
            self.answer_C = labels.mean(keepdims=True)
            return
        single = self.kind == "single_label"
        counts_C = np.bincount(labels, minlength=self.num_outputs) if single else labels.sum(0)
        share_C = np.clip(counts_C / len(labels), 1e-6, 1 - 1e-6)
        self.answer_C = np.log(share_C) if single else np.log(share_C / (1 - share_C))

    def logits(self, texts: list[tuple[str, ...]]) -> np.ndarray:
        """Return the same row for every text."""
        return np.tile(self.answer_C, (len(texts), 1))


@dataclass
class Tfidf:
    """Logistic regression (ridge for numbers) on TF-IDF of words and word pairs.

    Of a pair of texts it sees what differs, what both have, and the cosine. How strongly it is regularised
    is chosen by the task's metric in cross-validation on the training data (fixed for several labels a text).
    """

    kind: Kind
    num_outputs: int
    metric: str

    def fit(self, texts: list[tuple[str, ...]], labels: np.ndarray) -> None:
        """Learn terms and weights."""
        self.terms = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
        self.terms.fit(part for parts in texts for part in parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is good enough
            self.model = self._model(labels).fit(self._features(texts), labels)

    def _model(self, labels: np.ndarray) -> Any:
        by = make_scorer(METRICS[self.metric])
        if self.kind == "regression":
            return GridSearchCV(Ridge(solver="sparse_cg"), {"alpha": STRENGTHS}, cv=FOLDS, scoring=by)
        model = LogisticRegression(C=10.0, max_iter=300)
        if self.kind == "multi_label":
            return OneVsRestClassifier(model)
        folds = min(FOLDS, np.unique(labels, return_counts=True)[1].min())
        if folds < 2:
            return model
        return GridSearchCV(model, {"C": STRENGTHS}, cv=StratifiedKFold(folds), scoring=by)

    def _features(self, texts: list[tuple[str, ...]]) -> sparse.csr_matrix:
        sides = [self.terms.transform(part) for part in zip(*texts, strict=True)]
        if len(sides) == 1:
            return sides[0]
        first_NV, second_NV = sides
        shared_NV = first_NV.multiply(second_NV)
        cosine_N1 = sparse.csr_matrix(shared_NV.sum(axis=1))
        return sparse.hstack([abs(first_NV - second_NV), shared_NV, cosine_N1], format="csr")

    def logits(self, texts: list[tuple[str, ...]]) -> np.ndarray:
        """Return log-odds, or numbers."""
        features = self._features(texts)
        if self.kind == "regression":
            return np.asarray(self.model.predict(features)).reshape(-1, 1)
        given = np.asarray(self.model.decision_function(features))
        if given.ndim == 2:
            return given
        return np.stack([np.zeros_like(given), given], axis=1)


def make_baseline(name: str, task: Task) -> Baseline:
    """Return the baseline called `name`, not yet fitted."""
    if name == "majority":
        return Majority(task.kind, task.num_outputs)
    return Tfidf(task.kind, task.num_outputs, task.metrics[0])


def run_baseline(name: str, request: Request, store: RunStore) -> str:
    """Fit a baseline on a task's training data, score it, keep it as a run, and return the run's name.

    Raises:
        MbertError: the data cannot be had or read.
    """
    task, _ = resolve_task(request)
    loaded = load_training_splits(task, bundle_folder(Path(request.data_dir) if request.data_dir else None))
    examples = {split: to_examples(task, part.rows) for split, part in loaded.items()}
    train = examples[task.train]
    if request.limit:
        train = to_examples(task, train.rows.take(limited(len(train), request.limit)))
    model = make_baseline(name, task)
    began = time.perf_counter()
    assert train.labels is not None
    model.fit(train.texts, train.labels)
    minutes = (time.perf_counter() - began) / 60
    began = time.perf_counter()
    logits = {split: model.logits(examples[split].texts) for split in task.scored_splits}
    seconds = time.perf_counter() - began
    task = with_thresholds(task, examples[task.validation[0]].labels, logits[task.validation[0]])
    results = [score_split(task, split, examples[split], part) for split, part in logits.items()]
    record = {
        "kind": "baseline",
        "status": "finished",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": {"name": task.name, "kind": task.kind, "labels": task.labels, "metrics": task.metrics},
        "model": {"name": name, "about": (type(model).__doc__ or "").splitlines()[0]},
        "seed": None,
        "config": {},
        "request": request.as_dict(),
        "data": {
            "text": task.text,
            "label": task.label,
            "splits": {
                split: part.record(task) | {"used": len(train if split == task.train else examples[split])}
                for split, part in loaded.items()
            },
        },
        "results": [part.as_dict() for part in results],
        "training": {"minutes": round(minutes, 3), "peak_memory_mib": peak_memory()},
        "inference": {"examples_per_second": round(_count(examples, logits) / max(seconds, 1e-9), 1)},
        "hardware": describe_hardware(),
        "versions": versions(),
    }
    rows = (row for split, part in logits.items() for row in example_rows(task, split, examples[split], part))
    with store.new_run(f"{task.short_name}-{name}") as folder:
        write_jsonl(folder / "scores.jsonl", rows)
        write_run(folder, record)
    return folder.name


def _count(examples: dict[str, Examples], logits: dict[str, np.ndarray]) -> int:
    return sum(len(examples[split]) for split in logits)
