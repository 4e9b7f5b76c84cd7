"""Cross-validation: what several fold's runs give together, scored as one.

Shape suffixes: N rows of the whole file, C outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from modernbert.data.entities import Span
from modernbert.data.examples import Examples
from modernbert.data.folds import FOLD, split_fold
from modernbert.data.rows import Rows
from modernbert.data.targets import resolve
from modernbert.data.task import Task
from modernbert.errors import BadOption, BadRun
from modernbert.evaluation.entities import score_entities
from modernbert.evaluation.scoring import example_rows, score_split
from modernbert.evaluation.trained_task import task_of_run
from modernbert.files import write_jsonl
from modernbert.finetuning.finetune import RunResult, TrainedRun
from modernbert.reading import read_lines
from modernbert.records.data import Data
from modernbert.records.record import EvaluateRecord, now
from modernbert.records.scores import SplitScores
from modernbert.records.settings import ScoringSettings
from modernbert.records.training import LocatedModel
from modernbert.runs import RunStore, write_run
from modernbert.training.inputs import Request
from modernbert.wording import counted

# The split that all rows are in, each predicted by the model that was not trained on it.
OUT_OF_FOLD = "out-of-fold"
# A fold that is scored may choose nothing: neither the step, nor when to stop, nor a threshold.
CHOOSING = {"keep": "best", "threshold": "auto"}


def require_folds(request: Request, targets: Sequence[str]) -> None:
    """Raise BadOption for what cannot be cross-validated, or would let a fold choose for its own score."""
    for target in targets:
        found = resolve(target, kind=request.kind)
        if found.form not in ("labelled", "hub", "tagged"):
            found.labelled_task()  # refuses what has no labels
    if request.validation:
        raise BadOption("--folds makes the held-out rows itself: leave --validation out")
    chosen = [f"--{name} {v}" for name, v in CHOOSING.items() if request.settings.get(name) == v]
    if chosen := chosen + (["--patience"] if request.settings.get("patience") else []):
        raise BadOption(f"{chosen[0]} has no effect with --folds: a fold that is scored chooses nothing",
                        fix="Leave it out.")  # fmt: skip


def of_fold(request: Request, number: int, count: int) -> Request:
    """Return the request for one fold: it keeps the weights of the last step."""
    return replace(request, fold=(number, count), settings={**request.settings, "keep": "last"})


def pool_folds(name: str, runs: Sequence[TrainedRun], store: RunStore) -> RunResult:
    """Score all rows of a file by their out-of-fold predictions, and keep that as a run of its own.

    Args:
        name: of the new run.
        runs: of each fold one, all of one seed.
    """
    held = _held_out(runs, store)
    pooled = _pooled_words if runs[0].record.task.kind == "tokens" else _pooled_labels
    scores, scored = pooled(runs, held)
    rows = ({**row, "fold": one.fold} for row, one in zip(scored, held, strict=True))
    record = _record(name, runs, scores, len(held))
    with store.new_run(name) as folder:
        write_jsonl(folder / "scores.jsonl", rows)
        write_run(folder, record)
    return RunResult(name=folder.name, record=record)


def pooled_run(runs: Sequence[TrainedRun], store: RunStore) -> str | None:
    """Return the name of the run that `pool_folds` made of these, if it did."""
    wanted = tuple(run.name for run in runs)
    return next((name for name, found in store.survey().records.items() if found.folds == wanted), None)


class _Held(NamedTuple):
    """A row of the file, as the model that was not trained on it answered."""

    number: int
    fold: int
    row: dict[str, Any]


def _held_out(runs: Sequence[TrainedRun], store: RunStore) -> list[_Held]:
    """Return every row in the file's order."""
    found = []
    for fold, run in enumerate(runs, start=1):
        path = store.path(run.name) / "scores.jsonl"
        kept = [row for _, row in read_lines(path, BadRun, what="the run's scores")]
        held = [row for row in kept if row["id"].startswith(f"{FOLD}/")]
        found += [_Held(int(row["id"].rpartition("/")[2]), fold, row) for row in held]
    found.sort(key=lambda one: one.number)
    assert len({one.number for one in found}) == len(found), "each row is held out once"
    return found


