"""What `mbert migrate` shows of two models for vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modernbert.evaluation.shown import share_text
from modernbert.migration.cost import cost_table
from modernbert.migration.vector_rows import (
    RESULTS,
    SIMILARITIES,
    cut_off_lines,
    result_rows,
    similarity_rows,
)
from modernbert.wording import counted, one_line

from . import output

if TYPE_CHECKING:
    from modernbert.migration.vectors import VectorMigration

# Texts on the screen, and of each text; JSON and the report have more.
SHOWN, LONGEST_TEXT = 5, 40


def show_vector_migration(found: VectorMigration, *, as_json: bool) -> None:
    """Print the verdict, then what it rests on."""
    if as_json:
        return output.print_json(found.as_dict())
    output.print_line(f"{found.old.name} -> {found.new.name}: {found.verdict.word}", style="bold")
    for reason in found.verdict.reasons:
        output.print_line(f"- {reason}")
    _show_results(found)
    _show_similarities(found)
    _show_cost(found)
    for note in found.notes:
        output.print_note(note)


def _show_results(found: VectorMigration) -> None:
    output.print_table(f"\nresults: {found.compared}", RESULTS, result_rows(found), right=("mean", "n"))
    moved = [
        (str(m.row), share_text(m.overlap), _cut(m.text), _cut(m.old_nearest), _cut(m.new_nearest))
        for m in found.moved[:SHOWN]
    ]
    if moved:
        what = "query" if found.queries else "text"
        columns = ("row", "overlap", what, "nearest to OLD", "nearest to NEW")
        title = f"\n{'queries' if found.queries else 'texts'} with the least overlap"
        output.print_table(title, columns, moved, right=("row", "overlap"))


def _cut(text: str) -> str:
    line = one_line(text)
    return line[:LONGEST_TEXT] + ("..." if len(line) > LONGEST_TEXT else "")


def _show_similarities(found: VectorMigration) -> None:
    shift = found.shift
    title = f"\nsimilarity of {counted(shift.pairs, 'pair')} (rank correlation {shift.rank_correlation:z.4f})"
    output.print_table(title, SIMILARITIES, similarity_rows(found), right=SIMILARITIES)
    for line in cut_off_lines(found):
        output.print_line(line)


def _show_cost(found: VectorMigration) -> None:
    columns, rows = cost_table(("OLD", "NEW"), (found.old, found.new), found.speed)
    title = f"\ncost, {counted(found.speed[0].threads, 'thread')}: one text alone, and many at once"
    output.print_table(title, columns, rows, right=columns[1:])
    if found.only_new:
        output.print_line(f"NEW reads {share_text(found.only_new)} of the texts to the end that OLD cuts")
