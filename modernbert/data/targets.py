"""What a target is: the name of a task or a family, a file, a folder, or a data set on the Hub.

Every command asks here, so that all take the same targets and tell the same mistakes alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modernbert.data.collection import is_collection
from modernbert.data.pairs import is_pairs_file
from modernbert.data.readers import SUFFIXES
from modernbert.data.registry import AnyTask, families, find_tasks
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.task import Task
from modernbert.errors import BadOption
from modernbert.places import no_such_file

Form = Literal["tasks", "collection", "pairs", "tagged", "labelled", "hub"]


@dataclass(frozen=True)
class Target:
    """What a user named.

    Attributes:
        name: as it was written.
        form: `tasks` by their name; of own data, a `collection` in BEIR's layout, a file of `pairs`, `tagged`
            words or `labelled` texts in a file or a folder; or a data set on the `hub`.
        tasks: what a name stands for; empty for data.
    """

    name: str
    form: Form
    tasks: tuple[AnyTask, ...] = ()

    @property
    def path(self) -> Path:
        """Where own data lies."""
        return Path(self.name)

    @property
    def is_own(self) -> bool:
        """Is it a file or a folder?"""
        return self.form in ("collection", "pairs", "tagged", "labelled")

    @property
    def is_retrieval(self) -> bool:
        """Is it for search, with queries and documents instead of labels?"""
        return self.form in ("collection", "pairs") or any(isinstance(t, RetrievalTask) for t in self.tasks)

    def one_task(self) -> AnyTask:
        """Return the task that a name stands for. Raises BadOption for a family of several."""
        assert self.tasks, f"{self.name} is data"
        if len(self.tasks) > 1:
            members = [task.name for task in self.tasks]
            more = ", ..." if len(members) > 3 else ""
            raise BadOption(
                f"{self.name} stands for {len(members)} tasks, and this takes one",
                fix=f"Name one: {', '.join(members[:3])}{more}",
            )
        return self.tasks[0]

    def labelled_task(self) -> Task:
        """Return the task of labelled texts that a name stands for. Raises BadOption for anything else."""
        task = None if self.is_own else self.one_task()
        if not isinstance(task, Task):
            what = {"collection": "a collection", "pairs": "a file of pairs", "tagged": "of tagged words"}
            said = f"{self.name} is {what.get(self.form, 'a retrieval task')}"
            raise BadOption(f"{said}: it has no labels of whole texts")
        return task


def resolve(name: str, *, kind: str | None = None, hub: bool = True) -> Target:
    """Return what a target is. What exists as a file or folder is that, whatever tasks are called.

    Args:
        name: what the user wrote.
        kind: how own data is read, if the user says so: `retrieval` makes any file one of pairs, `tokens` one
            of tagged words, another kind makes it labelled.
        hub: may it be a data set on the Hub?

    Raises:
        BadData: it is a file that is not there, or the first row of a file cannot be read.
        UnknownName: nothing is called so; the message names the closest tasks.
    """
    path = Path(name)
    if is_own_data(name):
        if not path.exists():
            raise no_such_file(path)
        return Target(name, _form_of(path, kind))
    if hub and _may_be_on_hub(name):
        if kind == "tokens":
            raise BadOption(f"--kind tokens is for files and folders, and there is none called {name}")
        return Target(name, "hub")
    return Target(name, "tasks", tuple(find_tasks(name)))


def is_own_data(name: str) -> bool:
    """Is `name` a file or a folder, there or gone, not a task's name?"""
    return Path(name).exists() or Path(name).suffix.lower() in SUFFIXES


def _form_of(path: Path, kind: str | None) -> Form:
    if is_collection(path):
        return "collection"
    if kind == "tokens":
        return "tagged"
    if kind == "retrieval" and path.is_file():
        return "pairs"
    if kind in (None, "retrieval") and is_pairs_file(path):
        return "pairs"
    from modernbert.data.tagged_files import is_tagged  # numpy, which a mistake in a name need not wait for

    return "tagged" if kind is None and is_tagged(path) else "labelled"


def _may_be_on_hub(name: str) -> bool:
    """Is `name` like a Hub data set's, `owner/name`, and no task of a family here?"""
    return name.count("/") == 1 and name.split("/")[0] not in families()


def expand_targets(names: Sequence[str]) -> list[str]:
    """Return what is trained for targets: the members of families and groups, files as they are.

    Raises:
        MbertError: as `resolve`.
    """
    return list(dict.fromkeys(name for target in names for name in _expand(resolve(target))))


def _expand(target: Target) -> list[str]:
    if target.form != "tasks":
        return [target.name]
    # MNLI first: the paper starts three other tasks from it. A set without training data needs no run.
    tasks = [task for task in target.tasks if not (isinstance(task, Task) and task.trains_on)]
    return sorted((task.name for task in tasks), key=lambda name: name != "glue/mnli")
