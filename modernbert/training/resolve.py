"""Which labelled task a request means, and the splits that it trains and is scored on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modernbert.data.choices import with_choices
from modernbert.data.examples import to_examples
from modernbert.data.folds import FOLD, split_fold
from modernbert.data.own import OwnData, own_task
from modernbert.data.sources import LoadedSplit, load_split
from modernbert.data.targets import resolve
from modernbert.data.task import FoldData, Task
from modernbert.errors import BadOption
from modernbert.evaluation.thresholds import THRESHOLD
from modernbert.training.inputs import Request


def resolve_task(request: Request) -> tuple[Task, list[str]]:
    """Return the named task, or one made of the user's own data, and what to tell about it.

    Its metrics, positive class and threshold are those that the request's settings choose.
    """
    task, notes = _named_or_own(request)
    task = with_choices(task, request.settings)
    if request.fold and task.kind == "multi_label" and not task.decision:
        task = replace(task, decision=THRESHOLD)  # the fold that is scored tunes nothing
    return task, notes


def _named_or_own(request: Request) -> tuple[Task, list[str]]:
    if request.kind == "retrieval":
        raise BadOption(f"{request.target} is no file of pairs: --kind retrieval needs one")
    target = resolve(request.target, kind=request.kind)
    if target.form in ("labelled", "hub"):
        return own_task(own_data(request))
    task = target.labelled_task()
    given = [n for n in ("validation", "test", "text", "label", "kind", "cluster") if getattr(request, n)]
    if given:
        raise BadOption(f"{task.name} fixes its own data; --{given[0]} is for files of your own")
    notes = []
    if task.trains_on:
        notes = [f"{task.name} has no training data: training on {task.trains_on}"]
        task = resolve(task.trains_on).labelled_task()
    if request.fold:
        task, note = _folded(task, request.fold, Path(request.data_dir) if request.data_dir else None)
        notes.append(note)
    return task, notes


def _folded(task: Task, fold: tuple[int, int], data_dir: Path | None) -> tuple[Task, str]:
    """Return a named task whose held-out rows are a fold of its training rows, and what to tell."""
    whole = load_split(task, task.train, data_dir)
    made, note = split_fold(task, to_examples(task, whole.rows), fold)
    source = FoldData(made, whole.found_in, whole.revision)
    left = ", ".join(f"'{split}'" for split in task.scored_splits)
    note = f"{note}; the folds are of its training rows, and its own {left} is not used"
    return replace(task, train="train", validation=(FOLD,), test=(), source=source), note


def own_data(request: Request) -> OwnData:
    """Return what a request says of the user's own data."""
    assert request.kind != "retrieval", "pairs are read elsewhere"
    return OwnData(
        path=request.target,
        validation=Path(request.validation) if request.validation else None,
        test=Path(request.test) if request.test else None,
        text=request.text,
        label=request.label,
        kind=None if request.kind == "tokens" else request.kind,
        cluster=request.cluster,
        fold=request.fold,
    )


def load_training_splits(task: Task, data_dir: Path | None) -> dict[str, LoadedSplit]:
    """Load the training split and every held-out split whose labels are known."""
    return {name: load_split(task, name, data_dir) for name in (task.train, *task.scored_splits)}
