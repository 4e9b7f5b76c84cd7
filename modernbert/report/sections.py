"""The sections of one task of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import TaskComparison
from modernbert.comparison.tables import Table, task_tables
from modernbert.report import plots
from modernbert.report.answers import answer_sections, learning_sections
from modernbert.report.examples import against
from modernbert.report.plots import Styles
from modernbert.report.section import Section
from modernbert.without_paths import without_paths


def comparison_sections(
    task: TaskComparison, outcomes: Mapping[str, Outcome], styles: Styles, *, texts: bool = True
) -> list[Section]:
    """Return the sections of one task of a comparison.

    Args:
        outcomes: one run of each model, as far as runs can be had.
        styles: how each model is drawn.
        texts: show examples with their text, where it can be had.
    """
    drawn = [plots.scores(task.models, task.metric, styles)]
    if task.contrasts:
        drawn.append(plots.differences(task.contrasts, task.metric, styles))
    if any(m.on_front for m in task.models):
        drawn.append(plots.speed_and_score(task.models, task.metric, styles))
    sections = [Section("scores", plots=tuple(drawn), tables=_tables(task))]
    sections += learning_sections(outcomes, styles)
    sections += answer_sections(list(outcomes.values()), styles)
    there = [c for c in task.contrasts if {c.model, c.baseline} <= outcomes.keys()]
    sections += [against(c, outcomes, styles, shown=texts) for c in there]
    return [replace(s, title=f"{task.task}: {s.title}") for s in sections]


def _tables(task: TaskComparison) -> tuple[Table, ...]:
    """Return the comparison's own tables; settings that differ may be paths."""
    return tuple(
        replace(table, rows=without_paths(table.rows), notes=without_paths(table.notes))
        for table in task_tables(task, seeds=True)
    )
