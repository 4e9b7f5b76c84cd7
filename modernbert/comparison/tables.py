"""A comparison as tables, and tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.comparison.comparability import shown
from modernbert.comparison.results import ONE_TRAINING, Comparison, Contrast, ModelScores, TaskComparison
from modernbert.evaluation.shown import interval_text
from modernbert.wording import counted


@dataclass(frozen=True)
class Table:
    """Text in rows and columns, with what must be read beside it.

    Attributes:
        right: columns whose cells are aligned right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


MODEL_COLUMNS = (
    "95 % interval",
    "sd",
    "worst",
    "seeds",
    "parameters",
    "minutes",
    "examples/s",
    "tokens/s",
    "peak MiB",
    "truncated",
)
CONTRAST_COLUMNS = (
    "model",
    "against",
    "difference",
    "95 % interval",
    "detectable",
    "p",
    "Holm",
    "McNemar",
    "equivalence",
    "verdict",
)
CALIBRATION = (
    "ECE: expected calibration error over 10 bins of equal width (Naeini et al. 2015); biased "
    "upwards on few examples, which the lower end of its interval corrects",
    "Brier: mean squared distance of the probabilities from the truth, over all classes (0 to 2, Brier 1950)",
)
DETECTABLE = (
    "detectable: the smallest true difference that these examples and seeds would show with 80 % power"
)


def comparison_tables(comparison: Comparison, *, seeds: bool = False) -> list[Table]:
    """Return all that a comparison says: models, differences and published scores, task by task.

    Args:
        seeds: show every seed's score.
    """
    tables = [table for task in comparison.tasks for table in task_tables(task, seeds=seeds)]
    if comparison.averages:
        tables += average_tables(comparison)
    return tables


def average_tables(comparison: Comparison) -> list[Table]:
    """Return the models' means over tasks, and their differences."""
    rows = tuple((a.model, f"{a.mean:.4f}", interval_text(a.low, a.high)) for a in comparison.averages)
    title = f"mean over the tasks that all have ({', '.join(comparison.averaged)})"
    tables = [Table(title, ("model", "mean", "95 % interval"), rows, ("mean",))]
    if comparison.average_contrasts:
        tables.append(_contrasts_table("mean over tasks", comparison.average_contrasts))
    return tables


def task_tables(task: TaskComparison, *, seeds: bool = False) -> list[Table]:
    """Return the tables of one task."""
    tables = [_models_table(task, seeds=seeds)]
    if task.contrasts:
        tables.append(_contrasts_table(task.task, task.contrasts))
    if any(model.calibration for model in task.models):
        tables.append(_calibration_table(task))
    if any(model.published for model in task.models):
        tables.append(_published_table(task))
    return tables


def _contrasts_table(of: str, contrasts: Sequence[Contrast]) -> Table:
    rows = [_contrast_row(contrast) for contrast in contrasts]
    filled = [i for i in range(len(CONTRAST_COLUMNS)) if any(row[i] for row in rows)]
    return Table(
        f"{of}: differences",
        tuple(CONTRAST_COLUMNS[i] for i in filled),
        tuple(tuple(row[i] for i in filled) for row in rows),
        ("difference", "detectable", "p", "Holm", "McNemar", "equivalence"),
        _contrast_notes(contrasts),
    )


def _calibration_table(task: TaskComparison) -> Table:
    found = [
        row
        for model in task.models
        for row in ((model.model, model.calibration), (f"{model.model}, with temperature", model.calibrated))
        if row[1] and not (row[1] is model.calibrated and model.calibrated == model.calibration)
    ]
    rows = tuple(
        (name, *(text for s in scores for text in (f"{s.value:.4f}", interval_text(s.low, s.high))))
        for name, scores in found
    )
    columns = ("model", "ECE", "95 % interval of ECE", "Brier", "95 % interval of Brier")
    return Table(f"{task.task}: calibration", columns, rows, ("ECE", "Brier"), CALIBRATION)


def _models_table(task: TaskComparison, *, seeds: bool) -> Table:
    columns = ("model", task.metric, *MODEL_COLUMNS, "front", *(["each seed"] if seeds else []))
    rows = [_model_row(model, seeds=seeds) for model in task.models]
    filled = [i for i in range(len(columns)) if i < 2 or any(row[i] for row in rows)]
    once = ", ".join(model.model for model in task.models if model.is_one_seed)
    notes = [f"one seed of {once}: how much trainings differ is not in these intervals"] if once else []
    if task.clusters:
        clusters = counted(task.clusters, "cluster")
        notes.append(f"intervals are over {clusters} of examples that belong together")
    if parts := "; ".join(f"{model.model}: {model.rows}" for model in task.models if model.rows):
        notes.append(f"rows trained on, where not all: {parts}")
    if any(model.on_front for model in task.models):
        notes.append("front: no other model is better and as fast; speeds within a tenth count as equal")
    notes += [
        f"* the seeds of {m.model} were not made alike: {shown(m.differing)}"
        for m in task.models
        if m.differing
    ]
    notes += task.notes
    return Table(
        f"{task.task} ({task.split}, n {task.n:,})",
        tuple(columns[i] for i in filled),
        tuple(tuple(row[i] for i in filled) for row in rows),
        (task.metric, *MODEL_COLUMNS),
        tuple(notes),
    )


