"""What a careful reader should know of labels: too few rows of one, names that look alike, spellings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modernbert.data.alike import look_alikes
from modernbert.data.examples import Examples
from modernbert.data.task import FileData, Task
from modernbert.wording import percent

# Training rows of a label below which hardly anything can be learnt of it.
RARE_CLASS = 8
# Held-out rows of a label below which its score is chance: at ten, a share's 95 % interval is 0.5 wide.
FEW_HELD_OUT = 10
# A label with this share of the rows makes accuracy say little.
MOST_OF_ALL = 0.9
# Names that other programs write where a label is missing.
NOTHING = frozenset(("nan", "none", "null", "na", "n/a", "<na>"))
# Items of a kind in one warning.
SHOWN = 5

Counts = Mapping[str, float]


def label_warnings(task: Task, counts: Mapping[str, Counts], splits: Mapping[str, Examples]) -> list[str]:
    """Return what is doubtful about labels.

    Args:
        task: the task, with labels that are names.
        counts: rows of each label, by split; empty where they are hidden.
        splits: the splits themselves.
    """
    warnings = _few(counts, task.train)
    if task.kind == "single_label":
        warnings += _unbalanced(task, counts.get(task.train, {}))
    if task.kind == "multi_label":
        warnings += _without(splits)
    if isinstance(task.source, FileData):
        warnings += _alike(task, counts)
    if isinstance(task.source, FileData) and task.kind == "single_label":
        warnings += _spellings(task, splits)
    return warnings


def _few(counts: Mapping[str, Counts], train: str) -> list[str]:
    warnings = []
    for split, rows_of in counts.items():
        least = RARE_CLASS if split == train else FEW_HELD_OUT
        few = [f"{name} ({count:g})" for name, count in rows_of.items() if count < least]
        what = "hardly any rows for" if split == train else f"fewer than {least} rows to score"
        warnings += [f"{split}: {what} {_listed(few)}"] if few else []
    return warnings


def _unbalanced(task: Task, rows_of: Counts) -> list[str]:
    share = max(rows_of.values(), default=0) / max(1, sum(rows_of.values()))
    if share < MOST_OF_ALL:
        return []
    name = max(rows_of, key=lambda label: rows_of[label])
    advice = "choose --metric macro_f1"
    if task.is_binary:
        rare = next(label for label in task.labels if label != name)
        advice = f"choose --metric f1 or average_precision, which are of {rare}"
        if task.labels[task.positive_index] != rare:
            advice += f" with --positive {rare}"
    told = f"a constant answer is as accurate; {advice}; --class-weights balanced weighs the rare more"
    return [f"{task.train}: {percent(share)} of the rows are {name}: {told}"]


def _without(splits: Mapping[str, Examples]) -> list[str]:
    bare = {n: int((e.labels.sum(axis=1) == 0).sum()) for n, e in splits.items() if e.labels is not None}
    return [f"{name}: {n} of {len(splits[name])} rows have no label" for name, n in bare.items() if n]


def _alike(task: Task, counts: Mapping[str, Counts]) -> list[str]:
    total = {name: sum(rows_of.get(name, 0) for rows_of in counts.values()) for name in task.labels}
    groups = [" and ".join(f"{n!r} ({total[n]:g})" for n in group) for group in look_alikes(task.labels)]
    warnings = []
    if groups:
        differ = "differ only in blanks, letter case or how a number is written"
        warnings.append(f"labels that {differ} are kept apart: {_listed(groups)}")
    if nothing := [f"{name!r} ({total[name]:g})" for name in task.labels if name.strip().lower() in NOTHING]:
        warnings.append(f"labels that may stand for a missing one: {_listed(nothing)}")
    return warnings


def _spellings(task: Task, splits: Mapping[str, Examples]) -> list[str]:
    """Labels that are one and are written in several ways, such as 1, 1.0 and '1'."""
    ways: dict[int, set[str]] = {}
    for examples in splits.values():
        labels = [] if examples.labels is None else examples.labels.tolist()
        for value, label in zip(examples.rows.columns.get(task.label, []), labels, strict=True):
            ways.setdefault(label, set()).add(repr(value))
    several = [" and ".join(sorted(ways[label])) for label in sorted(ways) if len(ways[label]) > 1]
    return [f"labels written in several ways are taken as one: {_listed(several)}"] if several else []


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{', '.join(items[:SHOWN])}{more}"
