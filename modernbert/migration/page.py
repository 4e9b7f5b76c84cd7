"""The HTML report of a migration."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from modernbert.comparison.tables import Table
from modernbert.evaluation.shown import SHARE, interval_text, share_text
from modernbert.files import atomic_file
from modernbert.migration.agreement import CONFIDENCE, TOKENS
from modernbert.migration.cost import cost_table
from modernbert.migration.migrate import Migration
from modernbert.report.plots import shares, styles_of
from modernbert.report.section import Section
from modernbert.report.templates import render
from modernbert.version import __version__
from modernbert.without_paths import without_paths
from modernbert.wording import counted

LONGEST_TEXT = 600


def write_page(found: Migration, path: Path, *, texts: bool = True) -> None:
    """Write the report; `texts` says whether flips are shown with their text, or by row alone."""
    title = without_paths(f"{found.old.name} to {found.new.name}: {found.verdict.word}")
    page = str(render("page.html", title=title, sections=sections(found, texts=texts), version=__version__))
    with atomic_file(path) as file:
        file.write(page)


def sections(found: Migration, *, texts: bool = True) -> list[Section]:
    """Return what the report is made of."""
    threshold = found.verdict.threshold
    said = f"{counted(found.texts, 'text')} of {found.data}, {found.labelled:,} with a label. "
    if threshold is not None:
        said += f"With NEW's threshold at {threshold:.4f}. "
    made = [
        Section(f"Verdict: {found.verdict.word}", said, points=found.verdict.reasons),
        Section("Agreement", plots=_pictures(found), tables=(_agreement(found), _directions(found))),
        Section("Flips on which both models are surest", tables=(_flips(found, texts=texts),)),
    ]
    if found.thresholds:
        made.append(Section("Thresholds of NEW", tables=(_thresholds(found),)))
    made.append(Section("Cost", tables=(_cost(found),)))
    if found.label_first:
        rows = ", ".join(map(str, found.label_first[:200]))
        made.append(Section("What to label first", f"Rows, in a random order that must be kept: {rows}"))
    if found.notes:
        made.append(Section("Notes", points=without_paths(found.notes)))
    return made


def _pictures(found: Migration) -> tuple[Markup, ...]:
    """Draw the agreement by OLD's confidence and by length: where the flips are."""
    (style,) = styles_of(["agreement"]).values()
    titles = {CONFIDENCE: "Agreement by OLD's confidence", TOKENS: "Agreement by length in tokens"}
    rows = {
        by: [(f"{g.name} (n {g.n:,})", g.agreement, g.low, g.high) for g in found.groups if g.by == by]
        for by in titles
    }
    return tuple(shares(titles[by], "agreement, 95 % interval", rows[by], style) for by in titles)


def _agreement(found: Migration) -> Table:
    rows = tuple(
        (g.by, g.name, f"{g.n:,}", share_text(g.agreement), interval_text(g.low, g.high, SHARE))
        for g in found.groups
    )
    return Table("", ("by", "texts", "n", "agreement", "95 % interval"), rows, ("n", "agreement"))


def _directions(found: Migration) -> Table:
    rows = tuple((d.old, d.new, f"{d.n:,}", share_text(d.share)) for d in found.directions)
    return Table(
        "Flips by direction" if rows else "No flips", ("OLD", "NEW", "n", "share"), rows, ("n", "share")
    )


def _flips(found: Migration, *, texts: bool) -> Table:
    columns = ("row", "OLD", "NEW", "label", *(["text"] if texts else []))
    rows = tuple(
        (
            str(f.row),
            f"{f.old} ({f.old_confidence:.2f})",
            f"{f.new} ({f.new_confidence:.2f})",
            f.label or "",
            *([" \u2016 ".join(f.text)[:LONGEST_TEXT]] if texts else []),
        )
        for f in found.flips
    )
    return Table("" if rows else "none", columns, rows, ("row",))


def _thresholds(found: Migration) -> Table:
    rows = tuple(
        (t.keeps, f"{t.threshold:.4f}", share_text(t.positive_rate), share_text(t.agreement))
        for t in found.thresholds
    )
    columns = ("keeps", "threshold", "positive rate", "agreement")
    return Table("", columns, rows, columns[1:])


def _cost(found: Migration) -> Table:
    models = (found.old, found.new)
    columns, rows = cost_table([model.name for model in models], models, found.speed)
    threads = counted(found.speed[0].threads, "thread")
    note = f"{threads}; latency of one text alone, throughput of many at once"
    return Table("", columns, without_paths(rows), columns[1:], notes=(note,))
