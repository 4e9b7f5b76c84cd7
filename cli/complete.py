"""What the shell offers for a value when Tab is pressed: names of runs, models, tasks. Nothing imports torch.

Where nothing is offered, the shell completes the names of files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from modernbert.errors import MbertError

if TYPE_CHECKING:
    from modernbert.runs import RunStore

# Yields names; the context has what stands on the line before, such as `--runs-dir`.
Source = Callable[[typer.Context], Iterable[str]]
# What typer asks for: the context and the beginning of a word to the words that it may be.
Complete = Callable[[typer.Context, str], list[str]]


def offer(*sources: Source) -> Complete:
    """Return what completes a value with names of any of the sources."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        with contextlib.suppress(MbertError, OSError):
            names = (name for source in sources for name in source(context))
            return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
        return []

    return complete


def words(*choices: str) -> Source:
    """Name these words."""
    return lambda context: choices


def runs(context: typer.Context) -> Iterable[str]:
    """Name all runs."""
    return list(_store(context).names())


def trained(context: typer.Context) -> Iterable[str]:
    """Name the runs that have a model."""
    store = _store(context)
    return [name for name in store.names() if (store.path(name) / "model").is_dir()]


def unfinished(context: typer.Context) -> Iterable[str]:
    """Name what can be resumed: runs that are not finished, and their studies."""
    for name, record in _records(context):
        if record.get("status") != "finished":
            yield name
            yield from filter(None, [(record.get("study") or {}).get("name")])


def folds(context: typer.Context) -> Iterable[str]:
    """Name the cross-validations."""
    return [name for name, record in _records(context) if record.get("folds")]


def models(context: typer.Context) -> Iterable[str]:
    """Name the models that have a short name."""
    from modernbert.model.catalogue import CHECKPOINTS

    return list(CHECKPOINTS)


def tasks(context: typer.Context) -> Iterable[str]:
    """Name the tasks."""
    from modernbert.data.registry import all_tasks

    return [task.name for task in all_tasks()]


def families(context: typer.Context) -> Iterable[str]:
    """Name the families of tasks."""
    from modernbert.data.registry import families as known

    return known()


def splits(context: typer.Context) -> Iterable[str]:
    """Name the splits of the task that stands on the line."""
    from modernbert.data.registry import find_task
    from modernbert.data.task import Task

    # What stands before an option without its value is left where it was.
    task = find_task(context.params.get("target") or next(iter(context.args), ""))
    return task.scored_splits if isinstance(task, Task) else task.splits


def commands(context: typer.Context) -> Iterable[str]:
    """Name the commands of mbert."""
    group: Any = context.find_root().command
    return list(group.list_commands(context))


def of_runs(part: str) -> Source:
    """Name what the runs are of: their `task`, their `model`."""
    return lambda context: [record[part]["name"] for _, record in _records(context) if record.get(part)]


def tags(context: typer.Context) -> Iterable[str]:
    """Name the tags that runs have: of the run on the line if one stands there, else of all."""
    own = context.params.get("name") if context.params.get("remove") else None
    return [tag for name, run in _records(context) if own in (None, name) for tag in run.get("tags", ())]


def _store(context: typer.Context) -> RunStore:
    from modernbert.runs import RunStore

    return RunStore.at(context.params.get("runs_dir"))


def _records(context: typer.Context) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield runs with their records as they lie on the disk: checking them takes longer than a user waits."""
    from modernbert.reading import read_object
    from modernbert.runs import RECORD

    store = _store(context)
    for name in store.names():
        with contextlib.suppress(MbertError):
            yield name, read_object(store.path(name) / RECORD)
