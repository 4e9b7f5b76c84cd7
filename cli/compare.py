"""`mbert compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from modernbert.activity import phase
from modernbert.errors import BadOption
from modernbert.ranges import Range

from . import complete, options, output, values
from .progress import Training, watch, with_verbose

if TYPE_CHECKING:
    from modernbert.comparison.plan import Wanted
    from modernbert.comparison.results import Comparison
    from modernbert.runs import RunStore

RECIPES = ("default", "paper")
# Of a difference in a metric that may be in the unit of prices.
MARGINS = Range(0, 1e9)
FORMATS = (".md", ".tex", ".csv", ".json", ".html")

# Heads in its help.
COMPARED, MISSING = "What is compared", "Missing runs"


@with_verbose
def compare(
    runs: Annotated[
        list[str] | None,
        options.argument(
            "RUNS...",
            values.name,
            "Compare only these runs (default: all in the run store).",
            [complete.runs],
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        options.option(
            "--baseline -b",
            values.name,
            "Model or run to compare with, or majority, tfidf, unigram (of words) or bm25. May be repeated.",
            COMPARED,
            offers=[complete.runs, complete.models, complete.words("majority", "tfidf", "unigram", "bm25")],
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        options.option(
            "--task -t",
            values.name,
            "Compare only on this task. May be repeated.",
            COMPARED,
            offers=options.TASKS,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        options.option(
            "--model -m",
            values.name,
            "Compare only this model ('minilm lora', 'minilm random'). May be repeated.",
            COMPARED,
            offers=[complete.of_runs("model"), complete.models],
        ),
    ] = None,
    seeds: Annotated[
        int,
        options.option(
            "--seeds",
            values.whole(Range(0, 1_000)),
            "Number of seeds per model; 0 for those that there are.",
            COMPARED,
        ),
    ] = 0,
    allow: Annotated[
        bool,
        options.flag(
            "--allow", "Also compare models trained under other conditions, and mark them.", COMPARED
        ),
    ] = False,
    margin: Annotated[
        float,
        options.option(
            "--margin",
            values.number(MARGINS),
            "Margin of equivalence: differences below it do not matter; 0 for no test.",
            COMPARED,
        ),
    ] = 0.0,
    metric: Annotated[
        str | None,
        options.option(
            "--metric",
            values.metric,
            "Compare by this metric (f1, mean_absolute_error, map, ...) instead of each run's main one.",
            COMPARED,
        ),
    ] = None,
    yes: Annotated[bool, options.flag("--yes -y", "Make missing runs without asking.", MISSING)] = False,
    finished: Annotated[
        bool, options.flag("--finished", "Compare only finished runs, and make no others.", MISSING)
    ] = False,
    recipe: Annotated[
        str | None,
        options.option(
            "--recipe", values.one_of("default", "paper"), "Recommended settings: default or paper.", MISSING
        ),
    ] = None,
    config: Annotated[
        Path | None,
        options.option("--config", values.source, "TOML file of settings for missing runs.", MISSING),
    ] = None,
    show_seeds: Annotated[
        bool, options.flag("--show-seeds", "Show every seed's score.", options.OUTPUT)
    ] = False,
    out: Annotated[
        Path | None,
        options.output_file(
            "--output -o", FORMATS, f"Also write the comparison to this file: {', '.join(FORMATS)}."
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    texts: options.Texts = True,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Compare models, seed by seed and example by example, with intervals and paired tests.

    Without --baseline, the first of the named runs is what the others are compared with.

    Missing runs are made first, after asking.
    """
    options.require_output(overwrite, "--output", out)
    runs, baseline = runs or [], baseline or []
    if not baseline and len(runs) < 2:
        fix = "Add --baseline MODEL, such as tfidf, or name two runs."
        raise BadOption("there is nothing to compare with", fix=fix)
    if seeds and not baseline:
        raise BadOption("--seeds has no effect without --baseline: the named runs are what is compared")
    from modernbert.runs import RunStore
    from modernbert.settings.forms import read_settings

    store = RunStore.at(runs_dir)
    for name in runs:
        if (Path(name) / "config.json").is_file() and not store.has(name):
            fix = f"Score it: mbert eval TASK --model {name}; then compare the run that this makes."
            raise BadOption(f"{name} is a model's folder, and runs are compared", fix=fix)
        store.read(name)  # a wrong name is told at once
    with watch(quiet=json):
        from modernbert.comparison.compare import compare as compare_runs
        from modernbert.comparison.plan import Wanted
        from modernbert.model.device import choose_machine

        choose_machine(device, precision)  # a wrong name is told also when nothing needs a device
    given = {"device": device, "precision": precision, "recipe": recipe}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, "auto")}
    changes |= {"settings": read_settings(config)} if config else {}
    changes |= {"data_dir": str(data_dir.absolute())} if data_dir else {}
    wanted = Wanted(tuple(baseline), tuple(task or ()), tuple(model or ()), seeds, tuple(runs), changes)
    made = [] if finished else _make_missing(store, wanted, yes=yes, quiet=json)
    names = [*runs, *made] if runs else []
    some = {"tasks": task or (), "models": model or ()}
    with watch(quiet=json):
        with phase("paired tests and intervals"):
            found = compare_runs(
                store, names, baseline, **some, allow=allow, margin=margin, metric=metric or ""
            )
        replaced = out is not None and out.exists()
        if out:
            with phase(f"writing {out.name}"):
                _write(found, store, out, seeds=show_seeds, texts=texts)
    if out:
        output.print_written(out, "comparison", replaced=replaced)
    if json:
        return output.print_json(found.as_dict())
    show_comparison(found, seeds=show_seeds)


