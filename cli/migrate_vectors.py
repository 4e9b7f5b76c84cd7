"""What `mbert migrate` shows of two models for vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modernbert.evaluation.shown import interval_text
from modernbert.wording import counted, one_line

from . import output

if TYPE_CHECKING:
    from modernbert.migration.vectors import VectorMigration, VectorModel
    from modernbert.records.export import Speed

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
    means = {
        "first 10 results in common": found.overlap,
        "rank-biased overlap (p = 0.9)": found.order,
        "same nearest text": found.first,
    }
    rows = [(name, f"{m.value:.4f}", interval_text(m.low, m.high)) for name, m in means.items()]
    title = f"\nresults on {found.data}, {counted(found.texts, 'text')}"
    output.print_table(title, ("measure", "mean", "95 % interval"), rows, right=("mean",))
    moved = [
        (str(m.row), f"{m.overlap:.1f}", _cut(m.text), _cut(m.old_nearest), _cut(m.new_nearest))
        for m in found.moved[:SHOWN]
    ]
    if moved:
        columns = ("row", "overlap", "text", "nearest to OLD", "nearest to NEW")
        output.print_table("\ntexts with the least overlap", columns, moved, right=("row", "overlap"))


def _cut(text: str) -> str:
    line = one_line(text)
    return line[:LONGEST_TEXT] + ("..." if len(line) > LONGEST_TEXT else "")


def _show_similarities(found: VectorMigration) -> None:
    shift = found.shift
    rows = [(f"{share:.1%}", f"{old:.4f}", f"{new:.4f}") for share, old, new in shift.quantiles]
    rows.append(("mean", f"{shift.mean[0]:.4f}", f"{shift.mean[1]:.4f}"))
    title = f"\nsimilarity of {counted(shift.pairs, 'pair')} (rank correlation {shift.rank_correlation:.4f})"
    columns = ("of pairs below", "OLD", "NEW")
    output.print_table(title, columns, rows, right=columns)
    cut = found.cut_off
    if cut is not None and cut.new is not None:
        output.print_line(
            f"cut-off: {cut.old:g} of OLD is {cut.new:.4f} of NEW ({cut.share:.3%} of the pairs are above); "
            f"{cut.old:g} would let {cut.old_for_new:.3%} through"
        )


def _show_cost(found: VectorMigration) -> None:
    pairs = zip(("OLD", "NEW"), (found.old, found.new), found.speed, strict=True)
    columns = (
        "model", "p50 ms", "p95 ms", "p99 ms", "texts/s", "tokens/s", "MB", "size", "reads tokens",
        "truncated",
    )  # fmt: skip
    title = f"\ncost, {counted(found.speed[0].threads, 'thread')}: one text alone, and many at once"
    output.print_table(title, columns, [_cost(*pair) for pair in pairs], right=columns[1:])
    if found.only_new:
        output.print_line(f"NEW reads {found.only_new:.2%} of the texts to the end that OLD cuts")


def _cost(name: str, model: VectorModel, speed: Speed) -> tuple[str, ...]:
    return (
        name,
        *(f"{wait:.1f}" for wait in (speed.p50_ms, speed.p95_ms, speed.p99_ms)),
        f"{speed.texts_per_second:,.1f}",
        f"{speed.tokens_per_second:,.0f}",
        f"{model.megabytes:,.0f}",
        f"{model.size:,}",
        f"{model.max_length:,}",
        f"{model.truncated:.2%}",
    )
