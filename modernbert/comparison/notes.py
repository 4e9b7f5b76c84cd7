"""What a reader must know of a table of models: how steps were chosen, and which seeds learnt nothing.

Shape suffixes: N examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from modernbert.comparison.comparability import selection
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import ModelScores
from modernbert.evaluation.metrics import METRICS
from modernbert.evaluation.scoring import OF_THE_MEAN
from modernbert.evaluation.statistics import ENOUGH, is_rough

# A seed has collapsed if it covers less than this share of the way from one answer for all to the best seed,
NEAR = 0.1
# where that way is at least this long: else nothing was learnt by any.
FAR = 0.1
# Of the answers that labels are, the most frequent ones are tried for all examples.
ANSWERS = 20


def selection_notes(by_model: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Say whose kept step was chosen on the very examples that are scored, and whose was not."""
    said = {
        "the best step on these examples": "the step that is kept was chosen on these examples, "
        "so these scores are slightly optimistic",
        "the best step on other examples": "the step that is kept was chosen on other examples than these",
        "the last step": "the last step is kept: nothing was chosen",
    }
    for how, note in said.items():
        models = [model for model, runs in by_model.items() if any(selection(run) == how for run in runs)]
        if models:
            yield f"{', '.join(models)}: {note}"


def collapsed_seeds(runs: Sequence[Outcome]) -> tuple[str, ...]:
    """Return the seeds that are no better than one answer for all examples, while the best is far above."""
    trained = [run for run in runs if run.seed is not None]
    if len(trained) < 2:
        return ()
    best, floor = max(run.value for run in trained), _floor(trained[0])
    if floor is None or best - floor < FAR:
        return ()
    return tuple(str(run.seed) for run in trained if run.value - floor < NEAR * (best - floor))


def _floor(run: Outcome) -> float | None:
    """Return what the best answer for all examples scores; None for errors, which have no such floor."""
    labels = run.labels
    if labels is None:
        return 0.0
    if run.record.task.kind == "tokens":
        return 0.0  # no entity anywhere
    if run.metric in OF_THE_MEAN:
        return 0.0 if run.metric == "r2" else None
    if run.record.task.kind == "regression":
        return 0.0  # a correlation
    answers, counts = np.unique(labels, axis=0, return_counts=True)
    usual = answers[np.argsort(-counts, kind="stable")[:ANSWERS]]
    return max(score_of_constant(run, np.broadcast_to(answer, labels.shape)) for answer in usual)


def score_of_constant(run: Outcome, answers: np.ndarray) -> float:
    """Return what the same answer for every example scores; it orders nothing."""
    level = None if run.logits is None else np.zeros_like(run.logits)
    return METRICS[run.metric](*run.measured(answers, level))


def interval_notes(by_model: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Say whose intervals are less sharp than 95 % sounds: few examples decide, or two trainings."""
    rough = [model for model, runs in by_model.items() if any(is_rough(run.sums) for run in runs)]
    if rough:
        yield (
            f"{', '.join(rough)}: the score is fewer than {ENOUGH} examples from its bound, so the "
            "interval is rough, and mostly too wide"
        )
    two = [model for model, runs in by_model.items() if runs[0].trained and len(runs) == 2]
    if two:
        yield (
            f"{', '.join(two)}: two seeds hardly show how trainings differ, so the interval is wide and "
            "little is detectable; three seeds or more are much sharper"
        )


def collapse_notes(models: Iterable[ModelScores]) -> Iterator[str]:
    """Count the seeds that learnt nothing, which mean and interval hold too."""
    for m in models:
        if m.collapsed:
            told = ", ".join(f"{seed}: {m.by_seed[seed]:.4f}" for seed in m.collapsed)
            seeds = f"{len(m.collapsed)} of {len(m.by_seed)} seeds"
            yield f"{m.model}: {seeds} collapsed ({told}): no better than one answer for all examples"