def _make_missing(store: RunStore, wanted: Wanted, *, yes: bool, quiet: bool) -> list[str]:
    """Say what is missing and how long it will take, ask, and make it."""
    from modernbert.comparison.collect import collect
    from modernbert.comparison.execute import execute
    from modernbert.comparison.plan import one_at_a_time, plan_runs, total_minutes, up_to_date

    with watch(quiet=quiet), phase("looking for missing runs"):
        known = store.names()
        plan = plan_runs(store, collect(store, wanted.runs, wanted.baselines)[0], wanted)
    if not plan:
        return []
    rows = [
        (run.task, run.model, run.seed, "unknown" if run.minutes is None else f"{run.minutes:.1f}")
        for run in plan
    ]
    minutes, unknown = total_minutes(plan)
    more = f", and {unknown} of unknown duration" if unknown else ""
    if not quiet:
        output.print_table("missing runs", ("task", "model", "seed", "minutes"), rows, right=("minutes",))
    output.print_line(f"missing runs: {len(plan)}, about {minutes:.0f} min{more}", error=True)
    otherwise = "Add --yes to make them, or --finished to compare what there is."
    output.ask("Make them now?", yes=yes, otherwise=otherwise)
    names: list[str] = []

    def on_wait() -> None:
        output.print_line(
            "another comparison is training in this run store: waiting for it to finish", error=True
        )

    with one_at_a_time(store, on_wait), watch(quiet=quiet) as watched:
        for number, planned in enumerate(plan, start=1):
            seed = "" if planned.seed is None else f", seed {planned.seed}"
            now = up_to_date(planned, store, [*known, *names])
            there = f": {now} exists already" if isinstance(now, str) else ""
            said = f"\n{number} of {len(plan)}: {planned.task}, {planned.model}{seed}{there}"
            output.print_line(said, error=True)
            if isinstance(now, str):
                names.append(now)
                continue
            with phase(f"{planned.task}, {planned.model}{seed}"):
                names.append(execute(now, store, Training(watched).observe))
    return names


def _write(found: Comparison, store: RunStore, out: Path, *, seeds: bool, texts: bool) -> None:
    import json

    from modernbert.comparison.tables import write_tables
    from modernbert.files import atomic_file

    if out.suffix.lower() == ".json":
        text = json.dumps(found.as_dict(), indent=2, ensure_ascii=False)
    elif out.suffix.lower() == ".html":
        from modernbert.report.report import comparison_report

        text = comparison_report(found, store, texts=texts)
    else:
        text = write_tables(found, out.suffix.lower(), seeds=seeds)
    with atomic_file(out) as file:
        file.write(text)


def show_comparison(found: Comparison, *, seeds: bool) -> None:
    """Print all tables of a comparison, each with its notes."""
    from modernbert.comparison.tables import comparison_tables

    for table in comparison_tables(found, seeds=seeds):
        output.print_table(f"\n{table.title}", table.columns, table.rows, right=table.right)
        for note in table.notes:
            output.print_line(note)
    for note in found.notes:
        output.print_note(note)
