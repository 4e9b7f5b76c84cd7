"""Find a task by its name: `glue/sst2` is `sst2` in `modernbert.tasks.glue`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.task import Task
from modernbert.errors import UnknownName
from modernbert.places import beside

AnyTask = Task | RetrievalTask


@cache
def _modules() -> dict[str, ModuleType]:
    package = importlib.import_module("modernbert.tasks")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name: importlib.import_module(f"modernbert.tasks.{name}") for name in names}


@cache
def families() -> dict[str, dict[str, AnyTask]]:
    """Return every family's tasks: {"glue": {"sst2": Task, ...}, ...}."""
    return {name: module.TASKS for name, module in _modules().items()}


def all_tasks() -> list[AnyTask]:
    """Return every task, by family."""
    return [task for tasks in families().values() for task in tasks.values()]


def find_task(name: str) -> AnyTask:
    """Return the task called `name`, such as `glue/sst2`.

    Raises:
        UnknownName: nothing is called so; the message names the closest tasks.
    """
    family, _, short_name = name.partition("/")
    task = families().get(family, {}).get(short_name)
    if task is None:
        known = [*families(), *(task.name for task in all_tasks()), *beside(Path(name))]
        raise UnknownName.among(
            "task or file", name, known, fix="`mbert tasks` lists the tasks; own data is a file or a folder."
        )
    return task


def find_tasks(name: str) -> list[AnyTask]:
    """Return the tasks that a name stands for.

    A family means the tasks that its module names as the default, or all of them (`glue`); a family's group
    (`codesearch/all`) means its members.
    """
    family, _, group = name.partition("/")
    module = _modules().get(family)
    if module is None or (group and group not in getattr(module, "GROUPS", {})):
        return [find_task(name)]
    members = module.GROUPS[group] if group else getattr(module, "DEFAULT", tuple(module.TASKS))
    return [module.TASKS[member] for member in members]
