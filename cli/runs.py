"""`mbert runs` and `mbert runs show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modernbert.runs import RunStore, rows_of

from . import options, output, values
from .scores import show_scores

app = typer.Typer(help="List the runs; `mbert runs show NAME` for one.", invoke_without_command=True)


@app.callback()
def list_runs(context: typer.Context, runs_dir: options.RunsDir = None, json: options.Json = False) -> None:
    """List the runs."""
    if context.invoked_subcommand:
        return
    store = RunStore.at(runs_dir)
    found = store.survey()
    ordered = sorted(found.records.items(), key=lambda item: item[1]["created"])
    if json:
        damaged = [{"name": n, "status": "damaged", "fault": str(e)} for n, e in found.damaged.items()]
        return output.print_json([{"name": name, **record} for name, record in ordered] + damaged)
    if not store.names():
        return output.print_line(f"no runs in {store.root} yet; start one with `mbert finetune`")
    columns = ("run", "kind", "status", "task", "model", "score", "when")
    rows = [
        (n, r["kind"], r["status"], r["task"]["name"], r["model"]["name"], headline(r), r["created"][:16])
        for n, r in ordered
    ]
    rows += [(name, "", "damaged", "", "", "", "") for name in found.damaged]
    output.print_table("", columns, rows)
    for error in found.damaged.values():
        output.print_warning(str(error))


def headline(record: dict[str, Any]) -> str:
    """Return a run's quoted score in words; empty when it has none."""
    results = record.get("results")
    if not results:
        return ""
    chosen = next((split for split in results if split["split"].startswith("test")), results[0])
    score = chosen["scores"][0]
    return f"{score['metric']} {score['value']:.4f} ({chosen['split']}, n {score['n']})"


@app.command("show")
def show(
    name: Annotated[str, options.argument("NAME", values.name, "The run's name.")],
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Show one run: scores, settings, data, versions."""
    record = RunStore.at(runs_dir).read(name)
    if json:
        return output.print_json({"name": name, **record})
    output.print_facts(name, _facts(record))
    show_scores("scores", record.get("results", []))
    history = record.get("training", {}).get("history", [])
    if history:
        names = list(history[0]["metrics"])
        steps = [(h["step"], *(f"{h['metrics'][m]:.4f}" for m in names)) for h in history]
        output.print_table("evaluations", ("step", *names), steps, right=("step", *names))
    for note in record.get("notes", []):
        output.print_warning(note)


def _facts(record: dict[str, Any]) -> dict[str, object]:
    """Return what there is: a baseline has no machine, an evaluation no recipe."""
    model, machine, start = record["model"], record.get("machine"), record.get("init")
    facts: dict[str, object] = {
        "status": record["status"],
        "task": record["task"]["name"],
        "model": f"{model['name']} ({model['found_in']})" if "found_in" in model else model["name"],
        "created": record["created"],
        "seed": record["seed"],
        "recipe": record.get("recipe", {}).get("name"),
        "init": start["name"] if isinstance(start, dict) else start,
        "machine": machine and f"{machine['device']}, {machine['precision']}",
        "settings": ", ".join(f"{k} {v}" for k, v in record["config"].items()),
        "data": "; ".join(
            f"{n}: {rows_of(s)} rows, {s['fingerprint'][:12]}" for n, s in record["data"]["splits"].items()
        ),
        "versions": ", ".join(f"{k} {v}" for k, v in record["versions"].items() if v),
    }
    if "training" in record:
        facts["minutes"] = record["training"]["minutes"]
        facts["peak memory, MiB"] = record["training"]["peak_memory_mib"]
    return {name: value for name, value in facts.items() if value is not None}
