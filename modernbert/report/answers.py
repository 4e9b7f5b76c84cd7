"""What a report shows of answers to labelled tasks: by class, by confidence, against the truth.

Shape suffixes: N examples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from sklearn import metrics as sk

from modernbert.comparison.analysis import answers_of, confusion
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.tables import Table
from modernbert.evaluation.calibration import BINS, Calibration, calibration
from modernbert.records.training import Training
from modernbert.report import plots
from modernbert.report.curves import label_curves, precision_recall
from modernbert.report.plots import Points, Styles
from modernbert.report.section import Section
from modernbert.report.templates import render

# Classes in a table, and in a matrix: larger ones cannot be read.
MOST_CLASSES = 200
MOST_CELLS = 20
# Confusions named where there is no matrix.
MOST_CONFUSED = 25
NUMBERS = ("precision", "recall", "F1", "support")


def answer_sections(outcomes: Sequence[Outcome], styles: Styles) -> list[Section]:
    """Return what can be shown of these models' answers; one run of each."""
    labelled = [o for o in outcomes if o.labels is not None]
    single = [o for o in labelled if o.record.task.kind == "single_label"]
    several = [o for o in labelled if o.record.task.kind == "multi_label"]
    numbers = [o for o in labelled if o.record.task.kind == "regression"]
    words = [o for o in labelled if o.record.task.kind == "tokens"]
    sections = []
    if single:
        sections.append(Section("By class", tables=tuple(map(_by_class, single))))
        if len(single[0].record.task.labels) == 2:
            sections.append(precision_recall(single, styles))
        sections += _calibration(single, styles)
        sections.append(_confusion(single))
    if several:
        text = "A label is given where its probability is greater than its threshold."
        sections.append(Section("By label", text, tables=tuple(map(_by_label, several))))
        sections += label_curves(several, styles)
    if words:
        text = "An entity is right where its bounds and its label are. Support counts the true ones."
        sections.append(Section("By label", text, tables=tuple(map(_by_entity, words))))
    return sections + [_numbers(o, styles) for o in numbers]


def _by_class(outcome: Outcome) -> Table:
    names = outcome.record.task.labels
    figures = sk.precision_recall_fscore_support(
        outcome.labels, outcome.predictions, labels=range(len(names)), average=None, zero_division=0.0
    )
    rows = [
        (name, f"{p:.4f}", f"{r:.4f}", f"{f:.4f}", f"{n:,}")
        for name, p, r, f, n in zip(names, *figures, strict=True)
    ]
    notes: tuple[str, ...] = (
        "support: rows that have the class; precision of a class that is never answered counts as 0",
    )
    if len(rows) > MOST_CLASSES:
        often = np.argsort(-figures[3], kind="stable")[:MOST_CLASSES]
        rows = [rows[i] for i in often.tolist()]
        notes = (*notes, f"the {MOST_CLASSES} most frequent of {len(names):,} classes")
    return Table(f"{outcome.model}, {outcome.split}", ("class", *NUMBERS), tuple(rows), NUMBERS, notes)


def _by_entity(outcome: Outcome) -> Table:
    rows = tuple(
        (
            label.label,
            *(f"{number:.4f}" for number in (label.precision, label.recall, label.f1)),
            f"{label.n:,}",
        )
        for label in outcome.result.labels
    )
    return Table(f"{outcome.model}, {outcome.split}", ("label", *NUMBERS), rows, NUMBERS)


def _by_label(outcome: Outcome) -> Table:
    """Show the figures that the run itself keeps."""
    numbers = ("threshold", *NUMBERS, "average precision")
    rows = tuple(
        (
            label.label,
            *(
                f"{number:.4f}"
                for number in (label.threshold or 0.0, label.precision, label.recall, label.f1)
            ),
            f"{label.n:,}",
            "none" if label.average_precision is None else f"{label.average_precision:.4f}",
        )
        for label in outcome.result.labels
    )
    notes = ("support: rows that have the label; average precision: over all thresholds",)
    return Table(f"{outcome.model}, {outcome.split}", ("label", *numbers), rows, numbers, notes)


def _calibration(outcomes: Sequence[Outcome], styles: Styles) -> list[Section]:
    known = {o.model: found for o in outcomes if (found := answers_of(o)) is not None}
    # Of the more probable class, whatever threshold decides on the answer.
    sure = {
        name: calibration(found.confidence, found.shares.argmax(axis=1) == found.labels)
        for name, found in known.items()
    }
    if not sure:
        return []
    text = "Is a model right as often as it says? A calibrated model lies on the diagonal."
    tables = tuple(_bins(name, found) for name, found in sure.items())
    return [Section("Calibration", text, plots=(plots.reliability(sure, styles),), tables=tables)]


