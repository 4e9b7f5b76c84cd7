"""`mbert migrate`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.evaluation.shown import SHARE, interval_text, share_text
from modernbert.ranges import Range
from modernbert.wording import counted, one_line

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.migration.migrate import Migration, MigrationRequest
    from modernbert.runs import RunStore

VERDICT, VECTORS = "Verdict", "Models for vectors"
# Options of one kind of model: they do nothing for the other.
OF_CLASSIFIERS = ("labels_from", "to_label", "label_col", "margin", "fail_under")
OF_VECTORS = ("fail_under_overlap", "cut_off", "queries")
# Of a text in a table.
LONGEST_TEXT = 60
# Flips on the screen; JSON and the report have more.
SHOWN = 8


@with_verbose
def migrate(
    context: typer.Context,
    old: Annotated[
        str,
        options.argument(
            "OLD", values.name, "The model in use: a run, a folder or a Hub id.", options.MODELS
        ),
    ],
    new: Annotated[
        str, options.argument("NEW", values.name, "The model that may replace it.", options.MODELS)
    ],
    on: Annotated[
        Path | None,
        options.option(
            "--on",
            values.source,
            "Texts: CSV, TSV, JSONL, Parquet, or .txt and .log with one a line.",
            options.DATA,
        ),
    ] = None,
    labels_from: Annotated[
        Path | None,
        options.option(
            "--labels",
            values.source,
            "Table of row and label: what --to-label wrote, filled in.",
            options.DATA,
        ),
    ] = None,
    to_label: Annotated[
        Path | None,
        options.output_file("--to-label", (".csv",), "CSV file to write: the texts to label, in order."),
    ] = None,
    limit: Annotated[
        int,
        options.option(
            "--limit",
            values.whole(Range(0, 100_000_000)),
            "Number of texts to compare at most, drawn at random; 0 for all.",
            options.DATA,
        ),
    ] = 10_000,
    margin: Annotated[
        float,
        options.option(
            "--margin", values.number(Range(0, 1)), "Fall of the accuracy that does not matter.", VERDICT
        ),
    ] = 0.01,
    fail_under: Annotated[
        float | None,
        options.option(
            "--fail-under-agreement",
            values.number(Range(0, 1)),
            "Exit with code 1 where the models agree on a smaller share of the texts.",
            VERDICT,
        ),
    ] = None,
    fail_under_overlap: Annotated[
        float | None,
        options.option(
            "--fail-under-overlap",
            values.number(Range(0, 1)),
            "Exit with code 1 where a smaller share of the first 10 results stays.",
            VECTORS,
        ),
    ] = None,
    cut_off: Annotated[
        float | None,
        options.option(
            "--cut-off",
            values.number(Range(0, 1_000_000)),
            "Similarity above which OLD's pairs count as alike; it is translated for NEW.",
            VECTORS,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        options.option(
            "--queries",
            values.source,
            "Queries that search the texts (default: every text is a query among the others).",
            VECTORS,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        options.output_file("--report", (".html", ".htm"), "HTML report to write."),
    ] = None,
    overwrite: options.Overwrite = False,
    texts: options.Texts = True,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Tell whether one model can replace another on your texts: what changes, what it risks, what it costs.

    Both are classifiers, or both give vectors.
    """
    from modernbert.errors import BadOption

    if on is None:
        raise BadOption("Missing option '--on'", fix="Give the texts: --on FILE.")
    options.require_output(overwrite, "--report or --to-label", report, to_label)
    if report is None:
        options.refuse(context, ("texts",), "applies only with --report")
    for name in (old, new):
        check_model(name, runs_dir)
    check_columns(on, (*(text_col or ()), label_col))
    with watch(quiet=json):
        from modernbert.migration.kinds import are_for_vectors
        from modernbert.migration.migrate import MigrationRequest
        from modernbert.runs import RunStore

        store = RunStore.at(runs_dir)
        for_vectors = are_for_vectors(old, new, store, data_dir=data_dir)
        only = "models for vectors" if not for_vectors else "classifiers"
        unused = OF_CLASSIFIERS if for_vectors else OF_VECTORS
        options.refuse(context, unused, f"applies only to {only}, and these are none")
        request = MigrationRequest(
            old=old,
            new=new,
            on=on,
            text=tuple(text_col or ()),
            label=label_col,
            labels_from=labels_from,
            limit=limit,
            margin=margin,
            device=device,
            precision=precision,
            data_dir=data_dir,
        )
        if for_vectors:
            found, write_page, show = _vectors(request, store, cut_off, queries)
        else:
            found, write_page, show = _classifiers(request, store, to_label)
        if report is not None:
            write_page(found, report, texts=texts)
    show(found, as_json=json)
    to_tell = [] if for_vectors else [(to_label, counted(len(found.label_first), "text") + " to label")]
    for path, what in (*to_tell, (report, "report")):
        if path is not None and not json:
            output.print_line(f"{what} -> {path}", error=True)
    if not for_vectors and not json and found.verdict.word == "not shown" and found.label_first:
        _show_next(to_label, shlex.join(["mbert", "migrate", old, new, "--on", str(on)]))
    _fail(found, fail_under, fail_under_overlap)


