"""Make the runs that a comparison lacks, each in a process of its own: memory and threads start afresh."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from modernbert.comparison import baselines
from modernbert.comparison.missing import Cell
from modernbert.errors import MbertError, TrainingFailed
from modernbert.runs import RunStore
from modernbert.training.reports import Observe


def fill(cell: Cell, store: RunStore, observe: Observe = lambda report: None) -> str:
    """Make one missing run, or go on with it, and return its name.

    Raises:
        MbertError: as the run itself; what was begun can be gone on with.
        TrainingFailed: its process ended without a word (the system killed it, say for want of memory).
    """
    if cell.model in baselines.NAMES:  # seconds, and no torch
        return baselines.run_baseline(cell.model, cell.request, store)
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads, half alive
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(cell, store.root, sender))
    process.start()
    sender.close()
    try:
        outcome = _listen(receiver, observe)
    except KeyboardInterrupt:  # the child has had the same signal: let it save
        outcome = _listen(receiver, observe)
    finally:
        process.join()
    if isinstance(outcome, MbertError):
        raise outcome
    if outcome is None:
        raise TrainingFailed(
            f"the process of {cell.task} with {cell.model} ended with exit code {process.exitcode}",
            fix="Run it alone to see why; the same command goes on with what is finished.",
        )
    return outcome


def _listen(receiver: Connection, observe: Observe) -> str | MbertError | None:
    """Pass reports on until the run's name or its error comes, or the process is gone."""
    while True:
        try:
            message = receiver.recv()
        except EOFError:
            return None
        if isinstance(message, str | MbertError):
            return message
        observe(message)


def _work(cell: Cell, root: Path, sender: Connection) -> None:
    """Run one cell; the parent hears every report, then the name or the error."""
    try:
        sender.send(_make(cell, RunStore(root), sender.send))
    except MbertError as error:
        sender.send(error)


def _make(cell: Cell, store: RunStore, observe: Callable[[Any], None]) -> str:
    from modernbert.training.finetune import finetune, resume

    if cell.is_evaluation:
        return _evaluate(cell, store)
    if cell.interrupted:
        return resume(cell.interrupted, store, observe=observe).name
    settings = {**cell.request.settings, "seed": cell.seed}
    return finetune(replace(cell.request, settings=settings), store, observe=observe).name


def _evaluate(cell: Cell, store: RunStore) -> str:
    from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
    from modernbert.evaluation.vectors import VectorCache
    from modernbert.model.locate import locate_model

    request = cell.request
    folder = Path(request.data_dir) if request.data_dir else None
    source = locate_model(request.model, store=store, data_dir=folder)
    search = SearchOptions(cache=VectorCache.default())
    where = {"data_dir": folder, "device": request.device, "precision": request.precision}
    (result,) = evaluate_tasks(retrieval_tasks(request.target), source, store, search, **where)  # type: ignore[arg-type]
    return result.name
