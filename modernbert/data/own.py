"""A task made from the user's own data: files, a folder of splits, or a data set on the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modernbert.connection import connection
from modernbert.data.choices import rarer_class, usual_metrics
from modernbert.data.clusters import require_clusters
from modernbert.data.columns import guess_columns
from modernbert.data.examples import to_examples
from modernbert.data.folds import FOLD, keys_and_strata, split_fold
from modernbert.data.readers import SUFFIXES, read_rows
from modernbert.data.registry import all_tasks
from modernbert.data.rows import Rows
from modernbert.data.split_files import SPLIT_NAMES, split_file
from modernbert.data.splits import hash_split
from modernbert.data.targets import is_own_data
from modernbert.data.task import FileData, Kind, Task, own_name
from modernbert.errors import BadData, BadOption, NotAvailable, did_you_mean
from modernbert.hub import hub_data
from modernbert.wording import counted

# Of a file without splits, the share that is held out for validation, and as much again for a test where
# there are so many different rows.
HELD_OUT_SHARE = 0.1
ENOUGH_FOR_TEST = 1_000


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """What the user said about their data; what is None is guessed, or (`cluster`, `fold`) not there."""

    path: str
    validation: Path | None = None
    test: Path | None = None
    text: tuple[str, ...] = ()
    label: str | None = None
    kind: Kind | None = None
    cluster: str | None = None
    fold: tuple[int, int] | None = None


def own_task(data: OwnData) -> tuple[Task, list[str]]:
    """Read the user's data and make a task of it.

    Returns:
        The task, and the sentences to show: which columns were taken, how it was split.

    Raises:
        BadData: a file cannot be read, or has no usable columns.
        NotAvailable: a Hub data set cannot be reached.
    """
    splits = read_own(data)
    train = splits["train"]
    columns = guess_columns(train, text=data.text, label=data.label, kind=data.kind)
    notes = [columns.describe()]
    found = columns.found
    if data.cluster:
        if data.cluster == columns.label:
            raise BadOption(f"the column '{data.cluster}' cannot be both label and cluster",
                            fix="Name the label with --label-col.")  # fmt: skip
        for rows in splits.values():
            require_clusters(rows, data.cluster)
        notes.append(f"clusters: rows with the same {data.cluster} belong together")
    if found.kind != "regression" and len(found.labels) < 2:
        raise BadData(
            f"the label column '{columns.label}' has {counted(len(found.labels), 'different value')}; "
            "two or more are needed",
            where=train.origin,
            fix="Name another with --label-col"
            + (", or train for search with --kind retrieval." if len(columns.text) == 2 else "."),
        )
    task = Task(
        name=own_name(Path(data.path)),
        summary=f"own data from {data.path}",
        kind=found.kind,
        text=columns.text,
        label=columns.label,
        cells=found.cells,
        labels=found.labels,
        metrics=usual_metrics(found.kind, found.labels),
        standardised=found.kind == "regression",
        source=FileData(splits, Path(data.path)),
        test=("test",) if "test" in splits else (),
        cluster=data.cluster or "",
    )
    if task.is_binary:
        labels = to_examples(task, train).labels
        assert labels is not None
        task = replace(task, positive=rarer_class(task.labels, labels))
    if data.fold:
        require_no_validation(splits)
        made, note = split_fold(task, to_examples(task, train), data.fold)
        task = replace(task, validation=(FOLD,), source=FileData(splits | made, Path(data.path)))
        return task, [*notes, note]
    if "validation" in splits:
        return task, notes
    made, note = _held_out(task, train, has_test="test" in splits)
    splits |= made
    task = replace(task, test=("test",) if "test" in splits else ())
    return replace(task, source=FileData(splits, Path(data.path))), [*notes, note]


def require_no_validation(splits: Mapping[str, Rows]) -> None:
    """Raise BadOption for a validation split beside folds."""
    if "validation" in splits:
        raise BadOption("--folds makes the held-out rows itself, and there is a validation split already",
                        fix="Give the training file alone.")  # fmt: skip


def read_own(data: OwnData) -> dict[str, Rows]:
    """Return the rows of each split, `train` among them.

    Raises:
        BadData, NotAvailable: as `own_task`.
    """
    path = Path(data.path)
    if path.is_dir():
        splits = _read_folder(path)
    elif is_own_data(data.path):
        splits = {"train": read_rows(path)}
    else:
        splits = read_hub_data(data.path)
    for name, extra in (("validation", data.validation), ("test", data.test)):
        if extra is not None:
            splits[name] = read_rows(extra)
    return splits


def _read_folder(folder: Path) -> dict[str, Rows]:
    splits = {name: read_rows(file) for name in SPLIT_NAMES if (file := split_file(folder, name))}
    if "train" not in splits:
        raise BadData(
            f"no training file (train{', train'.join(SUFFIXES)})",
            where=str(folder),
            fix="Give the training file itself, with --validation and --test for the others.",
        )
    return splits


def read_hub_data(repo: str) -> dict[str, Rows]:
    """Read a Hub data set (cache first); its code is never run.

    Raises:
        NotAvailable: it is not in the cache and the Hub is out of reach, or it has no plain data files.
        BadData: it has no split to train on.
    """
    try:
        loaded = hub_data(repo, None, None)
    except NotAvailable as error:
        raise NotAvailable(
            f"'{repo}' is no file here, no task, and no data set that can be loaded ({error.what})\n"
            f"  Hub: {connection().reason}",
            fix=did_you_mean(repo, (task.name for task in all_tasks()))
            + "The code of a data set's author is never run: convert such a set to Parquet, or give files.",
        ) from None
    names = {alias: split for split, aliases in SPLIT_NAMES.items() for alias in aliases}
    if not any(names.get(name) == "train" for name in loaded):
        raise BadData(f"no split for training; it has {', '.join(loaded)}", where=repo)
    return {
        names[name]: Rows.of(split.to_dict(), f"{repo} {name}")
        for name, split in loaded.items()
        if name in names
    }


def _held_out(task: Task, rows: Rows, *, has_test: bool) -> tuple[dict[str, Rows], str]:
    """Split rows into training and validation, and a test where there are enough; also return what to tell.

    The validation split is the same with a test and without one.
    """
    examples = to_examples(task, rows)
    keys, strata, together = keys_and_strata(task, examples)
    different = len(set(keys))
    if different < 2:
        raise BadData("too few different rows to hold any out for validation", where=rows.origin)
    names = ["validation", "test"] if different >= ENOUGH_FOR_TEST and not has_test else ["validation"]
    shares = dict.fromkeys(names, HELD_OUT_SHARE) | {"train": 1 - HELD_OUT_SHARE * len(names)}
    parts = hash_split(keys, strata, shares)
    made = {name: rows.take(indices) for name, indices in parts.items() if indices}
    if "validation" not in made:
        raise BadData(
            f"no row can be held out for validation: {counted(len(task.labels), 'label')} "
            f"in {counted(len(rows), 'row')}",
            where=rows.origin,
            fix="Is the label column a number (--kind regression), or another one (--label-col)? "
            "Or give a file of your own: --validation FILE.",
        )
    test = f", and {len(made['test'])} for a test that chooses nothing" if "test" in made else ""
    classes = ", per class" if task.kind == "single_label" else ""
    return made, (
        f"split: {len(made['validation'])} of {len(rows)} rows held out for validation{test} "
        f"(by a hash of the text{classes}; {together}){if_few(different)}"
    )


def if_few(different: int) -> str:
    """Return the advice for so few different rows that a part of them scores a model badly."""
    return (
        "" if different >= ENOUGH_FOR_TEST else f"; below {ENOUGH_FOR_TEST:,} rows, --folds 5 scores better"
    )
