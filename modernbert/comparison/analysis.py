"""Where models err, alone and against each other; how well they know it.

Shape suffixes: N examples, C classes, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modernbert.comparison.outcomes import Outcome
from modernbert.data.collections import load_collection
from modernbert.data.examples import to_examples, to_texts
from modernbert.data.folds import FOLD
from modernbert.data.own_sentences import token_task
from modernbert.data.readers import read_rows
from modernbert.data.rows import Rows
from modernbert.data.sentences import read_sentences
from modernbert.data.sources import bundle_folder, load_split
from modernbert.data.task import Task
from modernbert.errors import MbertError
from modernbert.evaluation.calibration import Answers
from modernbert.evaluation.retrieve import retrieval_tasks
from modernbert.finetuning.folds import all_rows, fingerprint_of, fingerprint_of_folds
from modernbert.finetuning.prepare import retrieval_task, train_and_held_out
from modernbert.training.inputs import Request
from modernbert.training.resolve import own_data, resolve_task

# Groups of a number (length, confidence): quarters.
QUARTERS = 4


def answers_of(outcome: Outcome, temperature: float = 1.0) -> Answers | None:
    """Return answers with their probabilities, at a temperature; None where answers have none."""
    if outcome.logits is None or outcome.record.task.kind != "single_label":
        return None
    assert outcome.labels is not None
    return Answers.of(outcome.labels, outcome.logits / temperature, outcome.clusters)


def confidence_of(outcome: Outcome) -> np.ndarray | None:
    """Return the probability of each answer, shape (N,); None where answers have none."""
    answers = answers_of(outcome)
    return None if answers is None else answers.confidence


def confusion(outcome: Outcome) -> np.ndarray:
    """Return how often each class (row) was taken for each (column), shape (C, C)."""
    assert outcome.labels is not None
    classes = len(outcome.record.task.labels)
    counts_CC = np.zeros((classes, classes), int)
    np.add.at(counts_CC, (outcome.labels, outcome.predictions), 1)
    return counts_CC


def is_right(outcome: Outcome) -> np.ndarray:
    """Return which answers are right, shape (N,); of several labels all must be."""
    assert outcome.labels is not None
    return np.asarray((outcome.labels == outcome.predictions).reshape(len(outcome.ids), -1).all(axis=1))


@dataclass(frozen=True)
class Group:
    """Examples that have something in common, and how many each of two models got right."""

    by: str
    name: str
    n: int
    both: int
    only_first: int
    only_second: int
    neither: int


def disagreement(first: Outcome, second: Outcome, lengths_N: np.ndarray | None) -> list[Group]:
    """Count who is right: over all, by label, by the second model's confidence, by length in characters."""
    a_N, b_N = is_right(first), is_right(second)
    parts: list[tuple[str, str, np.ndarray]] = [("all", "", np.ones(len(a_N), bool))]
    assert first.labels is not None
    if first.record.task.kind == "single_label":
        names = first.record.task.labels
        parts += [("label", name, first.labels == i) for i, name in enumerate(names)]
    if (confidence_N := confidence_of(second)) is not None:
        parts += _quarters(f"confidence of {second.model}", confidence_N, "{:.2f} to {:.2f}")
    if lengths_N is not None:
        parts += _quarters("characters", lengths_N, "{:.0f} to {:.0f}")
    return [
        Group(
            by,
            name,
            n=int(m.sum()),
            both=int((a_N & b_N & m).sum()),
            only_first=int((a_N & ~b_N & m).sum()),
            only_second=int((~a_N & b_N & m).sum()),
            neither=int((~a_N & ~b_N & m).sum()),
        )
        for by, name, m in parts
        if m.any()
    ]


def _quarters(by: str, values_N: np.ndarray, shown: str) -> list[tuple[str, str, np.ndarray]]:
    order = np.argsort(values_N, kind="stable")
    parts = []
    for places in np.array_split(order, QUARTERS):
        member = np.zeros(len(values_N), bool)
        member[places] = True
        if member.any():
            parts.append((by, shown.format(values_N[places].min(), values_N[places].max()), member))
    return parts


def example_texts(outcome: Outcome) -> list[str] | None:
    """Return the text of every example (or query) in the outcome's order; None if it cannot be had any more.

    Data that has changed since counts as gone: rows are found by number.
    """
    try:
        named = _queries(outcome) if outcome.labels is None else _rows(outcome)
    except MbertError:
        return None
    return [named[i] for i in outcome.ids] if named and all(i in named for i in outcome.ids) else None


