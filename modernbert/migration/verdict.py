"""Switch or not, and why. The rule is fixed: what is not shown is said to be so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from modernbert.evaluation.shown import SHARE, interval_text, share_text
from modernbert.migration.agreement import Group
from modernbert.migration.change import Change
from modernbert.migration.thresholds import Refit
from modernbert.records.export import Speed
from modernbert.wording import counted

Word = Literal["switch", "switch with these thresholds", "not shown", "don't"]


@dataclass(frozen=True)
class Verdict:
    """What to do.

    Attributes:
        word: `switch` where the 95 % interval of the change in accuracy leaves no loss beyond the margin, as
            NEW is or with another threshold; `don't` where it leaves no gain; else `not shown`.
        reasons: sentences.
        threshold: NEW's, for `switch with these thresholds`.
    """

    word: Word
    reasons: tuple[str, ...]
    threshold: float | None = None


def decide_verdict(
    agreement: Group, own: Change, refitted: Sequence[tuple[Refit, Change]], speed: Sequence[Speed]
) -> Verdict:
    """Apply the rule.

    Args:
        agreement: over all texts.
        own: the change with NEW as it is.
        refitted: other thresholds of NEW, and the change with each.
        speed: of OLD and NEW.
    """
    word, threshold, change = _word(own, refitted)
    reasons = (*_agreement(agreement), *_accuracy(change), *_labels(word, change), cost_of(speed))
    return Verdict(word, reasons, threshold)


def _word(own: Change, refitted: Sequence[tuple[Refit, Change]]) -> tuple[Word, float | None, Change]:
    if own.low >= -own.margin:
        return "switch", None, own
    good = [(refit, change) for refit, change in refitted if change.low >= -change.margin]
    if good:
        refit, change = max(good, key=lambda one: one[1].low)
        return "switch with these thresholds", refit.threshold, change
    return ("don't" if own.high < 0 else "not shown"), None, own


def _agreement(found: Group) -> Iterator[str]:
    yield (
        f"the models agree on {share_text(found.agreement)} of {found.n:,} texts "
        f"(95 % interval {interval_text(found.low, found.high, SHARE)})"
    )


def _accuracy(change: Change) -> Iterator[str]:
    ends = interval_text(change.low, change.high, "+z.4f")
    if change.value is None:
        yield f"only flips can change the accuracy: by {ends}, whatever the true labels are"
    elif not change.labelled:
        yield f"there are no flips: the accuracy changes by {ends} at most"
    else:
        yield (
            f"accuracy changes by {change.value:+z.4f} (95 % interval {ends}), from "
            f"{counted(change.labelled, 'labelled flip')} of {change.flips:,}: NEW alone is right in "
            f"{change.won:,}, OLD alone in {change.lost:,}"
        )


def _labels(word: Word, change: Change) -> Iterator[str]:
    if word != "not shown":
        return
    if change.needed is None:
        open_ = {count: half for count, half in change.widths.items() if count > change.labelled}
        told = ", ".join(f"{counted(count, 'label')} to ±{half:.3f}" for count, half in open_.items())
        yield f"label flips (--to-label) to know the change: {told}" if told else "more texts would tell more"
    elif (more := change.needed - change.labelled) > 0:
        yield f"{counted(more, 'more label')} of flips (--to-label) would tell it to ±{change.margin:g}"
    elif change.labelled < change.flips:
        yield "the labelled flips do not decide it: label more of them (--to-label), or give more texts"
    else:
        yield "more texts would tell more"


def cost_of(speed: Sequence[Speed]) -> str:
    """Return what OLD and NEW, in this order, take of time, as a sentence."""
    old, new = speed
    return (
        f"NEW takes {new.p50_ms:.1f} ms for the median text instead of {old.p50_ms:.1f}, and reads "
        f"{new.texts_per_second:,.1f} instead of {old.texts_per_second:,.1f} texts each second"
    )
