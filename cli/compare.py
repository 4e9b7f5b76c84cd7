"""`mbert compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from modernbert.errors import BadOption

from . import options, output

FORMATS = (".md", ".tex", ".csv", ".json", ".html")


def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Finished runs; without any, all of the run store.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", "-b", help="Model to compare with, or majority, tfidf, bm25; repeatable."),
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Take this task alone.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="This model alone ('minilm lora', 'minilm random')."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds of each; those that are there by default.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Make missing runs without asking.")] = False,
    finished: Annotated[
        bool, typer.Option("--finished", help="Compare what is finished; make nothing.")
    ] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Compare also what was trained differently, and mark it.")
    ] = False,
    margin: Annotated[
        float, typer.Option(help="Differences below this do not matter: say which models are equivalent.")
    ] = 0.0,
    show_seeds: Annotated[bool, typer.Option("--show-seeds", help="Show every seed's score.")] = False,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"Write this file too: {', '.join(FORMATS)}.")
    ] = None,
    texts: options.Texts = True,
    recipe: Annotated[str | None, typer.Option(help="For missing runs: default or paper.")] = None,
    config: Annotated[Path | None, typer.Option(help="For missing runs: TOML file of settings.")] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Compare models, seed by seed and example by example, with intervals and paired tests.

    Runs that are missing are made first, after asking.
    """
    from modernbert.comparison.compare import compare as compare_runs
    from modernbert.comparison.missing import Wanted, task_name
    from modernbert.runs import RunStore
    from modernbert.training.config import read_settings

    if not baseline:
        raise BadOption("there is nothing to compare with", fix="Add --baseline MODEL, such as tfidf.")
    if out and out.suffix not in FORMATS:
        raise BadOption(
            f"cannot write '{out.suffix}' files", where=str(out), fix=f"Use {', '.join(FORMATS)}."
        )
    store = RunStore.at(runs_dir)
    given = {"device": device, "precision": precision, "recipe": recipe}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, "auto")}
    changes |= {"settings": read_settings(config)} if config else {}
    changes |= {"data_dir": str(data_dir.absolute())} if data_dir else {}
    wanted = Wanted(tuple(baseline), tuple(task or ()), tuple(model or ()), seeds, changes)
    made = [] if finished else _make_missing(store, runs or [], wanted, yes=yes, quiet=json)
    names = [*runs, *made] if runs else []
    tasks = [task_name(target) for target in task or ()]
    found = compare_runs(store, names, baseline, tasks=tasks, models=model or (), allow=allow, margin=margin)
    if out:
        _write(found, store, out, seeds=show_seeds, texts=texts)
    if json:
        return output.print_json(found.as_dict())
    show_comparison(found, seeds=show_seeds)


def _make_missing(store: Any, runs: list[str], wanted: Any, *, yes: bool, quiet: bool) -> list[str]:
    """Say what is missing and how long it will take, ask, and make it."""
    from modernbert.comparison.compare import collect
    from modernbert.comparison.filling import fill
    from modernbert.comparison.missing import missing_cells, total_minutes

    from .progress import Progress

    cells = missing_cells(store, collect(store, runs, wanted.baselines)[0], wanted)
    if not cells:
        return []
    rows = [
        (cell.task, cell.model, cell.seed, "unknown" if cell.minutes is None else f"{cell.minutes:.1f}")
        for cell in cells
    ]
    minutes, unknown = total_minutes(cells)
    more = f", and {unknown} that nothing like was ever run here" if unknown else ""
    screen = output.console(error=True)
    if not quiet:
        output.print_table("missing runs", ("task", "model", "seed", "minutes"), rows, right=("minutes",))
    screen.print(f"{len(cells)} runs are missing: about {minutes:.0f} minutes{more}", markup=False)
    _ask(yes=yes)
    names = []
    with Progress(quiet=quiet) as progress:
        for number, cell in enumerate(cells, start=1):
            seed = "" if cell.seed is None else f", seed {cell.seed}"
            screen.print(f"\n{number} of {len(cells)}: {cell.task}, {cell.model}{seed}", markup=False)
            names.append(fill(cell, store, progress.observe))
    return names


def _ask(*, yes: bool) -> None:
    if yes:
        return
    fix = "Add --yes to make them, or --finished to compare what there is."
    if not sys.stdin.isatty():
        raise BadOption("there is nobody to ask whether to make them", fix=fix)
    if not typer.confirm("Make them now?", err=True):
        raise BadOption("the missing runs were not made", fix=fix)


def _write(found: Any, store: Any, out: Path, *, seeds: bool, texts: bool) -> None:
    import json

    from modernbert.comparison.tables import write_tables
    from modernbert.files import atomic_file

    if out.suffix == ".json":
        text = json.dumps(found.as_dict(), indent=2, ensure_ascii=False)
    elif out.suffix == ".html":
        from modernbert.report.report import comparison_report

        text = comparison_report(found, store, texts=texts)
    else:
        text = write_tables(found, out.suffix, seeds=seeds)
    with atomic_file(out) as file:
        file.write(text)


def show_comparison(found: Any, *, seeds: bool) -> None:
    """Print all tables of a comparison, each with its notes."""
    from modernbert.comparison.tables import comparison_tables

    for table in comparison_tables(found, seeds=seeds):
        output.print_table(f"\n{table.title}", table.columns, table.rows, right=table.right)
        for note in table.notes:
            output.print_line(note)
    for note in found.notes:
        output.print_warning(note)
