"""Tasks of one name on other data are two tasks: two files of one name, a task and its cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from modernbert.comparison.baselines import NAMES
from modernbert.comparison.identity import is_named, tell_apart
from modernbert.comparison.outcomes import Outcome
from modernbert.data.folds import FOLD
from modernbert.data.targets import is_own_data
from modernbert.data.task import OWN, own_name
from modernbert.errors import BadOption
from modernbert.records.data import Split


def task_name(target: str) -> str:
    """Return what runs call the task that a target names: a name, a file or a folder."""
    return own_name(Path(target)) if is_own_data(target) else target


def data_of(outcome: Outcome) -> tuple[str, str]:
    """Return the name of its task and, of own data and folds, the fingerprint of what was scored."""
    name = outcome.record.task.name
    varies = name.startswith(OWN) or is_cross_validation(outcome) or outcome.split == FOLD
    return name, _split(outcome).fingerprint if varies else ""


def is_cross_validation(outcome: Outcome) -> bool:
    """Was each row predicted by the model of another fold?"""
    return bool(outcome.record.folds)


def _split(outcome: Outcome) -> Split:
    return outcome.record.data.splits[outcome.split]


def with_own_tasks(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[str]]:
    """Call own tasks apart that have one name and other data: `own/reviews (a)`, `own/reviews (b)`.

    Returns:
        The outcomes, and a note for each name that stands for several.
    """
    alike: dict[str, dict[tuple[str, str], Outcome]] = {}
    for outcome in outcomes:
        alike.setdefault(data_of(outcome)[0], {}).setdefault(data_of(outcome), outcome)
    names: dict[tuple[str, str], str] = {}
    notes = []
    for name, group in alike.items():
        tellers = [_told_by(tell, group) for tell in DETAILS]
        details = tell_apart(list(group), tellers)
        names |= {data: _called(data, told, group[data].split) for data, told in details.items()}
        if len(group) > 1:
            notes.append(f"{name} stands for {len(group)} data sets: {', '.join(names[d] for d in group)}")
    return [replace(o, task=names[data_of(o)]) for o in outcomes], notes


def _called(data: tuple[str, str], told: tuple[str, ...], split: str) -> str:
    """Return what data is called: a task's own splits by its name alone, its folds never."""
    name, fingerprint = data
    if not fingerprint:
        return name
    told = told or (() if name.startswith(OWN) else (split,))
    return f"{name} ({', '.join(told)})" if told else name


def _told_by(
    tell: Callable[[Outcome], str], group: dict[tuple[str, str], Outcome]
) -> Callable[[tuple[str, str]], str]:
    return lambda data: tell(group[data])


# What two data sets of one name may differ in, the most telling first.
DETAILS: tuple[Callable[[Outcome], str], ...] = (
    lambda o: Path(_split(o).place).parent.name,
    lambda o: str(Path(_split(o).place).parent),
    lambda o: Path(_split(o).place).name,
    lambda o: o.split,
    lambda o: f"data {_split(o).fingerprint[:8]}",
)


def is_on(outcome: Outcome, target: str) -> bool:
    """Is it of this task: by the name that it has here, by its run's, or by the place of its data?

    Data that lay elsewhere is other data, unless nothing is there any more: it was moved.
    """
    name = outcome.record.task.name
    if not is_own_data(target):
        return target in (outcome.task, name)
    place = Path(_split(outcome).place)
    return name == task_name(target) and (not place.exists() or place.resolve() == Path(target).resolve())


def require_cross_validated(there: Sequence[Outcome], wanted: Sequence[str]) -> None:
    """Raise BadOption for a baseline that lacks the cross-validation that others have: none is made here."""
    for name in wanted:
        if not any(is_named(o.model, name) or o.run == name for o in there):
            run, record = there[0].run, there[0].record
            make = f"Next: mbert finetune {record.task.name} --model {name} --folds {len(record.folds)}"
            raise BadOption(
                f"{run} is a cross-validation, and {name} has none on {record.task.name}",
                fix=f"None of {', '.join(NAMES)} is cross-validated." if name in NAMES else make,
            )
