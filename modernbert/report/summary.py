"""What a report says first: how good the model is, beside what needs no model, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modernbert.comparison.notes import score_of_constant
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import TaskComparison
from modernbert.comparison.tables import Table
from modernbert.data.entities import labels_of
from modernbert.evaluation.shown import interval_text
from modernbert.evaluation.thresholds import tuned_thresholds
from modernbert.records.data import Split
from modernbert.records.record import FinetuneRecord, RunRecord, TrainingRecord
from modernbert.records.scores import Score
from modernbert.records.training import Training
from modernbert.report.plots import evenly
from modernbert.report.section import Section
from modernbert.wording import counted, minutes_text

KINDS = {
    "single_label": "one label a text",
    "multi_label": "several labels a text",
    "regression": "a number for each text",
    "retrieval": "search",
    "tokens": "entities",
}
# Constant answers that are tried: so many of the most frequent classes, and sets of labels.
TRIED, TRIED_SETS = 5, 20
# Labels that a sentence names.
NAMED = 5
CORRELATIONS = ("spearman", "pearson")


def constant_answer(outcome: Outcome) -> tuple[str, float] | None:
    """Return the best answer that is the same for every text, and its score; None where there is none.

    Of one label a text it is one of the most frequent classes; of several, the labels that most often come
    together, or the most frequent ones.
    """
    labels, kind = outcome.labels, outcome.record.task.kind
    if labels is None or kind in ("regression", "tokens"):
        return None
    names = outcome.record.task.labels
    tried = _classes(labels) if kind == "single_label" else _sets(labels)
    value, always = max(((score_of_constant(outcome, a), a) for a in tried), key=lambda one: one[0])
    chosen = [int(always[0])] if kind == "single_label" else np.flatnonzero(always[0]).tolist()
    named = ", ".join(names[c] for c in chosen) or "none"
    return (named if len(chosen) <= NAMED else f"the {len(chosen)} most frequent labels"), float(value)


def _classes(labels_N: np.ndarray) -> list[np.ndarray]:
    often = np.argsort(-np.bincount(labels_N), kind="stable")[:TRIED]
    return [np.full_like(labels_N, c) for c in often]


def _sets(labels_NC: np.ndarray) -> list[np.ndarray]:
    sets, counts = np.unique(labels_NC, axis=0, return_counts=True)
    tried = [np.broadcast_to(sets[counts.argmax()], labels_NC.shape)]
    often = np.argsort(-labels_NC.sum(axis=0), kind="stable")
    for last in evenly(len(often), TRIED_SETS).tolist():
        always_NC = np.zeros_like(labels_NC)
        always_NC[:, often[: last + 1]] = 1
        tried.append(always_NC)
    return tried


def run_summary(record: RunRecord, outcomes: Sequence[Outcome]) -> Section:
    """Return the verdict on a run and its facts."""
    points = [_score(outcomes[0]), *_beside(outcomes), *_selection(record, outcomes[0])]
    if record.kind == "finetune":
        points.append(_trainings(record))
    points += record.notes
    rows = tuple((name, text) for name, text in _facts(record) if text)
    return Section("Summary", points=tuple(points), tables=(Table("", ("", ""), rows),))


def _score(outcome: Outcome) -> str:
    score = outcome.result.scores[0]
    interval = interval_text(score.low, score.high)
    between = "no interval can be estimated" if score.low is None else f"95 % interval {interval}"
    rows = "queries" if outcome.labels is None else "rows"
    value = f"{outcome.metric} {score.value:.4f} on {outcome.split}"
    return f"{outcome.model}: {value} ({score.n:,} {rows}, {between})."


def _beside(outcomes: Sequence[Outcome]) -> list[str]:
    """Say what comes out without the model: the same answer throughout, or another way of searching."""
    first, score = outcomes[0], outcomes[0].result.main
    if found := constant_answer(first):
        answer, value = found
        said = f"The same answer for every text, at best “{answer}”, scores {value:.4f}."
        return [f"{said} {_against(score, value)}"]
    if first.record.task.kind == "tokens":
        return []
    if first.metric in CORRELATIONS:
        return [f"The same answer for every text has no correlation (0). {_against(score, 0.0)}"]
    if means := first.result.mean:
        value = means[0].value
        return [f"The training labels' mean for every text has {means[0].metric} {value:.4f}."]
    return [
        f"{o.model} has {o.value:.4f} on the same queries: "
        + ("more than the model." if o.value > first.value else "no more than the model.")
        for o in outcomes[1:]
    ]


def _against(score: Score, value: float) -> str:
    if value >= score.value:
        return "The model is not better than that."
    if score.low is not None and score.low > value:
        return "The model's whole interval lies above that."
    return "The model is not shown to be better: its interval reaches that."


def chosen_on(record: RunRecord) -> str:
    """Say which checkpoint of a training was kept, and on which rows it was chosen."""
    training = record.training
    if not isinstance(record, FinetuneRecord) or not isinstance(training, Training):
        return ""
    split = record.results[0].split
    if record.config.evaluation.keep != "best":
        return f"the last step, {training.steps}; none was chosen"
    tuned = tuned_thresholds(record)
    more = f"; {tuned} {'was' if tuned == 'the threshold' else 'were'} tuned there too" if tuned else ""
    return f"step {training.best_step} of {training.steps}, the best evaluation on {split}{more}"


def _selection(record: RunRecord, outcome: Outcome) -> list[str]:
    """Warn of a score on the rows that the checkpoint was chosen on."""
    training = outcome.training
    if training is None or training.config.evaluation.keep != "best":
        return []
    if training.chosen_on != record.data.splits[outcome.split].fingerprint:
        return []
    return [f"The checkpoint was chosen on these rows ({outcome.split}): the score is slightly optimistic."]


def _trainings(record: RunRecord) -> str:
    seeds = record.study.seeds if record.study else ()
    if len(seeds) > 1:
        named = ", ".join(map(str, seeds))
        return f"This is one of {len(seeds)} trainings (seeds {named}), which differ by chance."
    return "This is one training. Another seed would give another score."


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    task, model = record.task, record.model
    labels = labels_of(task.labels) if task.kind == "tokens" else task.labels
    classes = f", {counted(len(labels), 'label')}" if labels else ""
    rows = ", ".join(f"{split} {_size(part)}" for split, part in record.data.splits.items())
    start = "" if record.init == "plain" else f", starting from {record.init.found_in}"
    found = f" ({model.found_in})" if model.found_in else ""
    return [
        ("task", f"{task.name}: {KINDS[task.kind]}{classes}"),
        ("rows", rows),
        ("model", f"{model.name}{found}{_method(record)}{start}"),
        ("checkpoint", chosen_on(record)),
        ("seed", _seed(record)),
        ("hardware", hardware_of(record)),
        ("training", _effort(record)),
        ("made", f"{record.created}, mbert {record.versions.get('mbert')}"),
    ]


def _size(split: Split) -> str:
    documents = "" if split.documents is None else f" queries, {counted(split.documents, 'document')}"
    return split.shown_rows + documents


def _method(record: RunRecord) -> str:
    if isinstance(record, TrainingRecord) and record.config.model.random_weights:
        return ", from random weights"
    if not isinstance(record, FinetuneRecord):
        return ""
    return ", LoRA adapters trained" if record.config.lora.enabled else ", all weights trained"


def _seed(record: RunRecord) -> str:
    training = record.model.training if record.seed is None else None
    found = training.seed if training else record.seed
    return "" if found is None else str(found)


def hardware_of(record: RunRecord) -> str:
    """Return what a run was made on."""
    hardware, machine = record.hardware, record.machine
    parts = [str(hardware.get("gpu") or hardware.get("cpu", ""))]
    if not hardware.get("gpu") and "threads" in hardware:
        parts.append(f"{hardware['threads']} thread" + "s" * (hardware["threads"] != 1))
    if "processes" in hardware:
        parts.append(f"{hardware['processes']} processes")
    return ", ".join(filter(None, [*parts, machine.precision if machine else None]))


def _effort(record: RunRecord) -> str:
    training = record.training
    if record.kind != "finetune" or not isinstance(training, Training):
        return ""
    memory = max(training.peak_memory_mib.values())
    steps = counted(training.steps, "step")
    return f"{steps} in {minutes_text(training.minutes)}, peak memory {memory:,.0f} MiB"


def comparison_summary(
    tasks: Sequence[TaskComparison], outcomes: Mapping[str, Mapping[str, Outcome]]
) -> Section:
    """Return the verdicts on each task, and what the models were made with.

    Args:
        outcomes: for each task one run of each model, as far as runs can be had.
    """
    points = [point for task in tasks for point in _verdicts(task, outcomes[task.task])]
    rows = [row for task in tasks for row in _made(task, outcomes[task.task])]
    columns = ("task", "model", "seeds", "rows trained on", "checkpoint (first seed)", "hardware")
    filled = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    table = Table(
        "What was compared",
        tuple(columns[i] for i in filled),
        tuple(tuple(row[i] for i in filled) for row in rows),
    )
    return Section("Summary", points=tuple(points), tables=(table,))


def _verdicts(task: TaskComparison, outcomes: Mapping[str, Outcome]) -> list[str]:
    best = task.models[0]
    said = (
        f"{task.task} ({task.split}, n {task.n:,}): {best.model} has the best {task.metric}, {best.mean:.4f}."
    )
    known = next(iter(outcomes.values()), None)
    if known is not None and (found := constant_answer(known)):
        said += f" The same answer for every text, at best “{found[0]}”, scores {found[1]:.4f}."
    return [said, *(f"{task.task}: {contrast}." for contrast in task.contrasts)]


def _made(task: TaskComparison, outcomes: Mapping[str, Outcome]) -> list[tuple[str, ...]]:
    rows = []
    for model in task.models:
        outcome = outcomes.get(model.model)
        record = outcome.record if outcome else None
        trained = record.data.splits.get("train") if record else None
        made = (
            [trained.shown_rows if trained else "", chosen_on(record), hardware_of(record)]
            if record
            else [""] * 3
        )
        rows.append((task.task, model.model, ", ".join(model.by_seed), *made))
    return rows
