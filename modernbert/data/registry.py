"""Find a task by its name: `glue/sst2` is `sst2` in `modernbert.tasks.glue`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from modernbert.data.task import Task
from modernbert.errors import UnknownName


@cache
def families() -> dict[str, dict[str, Task]]:
    """Return every family's tasks: {"glue": {"sst2": Task, ...}, ...}."""
    package = importlib.import_module("modernbert.tasks")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name: importlib.import_module(f"modernbert.tasks.{name}").TASKS for name in names}


def all_tasks() -> list[Task]:
    """Return every task, by family."""
    return [task for tasks in families().values() for task in tasks.values()]


def find_task(name: str) -> Task:
    """Return the task called `name`, such as `glue/sst2`.

    Raises:
        UnknownName: nothing is called so; the message names the closest tasks.
    """
    family, _, short_name = name.partition("/")
    task = families().get(family, {}).get(short_name)
    if task is None:
        known = [*families(), *(task.name for task in all_tasks())]
        raise UnknownName.among(
            "task or file", name, known, fix="`mbert tasks` lists the tasks; own data is a file or a folder."
        )
    return task


def find_tasks(name: str) -> list[Task]:
    """Return the tasks of a family (`glue`), or the one task called `name`."""
    if name in families():
        return list(families()[name].values())
    return [find_task(name)]
