"""One self-contained HTML file for a run or a comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import FiniteFloat
from typing_extensions import TypedDict

from modernbert.comparison.outcomes import Outcome, read_outcomes
from modernbert.comparison.results import Comparison
from modernbert.comparison.stored import outcome_of, read_comparison
from modernbert.comparison.tables import Table, average_tables
from modernbert.errors import BadRun, MbertError
from modernbert.evaluation.shown import SHOWN, interval_text
from modernbert.places import no_such_file
from modernbert.reading import checked, read_lines
from modernbert.records.base import Count
from modernbert.records.record import RunRecord
from modernbert.report.answers import answer_sections, learning_sections
from modernbert.report.examples import error_section
from modernbert.report.plots import styles_of
from modernbert.report.section import Section
from modernbert.report.sections import comparison_sections
from modernbert.report.summary import comparison_summary, hardware_of, run_summary
from modernbert.report.templates import render
from modernbert.runs import RunStore
from modernbert.version import __version__
from modernbert.without_paths import without_paths
from modernbert.wording import counted


class LoggedLine(TypedDict):
    """A line of a run's log."""

    event: str


class LoggedStep(LoggedLine):
    """A progress line."""

    step: Count
    loss: FiniteFloat


def report(what: str, store: RunStore, *, texts: bool = True) -> str:
    """Return the report of a run, or of a comparison that `mbert compare -o FILE.json` wrote.

    Args:
        texts: show examples with their text, where it can be had.

    Raises:
        UnknownName, BadRun: there is no such finished run, it has no scores, or it is damaged.
        BadData: the file is no comparison.
    """
    path = Path(what)
    if path.suffix == ".json" and not path.exists() and not store.has(what):
        raise no_such_file(path)
    if path.suffix != ".json" or not path.is_file():
        return run_report(what, store, texts=texts)
    return comparison_report(read_comparison(path), store, texts=texts)


def comparison_report(comparison: Comparison, store: RunStore, *, texts: bool = True) -> str:
    """Return the report of a comparison: its own numbers, and the answers of each model's first run.

    A run that is gone, damaged or was made anew since is named, and shown without its answers.
    """
    tasks = comparison.tasks
    found: dict[str, dict[str, Outcome]] = {task.task: {} for task in tasks}
    missing: list[str] = []
    for task in tasks:
        for model in task.models:
            try:
                found[task.task][model.model] = outcome_of(model, task.metric, store)
            except MbertError as error:
                missing.append(f"{model.model} on {task.task} without its answers: {error.what}")
    styles = styles_of(model.model for task in tasks for model in task.models)
    sections = [comparison_summary(tasks, found)]
    sections += [_overview(comparison)] if len(tasks) > 1 else []
    for task in tasks:
        sections += comparison_sections(task, found[task.task], styles, texts=texts)
    if notes := [*comparison.notes, *missing]:
        sections.append(Section("Notes", points=tuple(without_paths(notes))))
    names = [store.current_name(run) for task in tasks for model in task.models for run in model.runs]
    title = f"{', '.join(task.task for task in tasks)}: against {', '.join(comparison.baselines)}"
    known = store.survey().records
    return _page(title, [*sections, _provenance({name: known[name] for name in names if name in known})])


def run_report(name: str, store: RunStore, *, texts: bool = True) -> str:
    """Return the report of one finished run. Raises as `read_outcomes`."""
    outcomes = read_outcomes(store, name)
    record = store.read(name).without_paths()
    named = {outcome.model: outcome for outcome in outcomes}
    styles = styles_of(named)
    sections = [run_summary(record, outcomes), Section("Scores", tables=(_scores_table(record),))]
    sections += learning_sections(named, styles, _losses(store.path(name) / "log.jsonl"))
    sections += answer_sections(outcomes, styles)
    sections += [error_section(outcomes, texts=texts), _provenance({name: record})]
    sections.append(Section("Everything recorded", tables=(_facts_table(record),)))
    return _page(f"{name}: {record.task.name}", sections)


def _overview(comparison: Comparison) -> Section:
    text = f"{counted(len(comparison.tasks), 'task')}. Macro averages are over tasks that every model has."
    averages = average_tables(comparison) if comparison.averages else []
    return Section("Overview", text, tables=tuple(averages))


def _scores_table(record: RunRecord) -> Table:
    found = [
        (result, score, score.metric + what)
        for result in record.results
        for key, what in SHOWN
        for score in getattr(result, key)
    ]
    rows = tuple(
        (
            result.split,
            *([result.system] if result.system else []),
            metric,
            f"{score.value:.4f}",
            interval_text(score.low, score.high),
            f"{score.n:,}",
            score.interval,
        )
        for result, score, metric in found
    )
    system = ["system"] if record.results[0].system else []
    columns = ("split", *system, "metric", "score", "95 % interval", "n", "interval by")
    return Table(f"{record.task.name}", columns, rows, ("score", "n"))


def _losses(path: Path) -> list[tuple[int, float]]:
    """Return step and loss of every progress line. Raises BadRun for a damaged log."""
    if not path.is_file():
        return []
    try:
        return list(_read_losses(path))
    except BadRun as error:
        error.fix = "Delete the line or the file: the report then does without the loss."
        raise


def _read_losses(path: Path) -> Iterator[tuple[int, float]]:
    for where, line in read_lines(path, BadRun, what="the run's log"):
        event = checked(LoggedLine, line, where=where, error=BadRun)["event"]
        if event == "StepReport":
            step = checked(LoggedStep, line, where=where, error=BadRun)
            yield step["step"], step["loss"]


def _facts_table(record: RunRecord) -> Table:
    wanted = ("model", "init", "recipe", "config", "data", "machine", "attention", "parameters", "training")
    written = record.as_dict() | {"config": record.config.by_name()}
    long = {"data": "report", "training": "history", "model": "training"}  # the last is another run's
    kept = {key: _without(written[key], long.get(key)) for key in wanted if key in written}
    rows = tuple(
        (key, name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, part in kept.items()
        for name, value in (part.items() if isinstance(part, dict) else [("", part)])
    )
    return Table("", ("part", "name", "value"), rows)


def _without(part: Any, key: str | None) -> Any:
    return {k: v for k, v in part.items() if k != key} if isinstance(part, dict) else part


def _provenance(records: Mapping[str, RunRecord]) -> Section:
    """Say which runs, made when, on what, with which versions and data."""
    rows = []
    for name, found in records.items():
        record = found.without_paths()
        versions = record.versions
        data = {part.revision for part in record.data.splits.values()}
        packages = ", ".join(f"{package} {versions[package]}" for package in versions if versions[package])
        rows.append((name, record.created, hardware_of(record), packages, "; ".join(sorted(data))))
    columns = ("run", "made", "hardware", "versions", "data revision")
    return Section("Provenance", tables=(Table("", columns, tuple(rows)),))


def _page(title: str, sections: Sequence[Section]) -> str:
    return str(render("page.html", title=without_paths(title), sections=sections, version=__version__))
