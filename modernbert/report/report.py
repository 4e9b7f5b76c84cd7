"""One self-contained HTML file for a run or a comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs
from pydantic import FiniteFloat
from typing_extensions import TypedDict

from modernbert.comparison.outcomes import Outcome, read_outcomes
from modernbert.comparison.results import Comparison
from modernbert.comparison.stored import outcome_of, read_comparison
from modernbert.comparison.tables import Table, average_tables
from modernbert.errors import BadRun, MbertError
from modernbert.evaluation.shown import SHOWN, interval_text
from modernbert.reading import checked, read_lines
from modernbert.record_parts import Count
from modernbert.report import plots
from modernbert.report.sections import (
    Section,
    answer_sections,
    comparison_sections,
    error_section,
    learning_sections,
)
from modernbert.runs import RunStore
from modernbert.version import __version__


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
    if path.suffix != ".json" or not path.is_file():
        return run_report(what, store, texts=texts)
    return comparison_report(read_comparison(path), store, texts=texts)


def comparison_report(comparison: Comparison, store: RunStore, *, texts: bool = True) -> str:
    """Return the report of a comparison: its own numbers, and the answers of each model's first run.

    A run that is gone, damaged or was made anew since is named, and shown without its answers.
    """
    tasks = comparison.tasks
    sections = [_overview(comparison)] if len(tasks) > 1 else []
    missing: list[str] = []
    for task in tasks:
        outcomes: dict[str, Outcome] = {}
        for model in task.models:
            try:
                outcomes[model.model] = outcome_of(model, store)
            except MbertError as error:
                missing.append(f"{model.model} on {task.task} without its answers: {error.what}")
        sections += comparison_sections(task, outcomes, texts=texts)
    if notes := [*comparison.notes, *missing]:
        sections.append(Section("Notes", "; ".join(notes)))
    names = [run for task in tasks for model in task.models for run in model.runs]
    title = f"{', '.join(task.task for task in tasks)}: against {', '.join(comparison.baselines)}"
    known = store.survey().records
    return _page(title, [*sections, _provenance([name for name in names if name in known], store)])


def run_report(name: str, store: RunStore, *, texts: bool = True) -> str:
    """Return the report of one finished run. Raises as `read_outcomes`."""
    outcomes = read_outcomes(store, name)
    record = store.read(name)
    sections = [Section("Scores", tables=(_scores_table(record),)), *learning_sections(outcomes)]
    sections += _loss_section(store.path(name) / "log.jsonl")
    sections += answer_sections(outcomes)
    sections += [error_section(outcome, texts=texts) for outcome in outcomes]
    sections.append(Section("Everything recorded", tables=(_facts_table(record),)))
    return _page(f"{name}: {record['task']['name']}", [*sections, _provenance([name], store)])


def _overview(comparison: Comparison) -> Section:
    text = f"{len(comparison.tasks)} tasks. Macro averages are over tasks that every model has."
    averages = average_tables(comparison) if comparison.averages else []
    return Section("Overview", text, tables=tuple(averages))


def _scores_table(record: dict[str, Any]) -> Table:
    rows = tuple(
        (
            result["split"],
            result.get("system", ""),
            score["metric"] + what,
            f"{score['value']:.4f}",
            interval_text(score["low"], score["high"]),
            f"{score['n']:,}",
            score["interval"],
        )
        for result in record["results"]
        for key, what in SHOWN
        for score in result.get(key, ())
    )
    columns = ("split", "system", "metric", "score", "95 % interval", "n", "interval by")
    return Table(f"{record['task']['name']}", columns, rows, ("score", "n"), tuple(record.get("notes", ())))


def _loss_section(path: Path) -> list[Section]:
    if not path.is_file():
        return []
    try:
        points = list(_losses(path))
    except BadRun as error:
        error.fix = "Delete the line or the file: the report then does without the loss."
        raise
    if not points:
        return []
    figure = plots.curves({"training loss": points}, "optimiser step", "loss")
    return [Section("Loss", plots=(plots.to_html(figure, "Training loss"),))]


def _losses(path: Path) -> Iterator[tuple[int, float]]:
    """Yield step and loss of every progress line. Raises BadRun for a damaged log."""
    for where, line in read_lines(path, BadRun, what="the run's log"):
        event = checked(LoggedLine, line, where=where, error=BadRun)["event"]
        if event == "StepReport":
            step = checked(LoggedStep, line, where=where, error=BadRun)
            yield step["step"], step["loss"]


def _facts_table(record: dict[str, Any]) -> Table:
    wanted = ("model", "init", "recipe", "config", "data", "machine", "attention", "parameters", "training")
    kept = {key: record[key] for key in wanted if key in record}
    kept["data"] = {k: v for k, v in kept.get("data", {}).items() if k != "report"}
    kept["training"] = {k: v for k, v in kept.get("training", {}).items() if k != "history"}
    kept["model"] = {k: v for k, v in kept.get("model", {}).items() if k != "training"}  # another run's facts
    rows = tuple(
        (key, name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, part in kept.items()
        for name, value in (part.items() if isinstance(part, dict) else [("", part)])
    )
    return Table("", ("part", "name", "value"), rows)


def _provenance(names: Sequence[str], store: RunStore) -> Section:
    """Say which runs, made when, on what, with which versions and data."""
    rows = []
    for name in dict.fromkeys(names):
        record = store.read(name)
        versions, hardware = record["versions"], record["hardware"]
        data = {split: part.get("revision", "") for split, part in record["data"]["splits"].items()}
        rows.append(
            (
                name,
                record["created"],
                str(hardware.get("gpu") or hardware.get("cpu", "")),
                ", ".join(f"{package} {versions[package]}" for package in versions if versions[package]),
                "; ".join(sorted(set(map(str, data.values())))),
            )
        )
    columns = ("run", "made", "hardware", "versions", "data revision")
    return Section("Provenance", tables=(Table("", columns, tuple(rows)),))


def _page(title: str, sections: Sequence[Section]) -> str:
    source = resources.files("modernbert.report").joinpath("page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    return template.render(title=title, sections=sections, plotly=get_plotlyjs(), version=__version__)
