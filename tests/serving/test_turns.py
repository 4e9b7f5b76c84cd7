"""A fair lock: whoever waits longest is next."""

from __future__ import annotations

import itertools
import threading
import time

from modernbert.serving.turns import Turns


def test_a_busy_thread_lets_others_in():
    """One thread takes it again at once; another, which waits, gets every other turn."""
    turns, order = Turns(), []
    both = threading.Barrier(2)

    def work(name):
        both.wait()
        for _ in range(50):
            with turns:
                order.append(name)
                time.sleep(0.0005)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes = sum(one != next_ for one, next_ in itertools.pairwise(order))
    assert changes > 80, "of 99; a plain lock gives a handful"


def test_one_at_a_time():
    turns, inside, most = Turns(), 0, 0

    def work():
        nonlocal inside, most
        for _ in range(200):
            with turns:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    with turns:
        pass
