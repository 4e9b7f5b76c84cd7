"""`mbert tasks` and `mbert models`."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from typing import TYPE_CHECKING

from . import options, output

if TYPE_CHECKING:
    from modernbert.data.registry import AnyTask

METRICS = "metrics"


def tasks(json: options.Json = False) -> None:
    """List the tasks."""
    from modernbert.data.registry import all_tasks

    found = all_tasks()
    if json:
        keys = ("name", "summary", "kind", "text", "labels", "metrics", "licence", "citation")
        return output.print_json([{key: getattr(task, key) for key in keys} for task in found])
    for family, members in itertools.groupby(found, key=lambda task: task.name.split("/")[0]):
        _show_family(family, list(members))
    output.print_line(
        "own data: mbert finetune FILE (CSV, TSV, JSONL, Parquet), a folder, or a Hub data set id"
    )


def _show_family(family: str, members: list[AnyTask]) -> None:
    """Print a family's tasks, one or two lines each; what all of them share stands above them."""
    facts: dict[str, list[str]] = {
        "kind": [task.kind for task in members],
        METRICS: [", ".join(task.metrics) for task in members],
    }
    shared = {name: values[0] for name, values in facts.items() if len(set(values)) == 1}
    others = {name: values for name, values in facts.items() if name not in shared}
    rows = [(task.name, task.summary, *cells) for task, *cells in zip(members, *others.values(), strict=True)]
    title = "; ".join([family, *(f"{name} {value}" for name, value in shared.items())])
    output.print_table(title, ("task", "what", *others), rows, optional=[*{METRICS} & {*others}])


def models(json: options.Json = False) -> None:
    """List the models that have a short name."""
    from modernbert.model.catalogue import CHECKPOINTS

    if json:
        return output.print_json([dataclasses.asdict(checkpoint) for checkpoint in CHECKPOINTS.values()])
    rows = []
    for c in CHECKPOINTS.values():
        installed = bool(c.package and importlib.util.find_spec(c.package))
        revision = c.revision[:12] if c.revision else "main (not pinned)"
        rows.append(
            (
                c.alias,
                c.hub_id or "comes with mbert",
                f"{c.parameters:g} M",
                c.context,
                c.licence,
                "package" if installed else revision,
            )
        )
    columns = ("alias", "Hub id", "parameters", "context", "licence", "revision")
    optional = ("revision", "licence", "context", "parameters")
    output.print_table("", columns, rows, right=("parameters", "context"), optional=optional)
    output.print_line("any other Hub id, a local folder, or a run of yours works too")
