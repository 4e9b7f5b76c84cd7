"""The numbers that an option or a setting may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """From `low` to `high`; neither infinity nor "not a number" is ever in it.

    Attributes:
        above, below: is `low`, or `high`, itself left out?
        zero: is 0 allowed besides? It stands for "none" or "chosen for you".
    """

    low: float
    high: float
    above: bool = False
    below: bool = False
    zero: bool = False

    def __contains__(self, number: float) -> bool:
        if self.zero and number == 0:
            return True
        enough = number > self.low if self.above else number >= self.low
        return enough and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        low, high = f"{self.low:,}", f"{self.high:,}"
        if self.above or self.below:
            shown = f"{'greater than' if self.above else 'at least'} {low} and "
            shown += f"{'below' if self.below else 'at most'} {high}"
        else:
            shown = f"from {low} to {high}"
        return f"0 or {shown}" if self.zero else shown


# How long a text may be, in tokens: a pair of words needs three special tokens; 0 chooses.
LENGTHS = Range(5, 1_000_000, zero=True)
SEEDS = Range(0, 2**32 - 1)