def _bins(name: str, found: Calibration) -> Table:
    numbers = ("rows", "mean confidence", "share right")
    rows = tuple(
        (_range(c), f"{n:,}", f"{c:.4f}", f"{a:.4f}")
        for c, a, n in zip(found.confidence, found.accuracy, found.counts, strict=True)
    )
    title = f"{name}: expected calibration error {found.error:.4f}"
    return Table(title, ("confidence", *numbers), rows, numbers, ("empty bins are left out",))


def _range(confidence: float) -> str:
    low = min(int(confidence * BINS), BINS - 1) / BINS
    return f"{low:.1f} to {low + 1 / BINS:.1f}"


def _confusion(outcomes: Sequence[Outcome]) -> Section:
    labels = outcomes[0].record.task.labels
    if len(labels) > MOST_CELLS:
        return Section("Confusion", "The most frequent mistakes.", tables=tuple(map(_confused, outcomes)))
    text = "Rows are the truth, columns the answers. A cell is the darker, the larger its share of the row."
    return Section("Confusion", text, blocks=tuple(_matrix(o, labels) for o in outcomes))


def _matrix(outcome: Outcome, labels: Sequence[str]) -> Markup:
    counts_CC = confusion(outcome)
    share_CC = counts_CC / np.maximum(1, counts_CC.sum(axis=1, keepdims=True))
    rows = [
        (label, list(zip(counts.tolist(), shares.round(2).tolist(), strict=True)))
        for label, counts, shares in zip(labels, counts_CC, share_CC, strict=True)
    ]
    return render("confusion.html", title=f"{outcome.model}, {outcome.split}", labels=labels, rows=rows)


def _confused(outcome: Outcome) -> Table:
    names, counts_CC = outcome.record.task.labels, confusion(outcome)
    np.fill_diagonal(counts_CC, 0)
    places = np.argsort(-counts_CC, axis=None, kind="stable")[:MOST_CONFUSED]
    found = [(*divmod(int(i), len(names)), int(counts_CC.flat[i])) for i in places]
    rows = tuple((names[truth], names[answer], f"{n:,}") for truth, answer, n in found if n)
    return Table(f"{outcome.model}, {outcome.split}", ("truth", "answer", "rows"), rows, ("rows",))


def _numbers(outcome: Outcome, styles: Styles) -> Section:
    """Draw predicted against true numbers, and residuals against predicted ones."""
    assert outcome.labels is not None
    truth_N, found_N, style = outcome.labels, outcome.predictions, styles[outcome.model]
    residual_N = found_N - truth_N
    drawn = (
        plots.scatter(
            "Predicted against true",
            np.stack([truth_N, found_N], 1),
            ("true", "predicted"),
            "diagonal",
            style,
        ),
        plots.scatter(
            "Residuals", np.stack([found_N, residual_N], 1), ("predicted", "predicted − true"), "zero", style
        ),
    )
    half, most, largest = np.quantile(np.abs(residual_N), (0.5, 0.9, 1))
    text = (
        f"{outcome.model}: residuals have mean {residual_N.mean():+.4g}. Half are at most {half:.4g} from "
        f"the truth, 90 % at most {most:.4g}, and the largest {largest:.4g}."
    )
    if len(truth_N) > plots.MOST_DOTS:
        text += f" {plots.MOST_DOTS:,} of {len(truth_N):,} rows are drawn."
    return Section("Predicted and true", text, plots=drawn)


def history_of(outcome: Outcome) -> Points:
    """Return step and main metric of every evaluation during training; empty where there was none."""
    metric, training = outcome.metric, outcome.record.training
    history = training.history if isinstance(training, Training) else ()
    return [(entry.step, entry.metrics[metric]) for entry in history if metric in entry.metrics]


def learning_sections(outcomes: Mapping[str, Outcome], styles: Styles, losses: Points = ()) -> list[Section]:
    """Return the learning curves of what was trained, and the training loss."""
    lines = {name: points for name, o in outcomes.items() if (points := history_of(o))}
    drawn = []
    if lines:
        metric = next(iter(outcomes.values())).metric
        drawn.append(
            plots.curves("Score during training", lines, "optimiser step", f"{metric} (validation)", styles)
        )
    if len(losses) > 1:
        name = next(iter(outcomes))
        drawn.append(plots.curves("Training loss", {name: losses}, "optimiser step", "loss", styles))
    text = "Step 0 is the model before this training. " if lines else ""
    seeds = ", ".join(f"{o.model}: seed {o.seed}" for name, o in outcomes.items() if name in lines)
    return (
        [Section("Learning curves", text + (f"{seeds}." if seeds else ""), plots=tuple(drawn))]
        if drawn
        else []
    )