def _model_row(m: ModelScores, *, seeds: bool) -> list[str]:
    cost = m.cost
    row = [
        m.model + (" *" if m.differing else ""),
        f"{m.mean:.4f}",
        interval_text(m.low, m.high),
        _number(m.deviation, 4),
        _number(m.worst, 4),
        str(len(m.by_seed)),
        _number(cost.parameters, 0),
        _number(cost.minutes, 1 if (cost.minutes or 0) >= 1 else 2),
        _number(cost.examples_per_second, 0),
        _number(cost.tokens_per_second, 0),
        _number(cost.memory_mib, 0),
        "" if cost.truncated is None else f"{cost.truncated:.1%}",
        "yes" if m.on_front else "",
    ]
    every = "  ".join(f"{seed}={value:.4f}" for seed, value in m.by_seed.items())
    return [*row, every] if seeds else row


def _contrast_row(contrast: Contrast) -> tuple[str, ...]:
    d = contrast.difference
    return (
        contrast.model,
        contrast.baseline + (" *" if contrast.differing else ""),
        f"{d.value:+.4f}",
        interval_text(d.low, d.high, "+.4f"),
        f"{d.detectable:.4f}",
        _probability(d.p),
        _probability(contrast.p_corrected),
        _probability(contrast.mcnemar),
        _probability(contrast.equivalent_corrected),
        contrast.verdict,
    )


def _contrast_notes(contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    notes = [DETECTABLE]
    if any(contrast.verdict == ONE_TRAINING for contrast in contrasts):
        notes.append(f"{ONE_TRAINING}, which decide nothing; more trainings do: --seeds 3")
    for contrast in contrasts:
        if contrast.differing:
            differs = shown(contrast.differing)
            notes.append(f"* {contrast.model} and {contrast.baseline} were not made alike: {differs}")
    return tuple(notes)


def _published_table(task: TaskComparison) -> Table:
    rows = tuple(
        (m.model, f"{p.score:.4f}", p.metric, p.differs, p.source, p.note)
        for m in task.models
        for p in m.published
    )
    columns = ("model", "published", "metric", "differs in", "source", "how")
    notes = ("what others report; never subtracted from what was measured here",)
    return Table(f"{task.task}: published", columns, rows, ("published",), notes)


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:,.{places}f}"


def _probability(p: float | None) -> str:
    """A p-value may be tiny, and is never 0, even where it is too small for a float."""
    if p == 0:
        return "< 1e-300"
    return f"{p:.1e}" if p is not None and 0 < p < 5e-5 else _number(p, 4)


def to_markdown(tables: Sequence[Table]) -> str:
    """Return the tables as Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    rule = ["---:" if name in table.right else "---" for name in table.columns]
    lines = [f"### {table.title}", "", line(table.columns), line(rule), *map(line, table.rows), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in table.notes)])


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def to_latex(tables: Sequence[Table]) -> str:
    """Return the tables as LaTeX (`booktabs`)."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    def escaped(text: str) -> str:
        return "".join(LATEX.get(character, character) for character in text)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(escaped, cells)) + r" \\"

    sides = "".join("r" if name in table.right else "l" for name in table.columns)
    caption = escaped(". ".join([table.title, *table.notes]))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            line(table.columns),
            r"\midrule",
            *map(line, table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def to_csv(comparison: Comparison) -> str:
    """Return one row for each task, model and seed: what any other tool can compute on."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["task", "split", "metric", "n", "model", "seed", "score", "run", "rows trained on"])
    for task in comparison.tasks:
        for m in task.models:
            for (seed, value), run in zip(m.by_seed.items(), m.runs, strict=True):
                what = [task.task, task.split, task.metric, task.n, m.model]
                writer.writerow([*what, seed, value, run, m.rows or "all"])
    return out.getvalue()


WRITERS = {".md": to_markdown, ".tex": to_latex}


def write_tables(comparison: Comparison, suffix: str, *, seeds: bool = False) -> str:
    """Return a comparison in the format of a file's suffix: .md, .tex or .csv."""
    if suffix == ".csv":
        return to_csv(comparison)
    return WRITERS[suffix](comparison_tables(comparison, seeds=seeds))
