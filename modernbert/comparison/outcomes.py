"""What finished runs did on each example, read back from the run store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.comparison.identity import ModelId
from modernbert.comparison.rows import metrics_of, read_rows
from modernbert.comparison.systems import System, start_in, system_of
from modernbert.data.entities import Span
from modernbert.errors import BadRun
from modernbert.evaluation.entities import entity_sums
from modernbert.evaluation.metrics import measured
from modernbert.evaluation.sums import Clusters, Sums, by_cluster, sums_of
from modernbert.records.record import RunRecord
from modernbert.records.scores import SplitScores
from modernbert.records.training import TrainingFacts
from modernbert.runs import RunStore, unfinished
from modernbert.wording import counted


@dataclass(frozen=True)
class Outcome:
    """One system of one run on one split.

    Attributes:
        run: the run's name.
        id: which model it is of.
        model: what the comparison calls it: `minilm`, `minilm lora`, `bm25 (english)`.
        task, split, metric: what was measured; the metric is the run's main one unless another was asked for.
        seed: of the training; None for what has none.
        result: what the record says of it: split, scores, way of searching.
        training: how the model was trained; None where it came as it is.
        trained: could another training come out differently? BM25 or a model as it came cannot.
        ids: of the examples or queries, sorted.
        labels: (N,) or (N, C); of tagged words an object each, the tuple of its entities; None for retrieval.
        predictions: alike; for retrieval each query's score.
        logits: (N, C), of labelled texts.
        clusters: which cluster each example belongs to; None where each stands for itself.
        record: everything that the run keeps about itself.
    """

    run: str
    id: ModelId
    model: str
    task: str
    split: str
    metric: str
    seed: int | None
    training: TrainingFacts | None
    trained: bool
    ids: tuple[str, ...]
    labels: np.ndarray | None
    predictions: np.ndarray
    logits: np.ndarray | None
    record: RunRecord
    result: SplitScores
    clusters: Clusters = None

    @property
    def system(self) -> str | None:
        """Which way of searching it is, in the run's own words; None for labelled tasks."""
        return self.result.system

    @property
    def sums(self) -> Sums:
        """The metric as sums over examples."""
        if self.record.task.kind == "tokens":
            assert self.labels is not None
            return entity_sums(self.metric, self.labels.tolist(), self.predictions.tolist())
        return by_cluster(sums_of(self.metric, *self.measured(self.predictions)), self.clusters)

    @property
    def positive(self) -> int:
        """Of two classes, the positive one."""
        task = self.record.task
        return task.labels.index(task.positive) if task.positive else 1

    def measured(
        self, predictions: np.ndarray, logits: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and these predictions (and logits, if they are others) as the metric takes them."""
        if self.labels is None:
            return predictions, predictions
        logits = self.logits if logits is None else logits
        return measured(self.metric, self.labels, predictions, logits, self.positive)

    @property
    def value(self) -> float:
        """The metric."""
        return self.sums.measured


def read_outcomes(store: RunStore, name: str, metric: str = "") -> list[Outcome]:
    """Read a finished run: one outcome, or one for each system of an evaluation of retrieval.

    The test split counts if there is one, else the first that was scored.

    Args:
        metric: measured instead of the run's main one.

    Raises:
        BadRun: not finished, of a kind without comparable scores, or its rows do not fit its record; or the
            metric is none of its task.
    """
    record = store.read(name)
    if record.status != "finished":
        raise unfinished(store.path(name), record.status, "scores")
    if record.task.kind == "pretraining":
        raise BadRun("its scores are of masked tokens and cannot be compared", where=str(store.path(name)))
    results = record.results
    split = next((r.split for r in results if r.split.startswith("test")), results[0].split)
    path = store.path(name) / "scores.jsonl"
    systems: dict[str | None, list[dict[str, Any]]] = {}
    for row in read_rows(path, record, split):
        systems.setdefault(row.get("system"), []).append(row)
    outcomes = []
    for result in (result for result in results if result.split == split):
        system = system_of(record, result, name, partial(start_in, store))
        own = systems.get(result.system, [])
        outcome = _outcome(name, record, result, system, own, path)
        outcomes.append(_measured_by(outcome, metric, own, store.path(name)) if metric else outcome)
    return outcomes


def _measured_by(outcome: Outcome, metric: str, rows: list[dict[str, Any]], path: Path) -> Outcome:
    """Return the same answers measured by another metric. Raises BadRun where the task has no such one."""
    known = metrics_of(outcome.record)
    if metric not in known or (outcome.labels is None and any(metric not in row for row in rows)):
        raise BadRun(f"{metric} is no metric of {outcome.task}", where=str(path),
                     fix=f"Use {', '.join(sorted(known))}.")  # fmt: skip
    if outcome.labels is not None:
        return replace(outcome, metric=metric)
    return replace(outcome, metric=metric, predictions=np.array([float(row[metric]) for row in rows]))


def with_shared_clusters(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return outcomes on the same examples with the same clusters: older runs have kept none.

    Raises:
        BadRun: two were clustered by other columns.
    """
    known = next((o for o in outcomes if o.clusters is not None), None)
    if known is None:
        return list(outcomes)
    for other in outcomes:
        if other.ids == known.ids and other.clusters not in (None, known.clusters):
            raise BadRun(f"{known.run} and {other.run} have other clusters of the same examples",
                         fix="Evaluate one of them again, with the other's --cluster.")  # fmt: skip
    return [replace(o, clusters=known.clusters) if o.ids == known.ids else o for o in outcomes]


def _outcome(
    name: str,
    record: RunRecord,
    result: SplitScores,
    system: System,
    rows: list[dict[str, Any]],
    path: Path,
) -> Outcome:
    """Return what one result was made of. Raises BadRun unless the rows give the record's own score."""
    score = result.scores[0]
    if len(rows) != score.n:
        raise _changed(f"{counted(len(rows), 'row')}; the record says {score.n}", path)
    outcome = _of_rows(name, record, result, system, rows)
    if abs(outcome.value - score.value) > 1e-4:
        said = f"{outcome.metric} of its rows is {outcome.value:.5f}; the record says {score.value:.5f}"
        raise _changed(said, path)
    return outcome


def _changed(what: str, path: Path) -> BadRun:
    fix = "The file was changed, or is of another run: evaluate or train again."
    return BadRun(what, where=str(path), fix=fix)


def _of_rows(
    name: str, record: RunRecord, result: SplitScores, system: System, rows: list[dict[str, Any]]
) -> Outcome:
    labelled, words = record.task.kind != "retrieval", record.task.kind == "tokens"
    metric = result.scores[0].metric
    column = _entities if words else np.array
    return Outcome(
        run=name,
        id=system.id,
        model=str(system.id),
        task=record.task.name,
        split=result.split,
        metric=metric,
        seed=system.seed,
        result=result,
        training=system.training,
        trained=system.trained,
        ids=tuple(row["id"] for row in rows),
        labels=column([row["label"] for row in rows]) if labelled else None,
        predictions=column([row["prediction" if labelled else metric] for row in rows]),
        logits=np.array([row["logits"] for row in rows]) if labelled and not words else None,
        record=record,
        clusters=[row.get("cluster", row["id"]) for row in rows]
        if any("cluster" in r for r in rows)
        else None,
    )


def _entities(column: list[Any]) -> np.ndarray:
    """Return each row's entities as one object, a sorted tuple."""
    found = np.empty(len(column), object)
    for place, spans in enumerate(column):
        found[place] = tuple(sorted(Span(*span) for span in spans))
    return found
