"""`mbert runs`, and `show`, `schema`, `tag`, `rm` and `mv` below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.runs import RunStore
from modernbert.settings.config import acting, every_setting
from modernbert.wording import TRAINED_ON, counted, minutes_text

from . import complete, options, output, values
from .scores import memory_text, show_scores
from .settings import settings_text

if TYPE_CHECKING:
    from modernbert.records.record import RunRecord
    from modernbert.records.scores import SplitScores

app = typer.Typer(help="List runs; show, tag, remove or rename one.", invoke_without_command=True)


# Metrics of which less is better.
ERRORS = ("loss", "mean_absolute_error", "root_mean_squared_error")
SORTS = ("when", "name", "task", "model", "score")


@app.callback()
def list_runs(
    context: typer.Context,
    task: Annotated[
        str | None,
        options.option(
            "--task -t",
            values.name,
            "Only runs on this task.",
            options.DATA,
            offers=[complete.of_runs("task")],
        ),
    ] = None,
    model: Annotated[
        str | None,
        options.option(
            "--model -m",
            values.name,
            "Only runs of this model.",
            options.MODEL,
            offers=[complete.of_runs("model")],
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        options.option(
            "--tag",
            values.tag,
            "Only runs with this tag; repeated: with all of them.",
            options.DATA,
            offers=[complete.tags],
        ),
    ] = None,
    sort: Annotated[
        str,
        options.option("--sort", values.one_of(*SORTS), f"Order: {', '.join(SORTS)}.", options.OUTPUT),
    ] = "when",
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """List the runs."""
    if context.invoked_subcommand:
        return
    store = RunStore.at(runs_dir)
    found = store.survey()
    chosen = {
        name: record
        for name, record in found.records.items()
        if task in (None, record.task.name)
        and model in (None, record.model.name)
        and set(tag or ()) <= set(record.tags)
    }
    ordered = sorted(chosen.items(), key=lambda item: _place(item, sort))
    if json:
        damaged = [{"name": n, "status": "damaged", "fault": str(e)} for n, e in found.damaged.items()]
        return output.print_json([{"name": name, **record.as_dict()} for name, record in ordered] + damaged)
    if not store.names():
        return output.print_line(f"no runs in {store.root} yet; start one with `mbert finetune`")
    if not chosen and (task or model or tag):
        return output.print_line("no run matches; `mbert runs` lists all")
    rows = [_row(name, record) for name, record in ordered]
    columns = ("run", "status", "task", "model", "method", "epochs", "score", "scored on", "when", "tags")
    marked = {"status": "damaged", "score": "damaged"}
    rows += [(name, *(marked.get(column, "") for column in columns[1:])) for name in found.damaged]
    optional = ("epochs", "method", "when", "tags", "scored on", "status", "model", "task")
    output.print_table("", columns, rows, right=("epochs",), optional=optional, one_line=True)
    if sort == "score" and len({_rank(record)[:-1] for record in chosen.values()}) > 1:
        output.print_note("scores are ranked within a task, a split and a metric, and not across them")
    for error in found.damaged.values():
        output.print_warning(str(error))


def _place(item: tuple[str, RunRecord], sort: str) -> tuple[Any, ...]:
    """Return where a run stands in the list: the oldest first, or of each task and metric the best first."""
    name, record = item
    by: dict[str, tuple[Any, ...]] = {
        "name": (name,),
        "task": (record.task.name,),
        "model": (record.model.name,),
        "score": _rank(record),
    }
    return (*by.get(sort, ()), record.created, name)


def _rank(record: RunRecord) -> tuple[Any, ...]:
    """Return a run's place by its score among those of its task, split and metric; without one, the last."""
    result = _quoted(record)
    if result is None:
        return (record.task.name, True, "", "", 0.0)
    score = result.main
    falling = score.value if score.metric in ERRORS else -score.value
    return (record.task.name, False, result.split, score.metric, falling)


def _quoted(record: RunRecord) -> SplitScores | None:
    """Return the result that a run is quoted with: of the test split, else of the first that was scored."""
    results = record.results
    return next((split for split in results if split.split.startswith("test")), next(iter(results), None))


def _row(name: str, record: RunRecord) -> tuple[object, ...]:
    settings = record.config.by_name()
    limit = record.request.limit if record.request else 0
    score, scored_on = headline(record)
    return (
        name,
        record.status,
        record.task.name,
        record.model.name,
        _method(record) + (f", {counted(limit, 'row')}" if limit else ""),
        f"{settings['epochs']:g}" if "epochs" in settings else "",
        # A narrow screen has no room for the status: then this is where an unfinished run is told.
        score if record.status == "finished" else record.status,
        scored_on,
        record.created[:16].replace("T", " "),
        ", ".join(record.tags),
    )


