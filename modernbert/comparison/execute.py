"""Make the runs that a comparison lacks, each in a process of its own: memory and threads start afresh.

Parent and child speak through the child's stdin and stdout. The child learns of its parent's end, however
it came, from its stdin, and then stops as it would for a signal: with everything saved.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from modernbert.activity import watched_by
from modernbert.comparison import baselines
from modernbert.comparison.plan import PlannedRun
from modernbert.comparison.relay import Explained, Receiver, Sender, Told
from modernbert.errors import Interrupted, MbertError, TrainingFailed
from modernbert.runs import RunStore
from modernbert.signals import SIGNALS, Ended, on_signals
from modernbert.training.reports import Observe
from modernbert.training.signals import StopRequest

# -P: a file in the working folder that is called like a module is no module.
CHILD = [sys.executable, "-P", "-c", f"from {__name__} import work; work()"]


def execute(planned: PlannedRun, store: RunStore, observe: Observe = lambda report: None) -> str:
    """Make one missing run, or go on with it, and return its name.

    Raises:
        MbertError: as the run itself; what was begun can be gone on with.
        TrainingFailed: its process ended without a word (the system killed it, say for want of memory).
        Ended: a signal came; the run has saved its state.
    """
    if planned.model in baselines.NAMES:  # seconds, and no torch
        return baselines.run_baseline(planned.model, planned.request, store)
    asked = StopRequest()

    def pass_on(number: int) -> None:
        asked.request(number)
        child.send_signal(number)  # the terminal may have sent it too: the child takes the two as one

    with _child(planned, store) as child, on_signals(pass_on):
        outcome = _listen(child, observe)
    if asked.signal_number is not None:
        what = outcome.what if isinstance(outcome, Interrupted) else ""
        raise Ended(asked.signal_number, what)
    if isinstance(outcome, MbertError):
        raise outcome
    if outcome is None:
        raise TrainingFailed(
            f"the process of {planned.task} with {planned.model} ended with exit code {child.returncode}",
            fix="Run it alone to see why; the same command goes on with what is finished.",
        )
    return outcome


@contextlib.contextmanager
def _child(planned: PlannedRun, store: RunStore) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that makes the run; however the block ends, it ends too, and is waited for."""
    # The signals of its first moments wait until it can take them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        child = subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert child.stdin is not None and child.stdout is not None
    try:
        pickle.dump((planned, store.root), child.stdin)
        child.stdin.flush()
        yield child
    finally:
        child.stdout.close()
        child.stdin.close()
        child.wait()


def _listen(child: subprocess.Popen[bytes], observe: Observe) -> str | MbertError | None:
    """Pass on what it tells until the run's name or its error comes, or the process is gone."""
    assert child.stdout is not None
    receiver = Receiver()
    try:
        while not isinstance(message := pickle.load(child.stdout), str | MbertError):
            if isinstance(message, Told | Explained):
                receiver.receive(message)
            else:
                observe(message)
    except (EOFError, pickle.UnpicklingError):  # at the end, or in the midst of a report
        return None
    finally:
        receiver.over()
    return message


def work() -> None:
    """Be the child: read from stdin what to make; write every report, then the run's name or the error."""
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no report
    try:
        planned, root = pickle.load(sys.stdin.buffer)
    except EOFError:  # the parent is gone already
        return
    with on_signals():
        threading.Thread(target=_stop_with_parent, daemon=True).start()
        outcome = _outcome(planned, RunStore(root), reports)
    _tell(outcome, reports)


def _outcome(planned: PlannedRun, store: RunStore, reports: IO[bytes]) -> str | MbertError:
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with watched_by(Sender(lambda told: _tell(told, reports))):
            return _make(planned, store, lambda report: _tell(report, reports))
    except MbertError as error:
        return error
    except Ended as ended:
        return Interrupted(ended.number, ended.what)


def _tell(message: Any, reports: IO[bytes]) -> None:
    try:
        reports.write(pickle.dumps(message))
        reports.flush()
    except BrokenPipeError:  # nobody listens any more: `_stop_with_parent` stops the run
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), reports.fileno())


def _stop_with_parent() -> None:
    """Wait until stdin is closed, which the system does when the parent ends, and ask to stop."""
    while os.read(0, 1):
        pass
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _make(planned: PlannedRun, store: RunStore, observe: Callable[[Any], None]) -> str:
    from modernbert.finetuning.finetune import finetune, resume

    if planned.is_evaluation:
        return _evaluate(planned, store)
    if planned.interrupted:
        return resume(planned.interrupted, store, observe=observe).name
    settings = {**planned.request.settings, "seed": planned.seed}
    return finetune(replace(planned.request, settings=settings), store, observe=observe).name


def _evaluate(planned: PlannedRun, store: RunStore) -> str:
    from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
    from modernbert.evaluation.vectors import VectorCache
    from modernbert.model.locate import locate_model

    request = planned.request
    folder = Path(request.data_dir) if request.data_dir else None
    source = locate_model(request.model, store=store, data_dir=folder)
    search = SearchOptions(cache=VectorCache.default())
    where = {"data_dir": folder, "device": request.device, "precision": request.precision}
    (result,) = evaluate_tasks(retrieval_tasks(request.target), source, store, search, **where)  # type: ignore[arg-type]
    return result.name
