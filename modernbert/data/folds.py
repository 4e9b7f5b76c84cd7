"""Cross-validation: which rows a fold holds out."""

from __future__ import annotations

from modernbert.data.examples import Examples
from modernbert.data.rows import Rows
from modernbert.data.splits import hash_folds, joined_keys, split_keys
from modernbert.data.task import Task
from modernbert.errors import BadData

# What the rows that a fold holds out are called.
FOLD = "fold"


def keys_and_strata(task: Task, examples: Examples) -> tuple[list[str], list[int], str]:
    """Return what rows are split by, their classes, and in words which rows stay together."""
    keys, together = split_keys(examples.texts), "equal texts stay together"
    if task.cluster:
        keys = joined_keys(keys, [str(value) for value in examples.rows.columns[task.cluster]])
        together = f"equal texts and rows with the same {task.cluster} stay together"
    assert examples.labels is not None
    strata = examples.labels.tolist() if task.kind == "single_label" else [0] * len(examples)
    return keys, strata, together


def split_fold(task: Task, examples: Examples, fold: tuple[int, int]) -> tuple[dict[str, Rows], str]:
    """Return the rows to train on and those that fold `number` of `count` holds out, and what to tell.

    Folds depend on the rows alone: every model and seed has the same ones.

    Raises:
        BadData: there are fewer different rows than folds.
    """
    return hold_out(examples.rows, fold, *keys_and_strata(task, examples))


def hold_out(
    rows: Rows, fold: tuple[int, int], keys: list[str], strata: list[int], together: str
) -> tuple[dict[str, Rows], str]:
    """Return the rows to train on and those that a fold holds out, and what to tell.

    Args:
        keys: what each row is split by.
        strata: its class, of which each fold gets its share; all the same where there are none.
        together: in words, which rows stay together.

    Raises:
        BadData: there are fewer different rows than folds.
    """
    number, count = fold
    if (different := len(set(keys))) < count:
        raise BadData(f"{count} folds of {different} different rows: a fold would be empty",
                      where=rows.origin, fix=f"Use --folds {different}, or fewer.")  # fmt: skip
    places = hash_folds(keys, strata, count)
    held = [i for i, place in enumerate(places) if place == number - 1]
    rest = [i for i, place in enumerate(places) if place != number - 1]
    classes = ", per class" if len(set(strata)) > 1 else ""
    note = (
        f"fold {number} of {count}: {len(held)} of {len(rows)} rows held out "
        f"(by a hash of the text{classes}; {together})"
    )
    return {"train": rows.take(rest), FOLD: rows.take(held)}, note