def _pooled_labels(
    runs: Sequence[TrainedRun], held: Sequence[_Held]
) -> tuple[SplitScores, Iterator[dict[str, Any]]]:
    """Score answers to whole texts; return the scores and a row for each text."""
    task = replace(task_of_run(runs[0].record), temperature=1.0)
    if task.mean is not None:
        means = [run.record.data.target.mean for run in runs if run.record.data.target]
        task = replace(task, mean=float(np.mean(means)))
    columns = {task.cluster: [one.row["cluster"] for one in held]} if task.cluster else {}
    kind: Any = np.int64 if task.kind == "single_label" else np.float32
    labels = np.array([one.row["label"] for one in held], dtype=kind)
    rows = Rows(columns, "out-of-fold predictions", [one.number for one in held])
    examples = Examples([("",)] * len(held), labels, rows)
    logits_NC = np.array([one.row["logits"] for one in held])
    scores = score_split(task, OUT_OF_FOLD, examples, logits_NC)
    return scores, iter(example_rows(task, OUT_OF_FOLD, examples, logits_NC))


def _pooled_words(
    runs: Sequence[TrainedRun], held: Sequence[_Held]
) -> tuple[SplitScores, Iterator[dict[str, Any]]]:
    """Score the entities that were found; return the scores and a row for each sentence."""
    sides = ([[Span(*span) for span in one.row[side]] for one in held] for side in ("label", "prediction"))
    scores = score_entities(runs[0].record.task.metrics, OUT_OF_FOLD, *sides)
    return scores, ({**one.row, "id": f"{OUT_OF_FOLD}/{one.number}"} for one in held)


def _record(name: str, runs: Sequence[TrainedRun], scores: SplitScores, rows: int) -> EvaluateRecord:
    """Return the record: an evaluation whose every row another model was asked for."""
    first = runs[0].record
    parts = [run.record.data.splits[FOLD] for run in runs]
    whole = _of_all([part.fingerprint for part in parts])
    return EvaluateRecord(
        kind="evaluate",
        status="finished",
        created=now(),
        tags=first.tags,
        task=first.task,
        model=LocatedModel(
            name=name,
            found_in=f"run {runs[0].name} and {len(runs) - 1} others",
            revision=name,
            family=first.model.family,
            training=first.facts(runs[0].name),
        ),
        seed=first.seed,
        request=first.request.with_values(fold=None, name=None),
        config=ScoringSettings(max_length=first.config.data.max_length),
        data=Data(
            text=first.data.text,
            label=first.data.label,
            cluster=first.data.cluster,
            splits={OUT_OF_FOLD: parts[0].with_values(rows=rows, used=rows, fingerprint=whole)},
        ),
        folds=tuple(run.name for run in runs),
        thresholds=first.thresholds,
        machine=first.machine,
        hardware=first.hardware,
        versions=first.versions,
        results=(scores,),
        notes=tuple(fold_notes(runs, rows)),
    )


def fingerprint_of(task: Task, examples: Examples, count: int) -> str:
    """Return the fingerprint that the cross-validation of these rows in so many folds has."""
    held = [split_fold(task, examples, (number, count))[0][FOLD] for number in range(1, count + 1)]
    return fingerprint_of_folds(held, (*task.text, task.label))


def fingerprint_of_folds(held: Sequence[Rows], columns: tuple[str, ...]) -> str:
    """Return the fingerprint of a cross-validation from what each fold holds out."""
    return _of_all([rows.fingerprint(columns) for rows in held])


def all_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of a file from what a fold trains on and holds out, in the file's order."""
    order = sorted((number, p, i) for p, part in enumerate(parts) for i, number in enumerate(part.numbers))
    names = parts[0].columns
    columns = {name: [parts[p].columns[name][i] for _, p, i in order] for name in names}
    return Rows(columns, parts[0].origin, [number for number, _, _ in order])


def _of_all(fingerprints: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(sorted(fingerprints)).encode()).hexdigest()


def fold_notes(runs: Sequence[TrainedRun], rows: int) -> Iterator[str]:
    """Say what was done, what each fold scored, and which models are left."""
    count, metric = len(runs), runs[0].splits[0].main.metric
    yield (
        f"{count}-fold cross-validation: each of {rows:,} rows was predicted once, by a model that was not "
        "trained on it and kept its last step"
    )
    yield f"{metric} by fold: " + "  ".join(f"{run.splits[0].main.value:.4f}" for run in runs)
    yield (
        "the interval takes the rows as independent; models that share training rows are not quite, and no "
        "interval can know by how much (Bengio & Grandvalet 2004)"
    )
    trained = [run.record.data.splits["train"].used or 0 for run in runs]
    about = counted(round(np.mean(trained)), "row")
    yield (
        f"left are {counted(count, 'model')}, each trained on about {about} "
        f"({', '.join(run.name for run in runs)}); none was trained on all rows"
    )


def grouped(runs: Sequence[TrainedRun]) -> Mapping[tuple[str, int], list[TrainedRun]]:
    """Return the runs of each target and seed, fold by fold."""
    found: dict[tuple[str, int], list[TrainedRun]] = {}
    for run in runs:
        found.setdefault((run.record.request.target, run.record.seed), []).append(run)
    return found
