"""The mean over tasks: of each model with its interval, and of models against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from modernbert.comparison.results import AverageScore, Contrast, ModelScores, TaskComparison
from modernbert.evaluation.statistics import average_difference, holm, interval_of_average
from modernbert.evaluation.sums import BOUNDS, UNBOUNDED


def average_scores(tasks: Sequence[TaskComparison], models: Sequence[str]) -> tuple[AverageScore, ...]:
    """Return each model's mean over the tasks, the best first; none of fewer than two tasks."""
    if len(tasks) < 2:
        return ()
    found = [_average_score(model, tasks) for model in models]
    return tuple(sorted(found, key=lambda score: -score.mean))


def _average_score(model: str, tasks: Sequence[TaskComparison]) -> AverageScore:
    scores = [_of(task, model) for task in tasks]
    values = [score.mean for score in scores]
    ends = interval_of_average(values, [score.noise for score in scores], _bounds(tasks))
    return AverageScore(model, fmean(values), *ends)


def _of(task: TaskComparison, model: str) -> ModelScores:
    return next(scores for scores in task.models if scores.model == model)


def _bounds(tasks: Sequence[TaskComparison]) -> list[tuple[float, float]]:
    return [BOUNDS.get(task.metric, UNBOUNDED) for task in tasks]


def average_contrasts(
    tasks: Sequence[TaskComparison], baselines: Sequence[str], margin: float
) -> tuple[Contrast, ...]:
    """Compare the models' means over the tasks with each baseline's; none of fewer than two tasks.

    Holm's correction is over all means that are compared with one baseline.
    """
    if len(tasks) < 2:
        return ()
    return tuple(contrast for baseline in baselines for contrast in _against(baseline, tasks, margin))


def _against(baseline: str, tasks: Sequence[TaskComparison], margin: float) -> list[Contrast]:
    models = [c.model for c in tasks[0].contrasts if c.baseline == baseline]
    found = [_contrast(model, baseline, tasks, margin) for model in models]
    corrected = holm([c.p_corrected for c in found])
    equivalent = holm([c.equivalent_corrected or 0.0 for c in found])
    return [
        replace(c, p_corrected=p, equivalent_corrected=same if margin else None)
        for c, p, same in zip(found, corrected, equivalent, strict=True)
    ]


def _contrast(model: str, baseline: str, tasks: Sequence[TaskComparison], margin: float) -> Contrast:
    parts = [c for task in tasks for c in task.contrasts if (c.model, c.baseline) == (model, baseline)]
    widest = fmean(high - low for low, high in _bounds(tasks))
    d = average_difference([part.difference for part in parts], widest, margin)
    differing = {name: values for part in parts for name, values in part.differing.items()}
    return Contrast(model, baseline, d, d.p, None, differing, d.p_equivalent)
