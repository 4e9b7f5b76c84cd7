"""Train again and again in forks of one process, each killed at another change to the file system.

    python killed_trainings.py FOLDER N...

Each fork trains in FOLDER/N, and is killed before its N-th change; a negative N counts from the end of an
undisturbed training. Prints how many changes that makes.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from kill_at import count_changes


def train(folder: Path, model: str, at: int) -> int:
    """Train a run called `toy` in `folder`; return the number of its changes."""
    from helpers import request_of

    from modernbert.runs import RunStore
    from modernbert.training.finetune import finetune

    request = request_of(folder.parent / "reviews.csv", model, epochs=1.0)
    count = count_changes(at)
    finetune(type(request)(**{**request.as_dict(), "text": (), "name": "toy"}), RunStore(folder))
    return count[0]


def in_fork(folder: Path, model: str, at: int) -> int:
    """Train in a fork; return how it ended: the number of changes by its exit code."""
    child = os.fork()
    if child == 0:
        os._exit(train(folder, model, at))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import modernbert.training.finetune  # noqa: F401 - once, for all forks

    root, model = Path(sys.argv[1]), sys.argv[2]
    changes = in_fork(root / "whole", model, 0)
    sys.stdout.write(f"{changes}\n")
    sys.stdout.flush()  # before the forks, which would each write it again
    for given in map(int, sys.argv[3:]):
        at = given if given > 0 else changes + 1 + given
        assert in_fork(root / str(given), model, at) == -signal.SIGKILL, given
