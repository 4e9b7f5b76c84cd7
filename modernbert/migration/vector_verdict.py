"""Switch or measure first: the rule for models of vectors. Without right answers, none of them is worse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from modernbert.evaluation.shown import SHARE, interval_text, share_text
from modernbert.migration.neighbours import TOP, Mean
from modernbert.migration.similarities import CutOff
from modernbert.migration.verdict import cost_of
from modernbert.records.export import Speed

# From this overlap on, nine of ten results stay.
SAME: Final = 0.9


@dataclass(frozen=True)
class VectorVerdict:
    """What to do.

    Attributes:
        word: `switch` where the 95 % interval of the overlap is at or above 0.9; else `measure first`.
        reasons: sentences.
    """

    word: Literal["switch", "measure first"]
    reasons: tuple[str, ...]


def decide(overlap: Mean, order: Mean, cut_off: CutOff | None, speed: Sequence[Speed]) -> VectorVerdict:
    """Apply the rule to the overlap of the first results, and say what a switch takes."""
    same = overlap.low >= SAME
    reasons = (*_results(overlap, order, same=same), *_what_it_takes(cut_off), cost_of(speed))
    return VectorVerdict("switch" if same else "measure first", reasons)


def _results(overlap: Mean, order: Mean, *, same: bool) -> Iterator[str]:
    yield (
        f"of the first {TOP} results, {share_text(overlap.value)} stay (95 % interval "
        f"{interval_text(overlap.low, overlap.high, SHARE)}); rank-biased overlap {order.value:.4f}"
    )
    if not same:
        yield (
            "other results may be better or worse: queries with right answers tell "
            "(mbert eval COLLECTION --model NEW, and OLD)"
        )


def _what_it_takes(cut_off: CutOff | None) -> Iterator[str]:
    yield "vectors of both models do not compare: a switch embeds all texts anew"
    if cut_off is None:
        return
    if cut_off.new is None:
        yield f"OLD's cut-off {cut_off.old:g} divides no pairs here: it cannot be translated"
        return
    yield (
        f"OLD's cut-off {cut_off.old:g} is {cut_off.new:z.4f} for NEW (95 % interval "
        f"{interval_text(cut_off.low, cut_off.high, 'z.4f')}): above each is the same number "
        f"of pairs ({cut_off.pairs:,}), {share_text(cut_off.same or 0.0)} of them in common"
    )
