"""Work that is prepared one step ahead: in order, one step and no more, with its errors where they belong."""

from __future__ import annotations

import threading

import pytest

from modernbert.activity import phase, watched_by
from modernbert.ahead import ahead


def test_the_next_one_is_made_while_the_caller_uses_this_one():
    begun = [threading.Event() for _ in range(4)]

    def make(number):
        begun[number].set()
        return number * 10

    found = []
    for number, made in enumerate(ahead(make, range(4))):
        if number < 3:
            assert begun[number + 1].wait(10)
        if number < 2:
            assert not begun[number + 2].is_set()
        found.append(made)
    assert found == [0, 10, 20, 30]
    assert list(ahead(make, [])) == []


def test_an_error_is_raised_where_its_item_would_come():
    def make(number):
        return 1 / (2 - number)

    seen = []
    with pytest.raises(ZeroDivisionError):
        for made in ahead(make, range(5)):
            seen.append(made)
    assert seen == [0.5, 1.0]


def test_what_it_says_of_its_progress_is_not_heard():
    class Told:
        def __init__(self):
            self.names = []

        def began(self, now):
            self.names.append(now.name)

        def ended(self, now):
            pass

    def make(number):
        with phase(f"making {number}"):
            return number

    told = Told()
    with watched_by(told), phase("all"):
        assert list(ahead(make, range(3))) == [0, 1, 2]
    assert told.names == ["all"]
