"""The lines of a hit that are shown are those that hold the query's words."""

from __future__ import annotations

import pytest

from modernbert.index.hits import SHOWN, best_lines


def text(**words):
    lines = [f"line {number}" for number in range(40)]
    for place, word in words.items():
        lines[int(place[1:])] += f" {word}"
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("found", "query", "holds"),
    [
        (text(), "retry", [0]),
        (text(_30="retry"), "retry", [30]),
        (text(_39="retry"), "retry", [39]),
        (text(_0="retry", _30="retry", _33="timeout"), "retry after a timeout", [30, 33]),
        (text(_12="maxRetries"), "retries", [12]),
        (text(_5="retry", _20="retry", _21="retry"), "retry", [20, 21]),
    ],
)
def test_most_words_win(found, query, holds):
    first, last = best_lines(found, query)
    assert last - first == SHOWN - 1
    assert all(first <= number <= last for number in holds)


def test_a_short_text_is_shown_whole_without_blank_ends():
    assert best_lines("a\nb\nretry", "retry") == (0, 2)
    assert best_lines("\n\na\nb\n\n", "retry") == (2, 3)
    assert best_lines("", "retry") == (0, 0)
