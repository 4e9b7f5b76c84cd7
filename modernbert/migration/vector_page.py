"""The HTML report of a migration between two models for vectors."""

from __future__ import annotations

from pathlib import Path

from modernbert.comparison.tables import Table
from modernbert.evaluation.shown import interval_text
from modernbert.files import atomic_file
from modernbert.migration.page import LONGEST_TEXT
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
    said = f"{counted(found.texts, 'text')} of {found.data}; each is a query among all others."
    return [
        Section(f"Verdict: {found.verdict.word}", said, points=found.verdict.reasons),
        Section("Results", tables=(_results(found),)),
        Section("Texts with the least overlap", tables=(_moved(found, texts=texts),)),
        Section("Similarities", tables=(_similarities(found),)),
        Section("Cost", tables=(_cost(found),)),
        Section("Notes", points=without_paths(found.notes)),
    ]


def _results(found: VectorMigration) -> Table:
    means = (
        ("first 10 results in common", found.overlap),
        ("rank-biased overlap of the first 50 (p = 0.9)", found.order),
        ("same nearest text", found.first),
    )
    rows = tuple((name, f"{m.value:.4f}", interval_text(m.low, m.high), f"{m.n:,}") for name, m in means)
    return Table("", ("measure", "mean", "95 % interval", "n"), rows, ("mean", "n"))


def _moved(found: VectorMigration, *, texts: bool) -> Table:
    columns = ("row", "overlap", *(("text", "nearest to OLD", "nearest to NEW") if texts else ()))
    rows = tuple(
        (
            str(m.row),
            f"{m.overlap:.1f}",
            *((t[:LONGEST_TEXT] for t in (m.text, m.old_nearest, m.new_nearest)) if texts else ()),
        )
        for m in found.moved
    )
    return Table("" if rows else "none", columns, rows, ("row", "overlap"))


def _similarities(found: VectorMigration) -> Table:
    shift, cut = found.shift, found.cut_off
    rows = [(f"{share:.1%}", f"{old:.4f}", f"{new:.4f}") for share, old, new in shift.quantiles]
    rows.append(("mean", f"{shift.mean[0]:.4f}", f"{shift.mean[1]:.4f}"))
    notes = [f"{counted(shift.pairs, 'pair')}; rank correlation {shift.rank_correlation:.4f}"]
    if cut is not None and cut.new is not None:
        notes.append(f"{cut.old:g} of OLD is {cut.new:.4f} of NEW: {cut.share:.3%} of the pairs are above")
    columns = ("of pairs below", "OLD", "NEW")
    return Table("", columns, tuple(rows), columns, notes=tuple(notes))


def _cost(found: VectorMigration) -> Table:
    columns = (
        "model", "p50 ms", "p95 ms", "p99 ms", "texts/s", "tokens/s", "MB", "size", "reads tokens",
        "truncated",
    )  # fmt: skip
    rows = tuple(
        (
            model.name,
            *(f"{wait:.1f}" for wait in (speed.p50_ms, speed.p95_ms, speed.p99_ms)),
            f"{speed.texts_per_second:,.1f}",
            f"{speed.tokens_per_second:,.0f}",
            f"{model.megabytes:,.0f}",
            f"{model.size:,}",
            f"{model.max_length:,}",
            f"{model.truncated:.2%}",
        )
        for model, speed in zip((found.old, found.new), found.speed, strict=True)
    )
    note = f"NEW alone reads {found.only_new:.2%} of the texts to the end"
    return Table("", columns, without_paths(rows), columns[1:], notes=(note,))
