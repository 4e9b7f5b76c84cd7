"""The one training loop. It knows batches, a loss and an evaluation; it knows no task."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from modernbert import processes
from modernbert.activity import Phase, phase
from modernbert.data.batching import BatchPlan
from modernbert.errors import Interrupted, ProcessLost, TrainingFailed
from modernbert.training.checkpoint import Progress
from modernbert.training.reports import EvaluationReport, StepReport
from modernbert.training.state import TrainState, begin_alike, put_best, restore, save, save_best
from modernbert.training.step import train_step


def fit(state: TrainState, *, resume: bool = False) -> Progress:
    """Train until the last step or until patience ends, and leave the kept weights in the model.

    Args:
        state: what to train, on what, and how.
        resume: go on from the newest checkpoint, if there is one.

    Returns:
        The final progress, with the history of evaluations (step 0 first).

    Raises:
        Interrupted: a signal came; the state was saved.
        TrainingFailed: the loss was not finite, or a single example does not fit in memory.
        ProcessLost: another process of this training has ended; the state was saved.
        DiskFull: a checkpoint could not be written; the one before is intact.
        BadRun: the checkpoint to resume from is damaged.
    """
    if resume:
        restore(state)
    begin_alike(state)
    state.clock = time.perf_counter()
    try:
        with phase("training", state.total, "steps") as now:
            _run(state, now)
    except Interrupted as interrupted:
        save(state)
        interrupted.what += f" at step {state.progress.step} of {state.total}; everything is saved"
        raise
    except ProcessLost as lost:
        save(state)
        lost.what += f"; everything up to step {state.progress.step} of {state.total} is saved"
        raise
    if not processes.leads():
        return state.progress
    if state.config.evaluation.keep == "best" and state.progress.best_step != state.progress.step:
        put_best(state)
    return state.progress


def _run(state: TrainState, now: Phase) -> None:
    progress = state.progress
    now.reach(progress.step)
    batches = _batches_from(state.data.plan, progress.step)
    meter = _Meter(state)
    saved_at = time.monotonic()
    while True:
        if _evaluation_is_due(state) and not progress.evaluated():
            meter.flush()
            _evaluate(state)
            meter.restart()
            saved_at = time.monotonic()
        if progress.step >= state.total or _patience_ended(state):
            return
        if state.stops():
            meter.flush()  # never save weights that are not finite
            state.stop.raise_if_requested()
        try:
            meter.add(*train_step(state, next(batches)))
        except ProcessLost:
            meter.flush()  # as above
            raise
        progress.step += 1
        now.reach(progress.step)
        if progress.step % state.config.run.log_every == 0:
            meter.flush()
        if time.monotonic() - saved_at >= state.config.run.checkpoint_minutes * 60:
            meter.flush()
            save(state)
            saved_at = time.monotonic()


def _batches_from(plan: BatchPlan, step: int) -> Iterator[np.ndarray]:
    while True:
        epoch, done = divmod(step, plan.steps_per_epoch)
        for indices in plan.epoch(epoch)[done:]:
            yield indices
            step += 1


def _evaluation_is_due(state: TrainState) -> bool:
    every = state.config.evaluation.eval_every or state.data.plan.steps_per_epoch
    return state.progress.step % every == 0 or state.progress.step == state.total


def _patience_ended(state: TrainState) -> bool:
    return 0 < state.config.evaluation.patience <= state.progress.since_best


class _Meter:
    """Collects what the progress lines show, without asking the device between them."""

    def __init__(self, state: TrainState) -> None:
        self.state = state
        self.restart()

    def restart(self) -> None:
        self.losses: list[torch.Tensor] = []
        self.norm: torch.Tensor | None = None
        self.tokens = 0
        self.started = time.perf_counter()

    def add(self, loss: torch.Tensor, norm: torch.Tensor, tokens: int, examples: int) -> None:
        self.losses.append(loss)
        self.norm = norm
        self.tokens += tokens
        self.state.progress.tokens += tokens
        self.state.progress.examples += examples

    def flush(self) -> None:
        """Report the mean since the last time; stop if it is not finite. Synchronises with the device."""
        if not self.losses or self.norm is None:
            return
        state, progress = self.state, self.state.progress
        loss, norm = float(torch.stack(self.losses).mean()), float(self.norm)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise _not_finite(state, loss, norm)
        seconds = time.perf_counter() - self.started
        state.tick()
        per_step = seconds / len(self.losses)
        state.observe(
            StepReport(
                step=progress.step,
                total=state.total,
                epoch=progress.step / state.data.plan.steps_per_epoch,
                loss=loss,
                rate=state.rate(progress.step - 1),
                gradient_norm=norm,
                tokens_per_second=self.tokens / seconds,
                seconds_left=per_step * (state.total - progress.step),
            )
        )
        self.restart()


def _not_finite(state: TrainState, loss: float, norm: float) -> TrainingFailed:
    last = state.checkpoints.last()
    kept = f" The checkpoint {last.name} from before is intact." if last else ""
    return TrainingFailed(
        f"the loss ({loss}) or its gradient ({norm}) is not finite around step {state.progress.step}.{kept}",
        fix="Likely causes: a learning rate that is too high "
        f"(now {state.config.optimizer.learning_rate:g}; try a third), too short a warm-up "
        f"(now {state.config.schedule.warmup:g}), or half precision (try --precision fp32).",
    )


def _evaluate(state: TrainState) -> None:
    progress = state.progress
    state.model.eval()
    with phase("evaluating"):
        # All take part; what the first one found decides.
        evaluation, *_ = processes.all_say(state.evaluate(state.model))
    # Before the first step a new head is noise: whatever it scores, it is not kept.
    untrained = state.new_head and progress.step == 0
    if untrained:
        progress.untrained = evaluation.main
    is_best = evaluation.main > progress.best_score and not untrained
    if is_best:
        progress.best_step, progress.best_score = progress.step, evaluation.main
    # The untrained model at step 0 shows where training starts from; it costs no patience.
    progress.since_best = 0 if is_best or progress.step == 0 else progress.since_best + 1
    progress.history.append({"step": progress.step, "metrics": dict(evaluation.metrics)})
    if is_best:
        save_best(state)
    if progress.step > 0 and processes.leads():
        save(state)
        state.checkpoints.drop_worse(progress.best_step)
    state.tick()
    state.observe(EvaluationReport(progress.step, state.total, evaluation, is_best))
