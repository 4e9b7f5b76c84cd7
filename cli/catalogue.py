"""`mbert tasks` and `mbert models`."""

from __future__ import annotations

import dataclasses
import importlib.util

from . import options, output

METRICS = "metrics (first selects)"


def tasks(json: options.Json = False) -> None:
    """List the tasks."""
    from modernbert.data.registry import all_tasks

    found = all_tasks()
    if json:
        keys = ("name", "summary", "kind", "text", "labels", "metrics", "licence", "citation")
        return output.print_json([{key: getattr(task, key) for key in keys} for task in found])
    rows = [
        (task.name, task.summary, task.kind, " + ".join(task.text), ", ".join(task.metrics)) for task in found
    ]
    output.print_table(
        "", ("task", "what", "kind", "text", METRICS), rows, optional=("text", METRICS, "kind")
    )
    output.print_line(
        "own data: mbert finetune FILE (CSV, TSV, JSONL, Parquet), a folder, or a Hub data set id"
    )


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
