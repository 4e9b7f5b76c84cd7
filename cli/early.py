"""What a typing mistake breaks is told before torch is imported, which takes seconds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path


def check_model(name: str | None, runs_dir: Path | None) -> None:
    """Raise UnknownName for a model that nothing is called. Nothing is read or fetched."""
    from modernbert.model.locate import require_known
    from modernbert.runs import RunStore

    if name is not None:
        require_known(name, RunStore.at(runs_dir))


def check_run_name(name: str | None, runs_dir: Path | None) -> None:
    """Raise BadOption for the name of a new run that is none, or that a run has already."""
    from modernbert.runs import RunStore

    if name is not None:
        RunStore.at(runs_dir).check_name(name)


def check_metric(targets: Sequence[str], metric: str) -> None:
    """Raise UnknownName for a word that is no metric, naming those that apply to the targets.

    Which apply to own data is known when its labels are read: until then, those of any labels are named.
    """
    from modernbert.data.choices import possible_metrics
    from modernbert.data.targets import resolve
    from modernbert.data.task import Task
    from modernbert.errors import UnknownName
    from modernbert.settings.config import every_setting

    every = [name for name in every_setting()["metric"].choices if name]
    tasks = [task for target in targets for task in resolve(target, hub=False).tasks]
    own = {name for task in tasks if isinstance(task, Task) for name in possible_metrics(task)}
    known = [name for name in every if name in own] or every
    if metric not in every:
        raise UnknownName.among("metric", metric, known, fix=f"Use --metric {', '.join(known)}.")


def check_columns(target: str | Path | None, columns: Sequence[str | None]) -> None:
    """Raise BadData if an own table lacks one of these columns. (Rows of JSON lines may each have others.)"""
    from modernbert.data.examples import require_columns
    from modernbert.data.readers import iter_rows
    from modernbert.data.rows import Rows

    path, named = Path(target or ""), [column for column in columns if column]
    if named and path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".parquet"):
        first = itertools.islice(iter_rows(path), 1)
        require_columns(Rows.from_records(first, str(path)), named)
