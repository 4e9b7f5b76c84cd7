"""What a report shows of a task: plots and tables, from runs read back."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from modernbert.comparison.analysis import (
    Group,
    confidence_of,
    confusion,
    disagreement,
    extremes,
    is_right,
    texts_of,
)
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import Contrast, TaskComparison
from modernbert.comparison.tables import Table, task_tables
from modernbert.evaluation.calibration import calibration
from modernbert.report import plots

# Examples shown with their text, and how much of it.
SHOWN = 10
LONGEST_TEXT = 600


@dataclass(frozen=True)
class Section:
    """One heading and what is below it, in order; `plots` are safe HTML."""

    title: str
    text: str = ""
    plots: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


def comparison_sections(
    task: TaskComparison, outcomes: Mapping[str, Outcome], *, texts: bool = True
) -> list[Section]:
    """Return the sections of one task of a comparison.

    Args:
        outcomes: one run of each model, as far as runs can be had.
        texts: show examples with their text, where it can be had.
    """
    drawn = [
        plots.to_html(plots.scores(task.models, task.metric), "Scores with 95 % intervals"),
        *([_differences(task)] if task.contrasts else []),
    ]
    sections = [
        Section(f"{task.task}: scores", _reading(task), tuple(drawn), tuple(task_tables(task, seeds=True)))
    ]
    if any(m.on_front for m in task.models):
        figure = plots.speed_and_score(task.models, task.metric)
        sections.append(Section("Speed and score", plots=(plots.to_html(figure, "Score against speed"),)))
    sections += learning_sections(list(outcomes.values()))
    sections += answer_sections(list(outcomes.values()))
    there = [c for c in task.contrasts if {c.model, c.baseline} <= outcomes.keys()]
    sections += [_against(c, outcomes, shown=texts) for c in there]
    return [sections[0], *(replace(s, title=f"{task.task}: {s.title}") for s in sections[1:])]


def _differences(task: TaskComparison) -> str:
    figure = plots.differences(task.contrasts, task.metric)
    return plots.to_html(figure, "Differences with 95 % intervals")


def _reading(task: TaskComparison) -> str:
    best = task.models[0]
    told = [str(contrast) for contrast in task.contrasts]
    return (
        f"Highest mean: {best.model}, {best.mean:.4f} {task.metric} (n {task.n:,}). " + "; ".join(told) + "."
    )


def learning_sections(outcomes: Sequence[Outcome]) -> list[Section]:
    """Return the learning curves of what was trained."""
    lines = {
        f"{o.model} ({o.seed})": [
            (e["step"], e["metrics"][o.metric]) for e in o.record["training"]["history"]
        ]
        for o in outcomes
        if o.record.get("training", {}).get("history") and o.metric in _first_metrics(o)
    }
    if not lines:
        return []
    figure = plots.curves(lines, "optimiser step", f"{outcomes[0].metric} (validation)")
    return [
        Section(
            "Learning curves", "Step 0 is the untrained model.", (plots.to_html(figure, "Learning curves"),)
        )
    ]


def _first_metrics(outcome: Outcome) -> Mapping[str, float]:
    found: Mapping[str, float] = outcome.record["training"]["history"][0]["metrics"]
    return found


def answer_sections(outcomes: Sequence[Outcome]) -> list[Section]:
    """Return how far answers can be trusted, and what is taken for what."""
    single = [o for o in outcomes if o.labels is not None and o.record["task"]["kind"] == "single_label"]
    sections = []
    sure = {o.model: calibration(c, is_right(o)) for o in single if (c := confidence_of(o)) is not None}
    if sure:
        figure = plots.to_html(plots.reliability(sure), "Reliability")
        text = "Is a model right as often as it says? One run of each; its error is in the table of scores."
        sections.append(Section("Calibration", text, (figure,)))
    if single:
        drawn = tuple(
            f"<h3>{html.escape(o.model)}</h3>"
            + plots.to_html(
                plots.confusion(confusion(o), o.record["task"]["labels"]), f"Confusion of {o.model}"
            )
            for o in single
        )
        sections.append(
            Section("Confusion", "Rows are the truth, columns the answers; one run of each.", drawn)
        )
    return sections


def error_section(outcome: Outcome, *, texts: bool = True) -> Section:
    """Return the mistakes that one model is surest of (for numbers, the largest)."""
    known = texts_of(outcome) if texts else None
    if outcome.labels is None:
        badness_N = -outcome.predictions
    elif outcome.labels.dtype.kind == "f" and outcome.labels.ndim == 1:
        badness_N = np.abs(outcome.labels - outcome.predictions)
    else:
        confidence_N = confidence_of(outcome)
        badness_N = ~is_right(outcome) * (1.0 if confidence_N is None else confidence_N)
    places = [i for i in extremes(badness_N, SHOWN) if badness_N[i] != 0 or outcome.labels is None]
    table = _examples(f"Worst of {outcome.model}", [outcome], places, known)
    return Section("Worst errors", _missing_texts(known), (), (table,))


def _against(contrast: Contrast, outcomes: Mapping[str, Outcome], *, shown: bool) -> Section:
    first, second = outcomes[contrast.model], outcomes[contrast.baseline]
    title = f"{contrast.model} against {contrast.baseline}"
    texts = texts_of(first) if shown else None
    if first.labels is None or (first.labels.dtype.kind == "f" and first.labels.ndim == 1):
        return _gains(title, first, second, texts)
    lengths = None if texts is None else np.array([len(text) for text in texts])
    groups = disagreement(first, second, lengths)
    a_N, b_N = is_right(first), is_right(second)
    won, lost = np.flatnonzero(a_N & ~b_N)[:SHOWN], np.flatnonzero(~a_N & b_N)[:SHOWN]
    tables = (
        _groups_table(groups, first.model, second.model),
        _examples(f"{first.model} right, {second.model} wrong", [first, second], won.tolist(), texts),
        _examples(f"{second.model} right, {first.model} wrong", [first, second], lost.tolist(), texts),
    )
    return Section(title, "One run of each. " + _missing_texts(texts), (), tables)


def _gains(title: str, first: Outcome, second: Outcome, texts: list[str] | None) -> Section:
    """Return gains and losses of every query, or of every number in its distance from the truth."""
    if first.labels is None:
        gain_N, metric = first.predictions - second.predictions, first.metric
    else:
        gain_N = np.abs(second.labels - second.predictions) - np.abs(first.labels - first.predictions)
        metric = "distance from the truth (more is better)"
    tables = (
        _examples("Largest gains", [first, second], extremes(gain_N, SHOWN), texts),
        _examples("Largest losses", [first, second], extremes(-gain_N, SHOWN), texts),
    )
    figure = plots.to_html(plots.gains(gain_N, metric), "Gains and losses")
    counts = f"{(gain_N > 0).sum():,} better, {(gain_N < 0).sum():,} worse, {(gain_N == 0).sum():,} alike. "
    return Section(title, counts + _missing_texts(texts), (figure,), tables)


def _missing_texts(texts: list[str] | None) -> str:
    why = "Ids alone are shown: texts were left out, or the data is not on this machine as the run read it."
    return why if texts is None else ""


def _groups_table(groups: Sequence[Group], first: str, second: str) -> Table:
    numbers = ("n", "both right", f"only {first}", f"only {second}", "neither")
    rows = tuple(
        (g.by, g.name, *(f"{v:,}" for v in (g.n, g.both, g.only_first, g.only_second, g.neither)))
        for g in groups
    )
    return Table("Who is right", ("by", "group", *numbers), rows, numbers)


def _examples(
    title: str, outcomes: Sequence[Outcome], places: Sequence[int], texts: list[str] | None
) -> Table:
    labelled = outcomes[0].labels is not None
    columns = ("id", *(["truth"] if labelled else []), *(o.model for o in outcomes), "text")
    rows = tuple(
        (
            outcomes[0].ids[i],
            *([_shown(outcomes[0], outcomes[0].labels[i])] if outcomes[0].labels is not None else []),
            *(_shown(o, o.predictions[i]) for o in outcomes),
            "" if texts is None else texts[i][:LONGEST_TEXT] + ("…" if len(texts[i]) > LONGEST_TEXT else ""),
        )
        for i in places
    )
    return Table(title if rows else f"{title}: none", columns, rows)


def _shown(outcome: Outcome, value: np.ndarray) -> str:
    kind, names = outcome.record["task"]["kind"], outcome.record["task"]["labels"]
    if kind == "single_label":
        return str(names[int(value)])
    if kind == "multi_label":
        return ", ".join(name for name, on in zip(names, value, strict=True) if on) or "none"
    return f"{float(value):.3f}"
