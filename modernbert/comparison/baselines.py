"""What any neural model should beat: the most frequent answer, and TF-IDF with a linear model.

Shape suffixes: N texts, C outputs, V terms.
"""

from __future__ import annotations

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
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier

from modernbert.comparison.unigram import UNIGRAM, run_unigram
from modernbert.data.examples import Examples, to_examples
from modernbert.data.sources import bundle_folder, labelled_data
from modernbert.data.task import Kind, Task
from modernbert.evaluation.metrics import METRICS, measured
from modernbert.evaluation.scoring import example_rows, score_split
from modernbert.evaluation.sums import RANKED
from modernbert.evaluation.thresholds import with_thresholds
from modernbert.files import write_jsonl
from modernbert.memory import peak_memory
from modernbert.model.device import describe_hardware
from modernbert.records.base import Config
from modernbert.records.record import BaselineRecord, now
from modernbert.records.training import Effort, Model, StoredRequest
from modernbert.runs import RunStore, write_run
from modernbert.training.inputs import Request, limited
from modernbert.training.resolve import load_training_splits, resolve_task
from modernbert.version import versions

OF_TEXTS, OF_WORDS = ("majority", "tfidf"), (UNIGRAM,)
NAMES = (*OF_TEXTS, *OF_WORDS)
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
    is chosen by the task's metric in cross-validation on the training data. What is the same in all training
    rows needs no model: it answers as the majority does.
    """

    kind: Kind
    num_outputs: int
    metric: str
    positive: int = 1

    def fit(self, texts: list[tuple[str, ...]], labels: np.ndarray) -> None:
        """Learn terms and weights."""
        self.majority = Majority(self.kind, self.num_outputs)
        self.majority.fit(texts, labels)
        self.learnt_C = _differ(self.kind, labels, self.num_outputs)
        if not any(part.strip() for parts in texts for part in parts):
            self.learnt_C[:] = False
        if not self.learnt_C.any():
            return
        if self.kind == "multi_label":
            labels = labels[:, self.learnt_C]
        self.terms = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
        self.terms.fit(part for parts in texts for part in parts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is good enough
            # A label may be missing from a fold, and many classes have few rows.
            warnings.filterwarnings("ignore", "Label .* is present in all", UserWarning)
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            self.model = self._model(self._features(texts), labels)

    def _model(self, features: sparse.csr_matrix, labels: np.ndarray) -> Any:
        """Return the model with the best strength of regularisation, fitted to all rows."""
        model, name = LogisticRegression(max_iter=300), "C"
        rows, folds = np.arange(len(labels)), min(FOLDS, len(labels))
        if self.kind == "regression":
            model, name = Ridge(solver="sparse_cg"), "alpha"
        elif self.kind == "multi_label":
            model, name = OneVsRestClassifier(model), "estimator__C"
        else:
            rows, folds = _in_folds(labels)
        if folds > 1:
            grid = {name: STRENGTHS}
            search = GridSearchCV(model, grid, cv=folds, scoring=self._scorer(), refit=False)
            model.set_params(**search.fit(features[rows], labels[rows]).best_params_)
        return model.fit(features, labels)

    def _scorer(self) -> Any:
        def value(labels: np.ndarray, answers: np.ndarray) -> float:
            if self.metric in RANKED:  # of the log-odds of the second class
                return METRICS[self.metric](labels == self.positive, answers * (2 * self.positive - 1))
            return METRICS[self.metric](*measured(self.metric, labels, answers, None, self.positive))

        response = "decision_function" if self.metric in RANKED else "predict"
        return make_scorer(value, response_method=response)

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
        logits_NC = self.majority.logits(texts)
        if self.learnt_C.any():
            logits_NC[:, self.learnt_C] = self._outputs(texts)
        return logits_NC

    def _outputs(self, texts: list[tuple[str, ...]]) -> np.ndarray:
        """Return what the model says, for the outputs that it has learnt."""
        features = self._features(texts)
        if self.kind == "regression":
            return np.asarray(self.model.predict(features)).reshape(-1, 1)
        given = np.asarray(self.model.decision_function(features)).reshape(len(texts), -1)
        if self.kind == "multi_label" or given.shape[1] > 1:
            return given
        return np.hstack([np.zeros_like(given), given])  # of two classes: the log-odds of the second


def _differ(kind: Kind, labels: np.ndarray, num_outputs: int) -> np.ndarray:
    """Return which outputs the training rows tell something of, shape (C,).

    A linear model has no column for a class that no row has: its columns are not the task's.
    """
    if kind == "regression":
        return np.array([np.ptp(labels) > 0])
    if kind == "multi_label":
        return np.asarray(np.ptp(labels, axis=0) > 0)
    seen_C = np.bincount(labels, minlength=num_outputs) > 0
    return seen_C if seen_C.sum() > 1 else np.zeros(num_outputs, bool)


def _in_folds(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rows to cross-validate on, of classes with two rows or more, and the number of folds."""
    counts_C = np.bincount(labels)
    rows = np.flatnonzero(counts_C[labels] > 1)
    often_C = counts_C[counts_C > 1]
    return rows, min(FOLDS, int(often_C.min())) if len(often_C) > 1 else 0


def make_baseline(name: str, task: Task) -> Baseline:
    """Return the baseline called `name`, not yet fitted."""
    if name == "majority":
        return Majority(task.kind, task.num_outputs)
    return Tfidf(task.kind, task.num_outputs, task.metrics[0], task.positive_index)


def run_baseline(name: str, request: Request, store: RunStore) -> str:
    """Fit a baseline on a task's training data, score it, keep it as a run, and return the run's name.

    Raises:
        MbertError: the data cannot be had or read.
    """
    if name == UNIGRAM:
        return run_unigram(request, store)
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
    results = tuple(score_split(task, split, examples[split], part) for split, part in logits.items())
    used = {split: len(train if split == task.train else examples[split]) for split in loaded}
    record = BaselineRecord(
        kind="baseline",
        status="finished",
        created=now(),
        task=task.record(),
        model=Model(name=name, about=(type(model).__doc__ or "").splitlines()[0]),
        seed=None,
        config=Config(),
        request=StoredRequest.model_validate(request.as_dict()),
        data=labelled_data(task, {split: part.record(task, used[split]) for split, part in loaded.items()}),
        results=results,
        training=Effort(minutes=round(minutes, 3), peak_memory_mib=peak_memory()),
        inference={"examples_per_second": round(_count(examples, logits) / max(seconds, 1e-9), 1)},
        hardware=describe_hardware(),
        versions=versions(),
    )
    rows = (row for split, part in logits.items() for row in example_rows(task, split, examples[split], part))
    with store.new_run(f"{task.short_name}-{name}") as folder:
        write_jsonl(folder / "scores.jsonl", rows)
        write_run(folder, record)
    return folder.name


def _count(examples: dict[str, Examples], logits: dict[str, np.ndarray]) -> int:
    return sum(len(examples[split]) for split in logits)