def _method(record: RunRecord) -> str:
    """Return how a run came about: a kind of training, or an evaluation."""
    settings = record.config.by_name()
    if record.kind == "finetune":
        return "LoRA" if settings["lora"] else "random init" if settings["random_weights"] else "full"
    return record.kind


def headline(record: RunRecord) -> tuple[str, str]:
    """Return a run's quoted score in words, and what it was scored on; both empty when it has none."""
    chosen = _quoted(record)
    if chosen is None:
        return "", ""
    score = chosen.main
    trained_on = any(TRAINED_ON in note for note in (*record.notes, *chosen.notes))
    seen = f" ({TRAINED_ON.lower()} in part or whole)" if trained_on else ""
    return f"{score.metric} {score.value:.4f}{seen}", f"{chosen.split}, n {score.n:,}"


@app.command("rm")
def remove(
    names: Annotated[
        list[str], options.argument("NAMES...", values.name, "The runs' names.", [complete.runs])
    ],
    yes: Annotated[bool, options.flag("--yes -y", "Do not ask.")] = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """Remove runs, with their models and scores."""
    from modernbert.run_changes import remove_runs, require_runs

    store = RunStore.at(runs_dir)
    require_runs(store, names)
    output.ask(
        f"Remove {', '.join(names)} for good?", yes=yes, otherwise="Add --yes to remove without asking."
    )
    for folder in remove_runs(store, names):
        output.print_line(f"removed: {folder}")


@app.command("mv")
def rename(
    name: Annotated[str, options.argument("NAME", values.name, "The run's name.", [complete.runs])],
    new: Annotated[str, options.argument("NEW", values.run_name, "Its new name.")],
    runs_dir: options.RunsDir = None,
) -> None:
    """Rename a run."""
    from modernbert.run_changes import rename_run

    output.print_line(f"renamed: {rename_run(RunStore.at(runs_dir), name, new)}")


@app.command("tag")
def tag(
    name: Annotated[str, options.argument("NAME", values.name, "The run's name.", [complete.runs])],
    tags: Annotated[list[str], options.argument("TAGS...", values.tag, "Tags to add.", [complete.tags])],
    remove: Annotated[bool, options.flag("--remove", "Remove these tags instead.", options.RUN)] = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """Add tags to a run, or remove them."""
    from modernbert.run_changes import tag_run

    kept = tag_run(RunStore.at(runs_dir), name, tags, remove=remove)
    output.print_line(f"{name}: {', '.join(kept) or 'no tags'}")


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a run's record (run.json)."""
    from modernbert.records.read import record_schema

    output.print_json(record_schema())


@app.command("show")
def show(
    name: Annotated[str, options.argument("NAME", values.name, "The run's name.", [complete.runs])],
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Show one run: scores, settings, data, versions."""
    record = RunStore.at(runs_dir).read(name)
    if json:
        return output.print_json({"name": name, **record.as_dict()})
    output.print_facts(name, _facts(record))
    show_scores("\nscores", record.results)
    history = getattr(record.training, "history", ())
    if history:
        names = list(history[0].metrics)
        steps = [(entry.step, *(f"{entry.metrics[name]:.4f}" for name in names)) for entry in history]
        output.print_table("\nevaluations", ("step", *names), steps, right=("step", *names))
    for note in record.notes:
        output.print_note(note)


def _start(record: RunRecord) -> str | None:
    """Return what a training started from; None for what is no training."""
    if record.recipe is None:
        return None
    return "plain" if record.init == "plain" else record.init.name


def _facts(record: RunRecord) -> dict[str, object]:
    """Return what there is: a baseline has no machine, an evaluation no recipe."""
    model, machine = record.model, record.machine
    facts: dict[str, object] = {
        "status": record.status,
        "tags": ", ".join(record.tags) or None,
        "task": record.task.name,
        "model": f"{model.name} ({model.found_in})" if model.found_in else model.name,
        "created": record.created,
        "seed": record.seed,
        "recipe": record.recipe.name if record.recipe else None,
        "init": _start(record),
        "machine": machine and f"{machine.device}, {machine.precision}",
        "settings": settings_text(acting(record.config.by_name(), every_setting())),
        "data": "; ".join(
            f"{n}: {s.shown_rows} {'row' if s.rows == 1 else 'rows'}, {s.fingerprint[:12]}"
            for n, s in record.data.splits.items()
        ),
        "versions": ", ".join(f"{k} {v}" for k, v in record.versions.items() if v),
    }
    if record.training:
        facts["duration"] = minutes_text(record.training.minutes)
        facts["peak memory"] = memory_text(record.training.peak_memory_mib)
    return {name: value for name, value in facts.items() if value is not None}
