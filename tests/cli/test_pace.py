"""How long a phase will take: steady from the start, never out of date, and nothing before it can be said."""

from __future__ import annotations

import pytest
from modernbert.cli import pace
from modernbert.cli.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def paced(clock, seconds: list[float], total: int, first: int = 0) -> list[float | None]:
    """Return the time left after each step; `seconds` are how long the steps take."""
    made = Pace()
    made.reach(first, total)
    found = []
    for done, taken in enumerate(seconds, start=first + 1):
        clock[0] += taken
        made.reach(done, total)
        found.append(made.seconds_left())
    return found


def test_the_first_step_and_what_is_before_it_do_not_count(clock):
    """An evaluation of two minutes before the first step of two seconds, twenty in all."""
    left = paced(clock, [122.0] + [2.0] * 19, 20)
    assert left[:3] == [None] * 3
    assert left[3:-1] == [pytest.approx(2.0 * (20 - done)) for done in range(4, 20)]
    assert left[-1] is None


def test_a_resumed_count_begins_where_it_stands(clock):
    assert paced(clock, [9.0] + [2.0] * 5, 130, first=100)[-1] == pytest.approx(2.0 * 24)


def test_uneven_steps_make_it_move_little(clock):
    left = paced(clock, [1.0, 3.0] * 50, 1000)
    seen = [value + 2.0 * step for step, value in enumerate(left, start=1) if value is not None]
    assert max(seen[10:]) - min(seen[10:]) < 0.1 * 2000


def test_between_steps_it_runs_down_to_nothing(clock):
    made = Pace()
    for done in range(6):
        made.reach(done, 8)
        clock[0] += 3.0
    assert made.left() == "0:06 left"  # three more steps of three seconds, of which three have passed
    made.reach(5, 8)  # nothing new
    clock[0] += 2.0
    assert made.left() == "0:04 left"
    clock[0] += 10.0
    assert made.left() == ""


def test_without_a_total_nothing_is_said(clock):
    made = Pace()
    for done in range(9):
        made.reach(done, None)
        clock[0] += 9.0
    assert made.left() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.6, "0:01 left"), (61, "1:01 left"), (3599.7, "1:00:00 left"), (7384, "2:03:04 left")],
)
def test_times_are_written_as_clocks_do(seconds, text, monkeypatch):
    monkeypatch.setattr(Pace, "seconds_left", lambda self: seconds)
    assert Pace().left() == text