def _show_next(to_label: Path | None, line: str) -> None:
    """Say how labels decide what is not shown."""
    if to_label is None:
        return output.print_line(f"Next: {line} --to-label flips.csv")
    output.print_line(f"Next: fill in the column 'label' from the top, then {line} --labels {to_label}")


def _classifiers(request: MigrationRequest, store: RunStore, to_label: Path | None) -> tuple[Any, ...]:
    from modernbert.migration.migrate import migrate as compare
    from modernbert.migration.page import write_page

    return compare(request, store, to_label), write_page, show_migration


def _vectors(
    request: MigrationRequest, store: RunStore, cut_off: float | None, queries: Path | None
) -> tuple[Any, ...]:
    from modernbert.migration.vector_page import write_vector_page
    from modernbert.migration.vectors import migrate_vectors

    from .migrate_vectors import show_vector_migration

    found = migrate_vectors(request, store, cut_off=cut_off, queries=queries)
    return found, write_vector_page, show_vector_migration


def _fail(found: Any, agreement: float | None, overlap: float | None) -> None:
    """Exit with code 1 where too little stays: for CI."""
    said = ""
    if agreement is not None and (got := found.agreement.agreement) < agreement:
        said = f"the models agree on {share_text(got)} of the texts, less than {share_text(agreement)}"
    if overlap is not None and (got := found.overlap.value) < overlap:
        said = f"{share_text(got)} of the first results stay, less than {share_text(overlap)}"
    if said:
        output.print_warning(said)
        raise typer.Exit(1)


def show_migration(found: Migration, *, as_json: bool) -> None:
    """Print the verdict, then what it rests on."""
    if as_json:
        return output.print_json(found.as_dict())
    output.print_line(f"{found.old.name} -> {found.new.name}: {found.verdict.word}", style="bold")
    if found.verdict.threshold is not None:
        output.print_line(f"NEW's threshold: {found.verdict.threshold:.4f}")
    for reason in found.verdict.reasons:
        output.print_line(f"- {reason}")
    _show_agreement(found)
    if found.directions:
        _show_flips(found)
    if found.thresholds:
        _show_thresholds(found)
    _show_cost(found)
    for note in found.notes:
        output.print_note(note)


def _show_agreement(found: Migration) -> None:
    rows = [
        (g.by, g.name, f"{g.n:,}", share_text(g.agreement), interval_text(g.low, g.high, SHARE))
        for g in found.groups
    ]
    columns = ("by", "texts", "n", "agreement", "95 % interval")
    output.print_table(f"\nagreement on {found.data}", columns, rows, right=("n", "agreement"))


def _show_flips(found: Migration) -> None:
    flips = [(d.old, d.new, f"{d.n:,}", share_text(d.share)) for d in found.directions[:SHOWN]]
    output.print_table("\nflips", ("OLD", "NEW", "n", "share"), flips, right=("n", "share"))
    columns = ("row", "OLD", "NEW", *(["label"] if found.labelled else []), "text")
    output.print_table("\nflips on which both are surest", columns, _surest(found), right=("row",))


def _show_thresholds(found: Migration) -> None:
    cuts = [
        (t.keeps, f"{t.threshold:.4f}", share_text(t.positive_rate), share_text(t.agreement))
        for t in found.thresholds
    ]
    columns = ("keeps", "threshold", "positive rate", "agreement")
    given = f"OLD gives '{found.positive}' to {share_text(found.old.positive_rate or 0)} of the texts"
    output.print_table(f"\nthresholds of NEW ({given})", columns, cuts, right=columns[1:])


def _surest(found: Migration) -> Iterator[tuple[str, ...]]:
    for flip in found.flips[:SHOWN]:
        text = one_line(" \u2016 ".join(flip.text))
        yield (
            str(flip.row),
            f"{flip.old} ({flip.old_confidence:.2f})",
            f"{flip.new} ({flip.new_confidence:.2f})",
            *([flip.label or ""] if found.labelled else []),
            text[:LONGEST_TEXT] + ("..." if len(text) > LONGEST_TEXT else ""),
        )


def _show_cost(found: Migration) -> None:
    from modernbert.migration.cost import cost_table

    columns, rows = cost_table(("OLD", "NEW"), (found.old, found.new), found.speed)
    title = f"\ncost, {counted(found.speed[0].threads, 'thread')}: one text alone, and many at once"
    output.print_table(title, columns, rows, right=columns[1:])
