"""What the screen and the report both show of two models for vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modernbert.evaluation.shown import SHARE, interval_text, share_text

if TYPE_CHECKING:
    from modernbert.migration.vectors import VectorMigration

RESULTS = ("measure", "mean", "95 % interval", "n")
SIMILARITIES = ("of pairs below", "OLD", "NEW")


def result_rows(found: VectorMigration) -> Iterator[tuple[str, ...]]:
    """Return how much of the results stays; rank-biased overlap is no share."""
    means = (
        ("first 10 results in common", found.overlap, SHARE),
        ("same nearest text", found.first, SHARE),
        ("rank-biased overlap of the first 50 (p = 0.9)", found.order, "z.4f"),
    )
    for name, mean, form in means:
        yield name, f"{mean.value:{form}}", interval_text(mean.low, mean.high, form), f"{mean.n:,}"


def similarity_rows(found: VectorMigration) -> Iterator[tuple[str, ...]]:
    """Return the quantiles and the mean of both models' similarities."""
    for share, old, new in found.shift.quantiles:
        yield share_text(share), f"{old:z.4f}", f"{new:z.4f}"
    yield "mean", *(f"{mean:z.4f}" for mean in found.shift.mean)


def cut_off_lines(found: VectorMigration) -> Iterator[str]:
    """Return the translated cut-off as a sentence; nothing where there is none."""
    cut = found.cut_off
    if cut is not None and cut.new is not None:
        yield (
            f"cut-off: {cut.old:g} of OLD is {cut.new:z.4f} of NEW (95 % interval "
            f"{interval_text(cut.low, cut.high, 'z.4f')}): {share_text(cut.share)} of the pairs are above; "
            f"{cut.old:g} would let {share_text(cut.old_for_new)} through"
        )
