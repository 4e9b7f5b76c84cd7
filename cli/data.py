"""`mbert data check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modernbert.errors import BadOption

from . import complete, options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.data.check import DataReport
    from modernbert.label_errors import LabelErrors

app = typer.Typer(help="Look at data before training.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at data before training."""


@app.command("check")
@with_verbose
def check(
    target: Annotated[
        str, options.argument("TARGET", values.name, "Task, file, folder or Hub data set.", options.TASKS)
    ],
    model: Annotated[
        str | None,
        options.option(
            "--model -m",
            values.name,
            "Count tokens with this model's tokenizer, and truncated texts.",
            options.MODEL,
            offers=options.MODELS,
        ),
    ] = None,
    max_length: options.MaxLength = None,
    validation: options.Validation = None,
    test: options.Test = None,
    label_errors: Annotated[
        str | None,
        options.option(
            "--label-errors",
            values.name,
            "Look for wrong labels, by a cross-validation (finetune --folds), a run that did not see the "
            "file, or auto (TF-IDF).",
            options.DATA,
            offers=[complete.folds, complete.trained, complete.words("auto")],
            applies_to=options.LABELS_ALONE,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        options.output_file("--out -o", (".csv",), "CSV file of the likely label errors."),
    ] = None,
    overwrite: options.Overwrite = False,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    kind: options.Kind = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Check labels, empty rows, duplicates across splits and truncation, as every training does."""
    if out is not None and label_errors is None:
        raise BadOption("--out applies only with --label-errors")
    options.require_output(overwrite, "--out", out)
    if max_length is not None and model is None:
        raise BadOption("--max-length applies only with --model")
    check_model(model, runs_dir)
    check_columns(target, (*(text_col or ()), label_col))
    with watch(quiet=json):
        from modernbert.data.own import OwnData
        from modernbert.data_check import data_report
        from modernbert.runs import RunStore

        own = OwnData(
            path=target,
            validation=validation,
            test=test,
            text=tuple(text_col or ()),
            label=label_col,
            kind=kind,  # type: ignore[arg-type]
        )
        store = RunStore.at(runs_dir)
        report, notes = data_report(
            own, model=model, max_length=max_length or 0, data_dir=data_dir, store=store
        )
        errors = None
        if label_errors is not None:
            from modernbert.label_errors import find_label_errors, write_label_errors

            errors = find_label_errors(own, label_errors, store, data_dir=data_dir)
            if out is not None:
                write_label_errors(errors, out)
    if json:
        found = {"label_errors": errors.as_dict()} if errors else {}
        return output.print_json(report.as_dict() | {"notes": notes} | found)
    show_report(report, notes)
    if errors is not None:
        show_label_errors(errors, out)


# Likely label errors that are shown on the screen, and how much of a text.
SHOWN, LONGEST_TEXT = 10, 60


def show_label_errors(errors: LabelErrors, out: Path | None) -> None:
    """Print the likeliest label errors."""
    title = f"\n{len(errors.found):,} of {errors.rows:,} labels are likely wrong, by {errors.by}"
    rows = [
        (
            f"{one.row:,}",
            one.label,
            one.suggested,
            f"{one.probability:.4f}",
            values.shown(" | ".join(one.text), LONGEST_TEXT),
        )
        for one in errors.found[:SHOWN]
    ]
    if not rows:
        return output.print_line(title)
    columns = ("row", "label", "suggested", "probability of label", "text")
    output.print_table(title, columns, rows, right=("row", "probability of label"))
    if out is not None:
        output.print_line(f"all of them -> {out}")
    elif len(errors.found) > SHOWN:
        output.print_line(f"{len(errors.found) - SHOWN:,} more: write all to a file with -o labels.csv")


def show_report(report: DataReport, notes: list[str]) -> None:
    """Print a data report."""
    for note in notes:
        output.print_line(note)
    rows = []
    for split in report.splits:
        labels = ", ".join(f"{name} {value:g}" for name, value in list(split.labels.items())[:12])
        tokens = "/".join(str(split.tokens[key]) for key in ("p50", "p95", "max")) if split.tokens else ""
        cut = f"{split.truncated:.1%}" if split.truncated is not None else ""
        cuts = [cut] if report.max_length else []
        rows.append((split.split, f"{split.rows:,}", split.empty, tokens, *cuts, labels or "hidden"))
    truncated = [f"truncated at {report.max_length:,} tokens"] if report.max_length else []
    columns = ("split", "rows", "empty", "tokens p50/p95/max", *truncated, "labels")
    output.print_table(report.task, columns, rows, right=("rows", "empty"))
    for warning in report.warnings:
        output.print_warning(warning)
    if not report.warnings:
        output.print_line("no problems found")