def _request(outcome: Outcome) -> Request:
    record = outcome.record
    if record.request:
        return Request.of(record.request)
    return Request(target=record.task.name, model=record.model.name)


def _rows(outcome: Outcome) -> dict[str, str] | None:
    request = _request(outcome)
    if outcome.record.task.kind == "tokens":
        return _sentences(outcome, request)
    folder = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    if count := len(outcome.record.folds):
        return _rows_of_folds(outcome, replace(request, fold=(1, count)), folder)
    task, _ = resolve_task(request)
    loaded = load_split(task, outcome.split, folder)
    if loaded.record(task).fingerprint != outcome.record.data.splits[outcome.split].fingerprint:
        return None
    return _named_texts(outcome, task, loaded.rows)


def _rows_of_folds(outcome: Outcome, request: Request, folder: Path | None) -> dict[str, str] | None:
    """Return the rows that a cross-validation was of; `request` is for its first fold."""
    task, _ = resolve_task(request)
    rows = all_rows([load_split(task, name, folder).rows for name in (task.train, FOLD)])
    found = fingerprint_of(task, to_examples(task, rows), len(outcome.record.folds))
    if found != outcome.record.data.splits[outcome.split].fingerprint:
        return None
    return _named_texts(outcome, task, rows)


def _named_texts(outcome: Outcome, task: Task, rows: Rows) -> dict[str, str]:
    texts = [" \u2016 ".join(parts) for parts in to_texts(rows, task.text)]
    return {f"{outcome.split}/{n}": text for n, text in zip(rows.numbers, texts, strict=True)}


def _sentences(outcome: Outcome, request: Request) -> dict[str, str] | None:
    """Return the texts of tagged words; of an evaluation, those of the file that was scored."""
    kept, data = outcome.record.data.splits[outcome.split], outcome.record.data
    columns = *data.text, data.label
    if count := len(outcome.record.folds):
        folds = [_fold_of_sentences(request, (number, count)) for number in range(1, count + 1)]
        rows, found = all_rows(folds[0]), fingerprint_of_folds([held for _, held in folds], columns)
    else:
        rows = (
            token_task(own_data(request))[0].splits[outcome.split]
            if outcome.record.request
            else read_rows(Path(kept.found_in))
        )
        found = rows.fingerprint(columns)
    if found != kept.fingerprint:
        return None
    texts = read_sentences(rows, *data.text).texts
    return {f"{outcome.split}/{n}": text for n, (text,) in zip(rows.numbers, texts, strict=True)}


def _fold_of_sentences(request: Request, fold: tuple[int, int]) -> tuple[Rows, Rows]:
    """Return what a fold trains on, and what it holds out."""
    splits = token_task(own_data(replace(request, fold=fold)))[0].splits
    return splits["train"], splits[FOLD]


def _queries(outcome: Outcome) -> dict[str, str] | None:
    request, kept = _request(outcome), outcome.record.data.splits[outcome.split]
    if outcome.record.kind == "finetune":
        return _held_out(request, outcome.split, kept.fingerprint)
    target = kept.place if kept.place != kept.found_in else request.target
    folder = Path(request.data_dir) if request.data_dir else None
    for task in retrieval_tasks(target):
        loaded = load_collection(task, outcome.split, folder)
        if loaded.record().fingerprint == kept.fingerprint:
            queries = loaded.collection.queries
            return {f"{outcome.split}/{name}": text for name, text in queries.items()}
    return None


def _held_out(request: Request, split: str, fingerprint: str) -> dict[str, str] | None:
    """Return the queries that a training held out: they may be a part of its training data."""
    if not (found := retrieval_task(request)):
        return None
    task, _ = found
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    loaded = {name: load_collection(task, name, data_dir) for name in task.splits}
    collection = train_and_held_out(task, loaded)[1].get(split)
    if collection is None or collection.fingerprint() != fingerprint:
        return None
    return {f"{split}/{name}": text for name, text in collection.queries.items()}


def extremes(values_N: np.ndarray, k: int) -> Sequence[int]:
    """Return the places of the k largest values, largest first."""
    order: list[int] = np.argsort(-values_N, kind="stable")[:k].tolist()
    return order
