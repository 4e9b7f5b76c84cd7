"""Which labelled task a request means, and the splits that it trains and is scored on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modernbert.data.choices import with_choices
from modernbert.data.own import OwnData, own_task
from modernbert.data.sources import LoadedSplit, load_split
from modernbert.data.targets import resolve
from modernbert.data.task import Task
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
    if task.trains_on:
        note = f"{task.name} has no training data: training on {task.trains_on}"
        return resolve(task.trains_on).labelled_task(), [note]
    return task, []


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
