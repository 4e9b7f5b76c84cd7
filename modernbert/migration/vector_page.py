"""The HTML report of a migration between two models for vectors."""

from __future__ import annotations

from pathlib import Path

from modernbert.comparison.tables import Table
from modernbert.evaluation.shown import share_text
from modernbert.files import atomic_file
from modernbert.migration.cost import cost_table
from modernbert.migration.page import LONGEST_TEXT
from modernbert.migration.vector_rows import (
    RESULTS,
    SIMILARITIES,
    cut_off_lines,
    result_rows,
    similarity_rows,
)
from modernbert.migration.vectors import VectorMigration
from modernbert.report.section import Section
from modernbert.report.templates import render
from modernbert.version import __version__
from modernbert.without_paths import without_paths
from modernbert.wording import counted


def write_vector_page(found: VectorMigration, path: Path, *, texts: bool = True) -> None:
    """Write the report; `texts` says whether texts are shown, or their rows alone."""
    title = without_paths(f"{found.old.name} to {found.new.name}: {found.verdict.word}")
    page = str(render("page.html", title=title, sections=sections(found, texts=texts), version=__version__))
    with atomic_file(path) as file:
        file.write(page)


def sections(found: VectorMigration, *, texts: bool = True) -> list[Section]:
    """Return what the report is made of."""
    said = f"{found.compared}."
    return [
        Section(f"Verdict: {found.verdict.word}", said, points=found.verdict.reasons),
        Section("Results", tables=(_results(found),)),
        Section(
            f"{'Queries' if found.queries else 'Texts'} with the least overlap",
            tables=(_moved(found, texts=texts),),
        ),
        Section("Similarities", tables=(_similarities(found),)),
        Section("Cost", tables=(_cost(found),)),
        Section("Notes", points=without_paths(found.notes)),
    ]


def _results(found: VectorMigration) -> Table:
    return Table("", RESULTS, tuple(result_rows(found)), ("mean", "n"))


def _moved(found: VectorMigration, *, texts: bool) -> Table:
    columns = (
        "row",
        "overlap",
        *(("query" if found.queries else "text", "nearest to OLD", "nearest to NEW") if texts else ()),
    )
    rows = tuple(
        (
            str(m.row),
            share_text(m.overlap),
            *((t[:LONGEST_TEXT] for t in (m.text, m.old_nearest, m.new_nearest)) if texts else ()),
        )
        for m in found.moved
    )
    return Table("" if rows else "none", columns, rows, ("row", "overlap"))


def _similarities(found: VectorMigration) -> Table:
    shift = found.shift
    notes = [f"{counted(shift.pairs, 'pair')}; rank correlation {shift.rank_correlation:z.4f}"]
    notes += cut_off_lines(found)
    return Table("", SIMILARITIES, tuple(similarity_rows(found)), SIMILARITIES, notes=tuple(notes))


def _cost(found: VectorMigration) -> Table:
    models = (found.old, found.new)
    columns, rows = cost_table([model.name for model in models], models, found.speed)
    note = f"NEW alone reads {share_text(found.only_new)} of the texts to the end"
    return Table("", columns, without_paths(rows), columns[1:], notes=(note,))
