"""Look for wrong labels in a file, by probabilities of models that were not trained on the row.

Shape suffixes: N rows, C classes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.comparison.baselines import make_baseline
from modernbert.comparison.rows import read_rows as read_scores
from modernbert.data.examples import Examples, to_examples
from modernbert.data.folds import keys_and_strata
from modernbert.data.own import OwnData, own_task, read_own
from modernbert.data.splits import hash_folds
from modernbert.data.targets import resolve
from modernbert.data.task import Task
from modernbert.errors import BadOption, BadRun
from modernbert.evaluation.confident_learning import confident_labels, likely_errors
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.predict import probabilities
from modernbert.evaluation.scoring import require_numbers
from modernbert.evaluation.seen import TRAINED_TEXTS, were_seen
from modernbert.evaluation.trained_task import task_to_score
from modernbert.files import atomic_file
from modernbert.finetuning.folds import OUT_OF_FOLD, fingerprint_of
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore

# Asks for out-of-fold probabilities of TF-IDF and logistic regression, made on the spot.
AUTO = "auto"
FOLDS = 5


@dataclass(frozen=True)
class LabelError:
    """A row whose label is likely wrong.

    Attributes:
        row: its number in the file.
        label, suggested: as given, and as the model has it.
        probability, suggested_probability: of both.
        text: of the row.
    """

    row: int
    label: str
    suggested: str
    probability: float
    suggested_probability: float
    text: tuple[str, ...]


@dataclass(frozen=True)
class LabelErrors:
    """What was found, the likeliest first.

    Attributes:
        rows: how many were looked at.
        by: whose probabilities they are, in words.
        columns: the names of the text columns.
    """

    rows: int
    by: str
    columns: tuple[str, ...]
    found: tuple[LabelError, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def find_label_errors(own: OwnData, by: str, store: RunStore, *, data_dir: Path | None = None) -> LabelErrors:
    """Return the rows of a file whose labels are likely wrong.

    Args:
        own: the file.
        by: a cross-validation of it (`mbert finetune --folds`), a run that was trained on none of its texts,
            or `auto`.

    Raises:
        BadOption: it is no file of texts with one label each, or the run was trained on some of the rows.
        BadRun: the cross-validation is of other rows.
        MbertError: the file cannot be read.
    """
    path = Path(own.path)
    if resolve(own.path, kind=own.kind).form != "labelled" or not path.is_file():
        raise BadOption(f"--label-errors looks through a file of labelled texts, and {own.path} is none")
    task, _ = own_task(replace(own, validation=None, test=None, fold=(1, 2)))
    if task.kind != "single_label":
        raise BadOption(f"--label-errors needs one label a text, and {own.path} has {task.kind}")
    examples = to_examples(task, read_own(replace(own, validation=None, test=None))["train"])
    assert examples.labels is not None
    if by == AUTO:
        shares_NC, said = _of_baseline(task, examples), f"TF-IDF and logistic regression, {FOLDS} folds"
    elif store.has(by) and store.read(by).folds:
        shares_NC, said = _of_folds(by, task, examples, store), f"the out-of-fold predictions of {by}"
    else:
        shares_NC, said = _of_model(by, task, examples, own, store, data_dir), by
    found = tuple(_errors(task, examples, shares_NC))
    return LabelErrors(len(examples), said, task.text, found)


def write_label_errors(errors: LabelErrors, path: Path) -> None:
    """Write one row of CSV for each. Raises DiskFull or BadOption."""
    with atomic_file(path) as file:
        table = csv.writer(file)
        names = ("row", "label", "suggested", "probability", "suggested_probability")
        table.writerow((*names, *(f"text: {name}" for name in errors.columns)))
        for one in errors.found:
            table.writerow((*(getattr(one, name) for name in names), *one.text))


def _errors(task: Task, examples: Examples, shares_NC: np.ndarray) -> Iterator[LabelError]:
    labels_N = examples.labels
    assert labels_N is not None
    suggested_N = confident_labels(labels_N, shares_NC)
    for i in likely_errors(labels_N, shares_NC):
        label, other = int(labels_N[i]), int(suggested_N[i])
        yield LabelError(
            row=int(examples.rows.numbers[i]),
            label=task.labels[label],
            suggested=task.labels[other],
            probability=round(float(shares_NC[i, label]), 6),
            suggested_probability=round(float(shares_NC[i, other]), 6),
            text=examples.texts[i],
        )


@phase("looking for label errors")
def _of_baseline(task: Task, examples: Examples) -> np.ndarray:
    """Return out-of-fold probabilities, shape (N, C)."""
    assert examples.labels is not None
    keys, strata, _ = keys_and_strata(task, examples)
    folds_N = np.array(hash_folds(keys, strata, min(FOLDS, len(set(keys)))))
    logits_NC = np.zeros((len(examples), task.num_outputs))
    for fold in np.unique(folds_N):
        held, rest = np.flatnonzero(folds_N == fold), np.flatnonzero(folds_N != fold)
        model = make_baseline("tfidf", task)
        model.fit([examples.texts[i] for i in rest], examples.labels[rest])
        logits_NC[held] = model.logits([examples.texts[i] for i in held])
    return probabilities(logits_NC, task.kind)


def _of_folds(run: str, task: Task, examples: Examples, store: RunStore) -> np.ndarray:
    """Return a cross-validation's probabilities. Raises BadRun unless it is of these rows."""
    record = store.read(run)
    count = len(record.folds)
    known = record.task.labels, record.data.splits[OUT_OF_FOLD].fingerprint
    if known != (task.labels, fingerprint_of(task, examples, count)):
        raise BadRun(f"it is a cross-validation of other rows than {examples.rows.origin}",
                     where=str(store.path(run)), fix="Make one of this file: finetune --folds.")  # fmt: skip
    rows = read_scores(store.path(run) / "scores.jsonl", record, OUT_OF_FOLD)
    logits = {int(row["id"].rpartition("/")[2]): row["logits"] for row in rows}
    return probabilities(np.array([logits[number] for number in examples.rows.numbers]), task.kind)


def _of_model(
    name: str, task: Task, examples: Examples, own: OwnData, store: RunStore, data_dir: Path | None
) -> np.ndarray:
    """Return a model's probabilities. Raises BadOption when it was trained on some of the rows."""
    source = locate_model(name, store=store, data_dir=data_dir)
    seen_N = were_seen(source.run / TRAINED_TEXTS, examples.texts) if source.run else None
    if seen_N is not None and seen_N.any():
        raise BadOption(
            f"{name} was trained on {seen_N.sum():,} of {len(seen_N):,} rows: it has learnt their labels, "
            "wrong ones too",
            fix=f"Cross-validate: mbert finetune {own.path} --folds 5, and name that run. Or use auto.",
        )
    scored = task_to_score(source, Path(own.path), text=own.text, label=own.label)
    if {*scored.labels} != {*task.labels}:
        raise BadOption(f"{name} predicts {', '.join(scored.labels[:5])}, and the file has other labels")
    scorer = Scorer(source, scored, max_length=trained_length(source))
    logits_NC = scorer.logits(examples.texts)
    require_numbers(own.path, logits_NC)
    return probabilities(logits_NC[:, [scored.labels.index(label) for label in task.labels]], task.kind)
