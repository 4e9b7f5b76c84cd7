"""How numbers are written beside words, and texts on one line."""

from __future__ import annotations

# How a note begins of an evaluation on texts that its model was trained on.
TRAINED_ON = "TRAINED ON"


def one_line(text: str) -> str:
    """Return a text with one blank for each run of blanks and line breaks, and none at its ends."""
    return " ".join(text.split())


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`, `0 queries` with `queries` as the plural."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def minutes_text(minutes: float) -> str:
    """Return a duration in minutes, in seconds below one: `12.3 min`, `34 s`."""
    return f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"


def percent(share: float) -> str:
    """Return a share (0 to 1) as a sentence has it: `4.2%`, `37%`, `99.6%`, `100%`.

    There is a decimal within a tenth of either end alone, unless it is 0. Only an exact share is 0% or 100%.
    """
    if share in (0, 1):
        return f"{share:.0%}"
    near = min(share, 1 - share)
    if near < 0.0005:
        return "under 0.1%" if share < 0.5 else "over 99.9%"
    return f"{share:.1%}".replace(".0%", "%") if near < 0.1 else f"{share:.0%}"


def truncated_text(share: float, max_length: int, what: str = "texts") -> str:
    """Say which share of the texts is cut, and at how many tokens."""
    return f"{percent(share) if share else 'none'} of the {what} truncated at {max_length:,} tokens"
