"""The one training loop. It knows batches, a loss and an evaluation; it knows no task."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from modernbert.activity import Phase, phase
from modernbert.data.batching import BatchPlan
from modernbert.errors import Interrupted, TrainingFailed
from modernbert.training.checkpoint import Progress
from modernbert.training.reports import EvaluationReport, StepReport
from modernbert.training.state import Fit, put_best, restore, save, weights
from modernbert.training.step import train_step


def fit(work: Fit, *, resume: bool = False) -> Progress:
    """Train until the last step or until patience ends, and leave the kept weights in the model.

    Args:
        work: what to train, on what, and how.
        resume: go on from the newest checkpoint, if there is one.

    Returns:
        The final progress, with the history of evaluations (step 0 first).

    Raises:
        Interrupted: a signal came; the state was saved.
        TrainingFailed: the loss was not finite, or a single example does not fit in memory.
        DiskFull: a checkpoint could not be written; the one before is intact.
        BadRun: the checkpoint to resume from is damaged.
    """
    if resume:
        restore(work)
    work.clock = time.perf_counter()
    try:
        with phase("training", work.total, "steps") as now:
            _run(work, now)
    except Interrupted as interrupted:
        save(work)
        interrupted.what += f" at step {work.progress.step} of {work.total}; everything is saved"
        raise
    if work.config.evaluation.keep == "best" and work.progress.best_step != work.progress.step:
        put_best(work)
    return work.progress


def _run(work: Fit, now: Phase) -> None:
    progress = work.progress
    now.reach(progress.step)
    batches = _batches_from(work.data.plan, progress.step)
    meter = _Meter(work)
    saved_at = time.monotonic()
    while True:
        if _evaluation_is_due(work) and not progress.evaluated():
            meter.flush()
            _evaluate(work)
            meter.restart()
            saved_at = time.monotonic()
        if progress.step >= work.total or _patience_ended(work):
            return
        if work.stop.signal_number is not None:
            meter.flush()  # never save weights that are not finite
            work.stop.raise_if_requested()
        meter.add(*train_step(work, next(batches)))
        progress.step += 1
        now.reach(progress.step)
        if progress.step % work.config.run.log_every == 0:
            meter.flush()
        if time.monotonic() - saved_at >= work.config.run.checkpoint_minutes * 60:
            meter.flush()
            save(work)
            saved_at = time.monotonic()


def _batches_from(plan: BatchPlan, step: int) -> Iterator[np.ndarray]:
    while True:
        epoch, done = divmod(step, plan.steps_per_epoch)
        for indices in plan.epoch(epoch)[done:]:
            yield indices
            step += 1


def _evaluation_is_due(work: Fit) -> bool:
    every = work.config.evaluation.eval_every or work.data.plan.steps_per_epoch
    return work.progress.step % every == 0 or work.progress.step == work.total


def _patience_ended(work: Fit) -> bool:
    return 0 < work.config.evaluation.patience <= work.progress.since_best


class _Meter:
    """Collects what the progress lines show, without asking the device between them."""

    def __init__(self, work: Fit) -> None:
        self.work = work
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
        self.work.progress.tokens += tokens
        self.work.progress.examples += examples

    def flush(self) -> None:
        """Report the mean since the last time; stop if it is not finite. Synchronises with the device."""
        if not self.losses or self.norm is None:
            return
        work, progress = self.work, self.work.progress
        loss, norm = float(torch.stack(self.losses).mean()), float(self.norm)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise _not_finite(work, loss, norm)
        seconds = time.perf_counter() - self.started
        work.tick()
        per_step = seconds / len(self.losses)
        work.observe(
            StepReport(
                step=progress.step,
                total=work.total,
                epoch=progress.step / work.data.plan.steps_per_epoch,
                loss=loss,
                rate=work.rate(progress.step - 1),
                gradient_norm=norm,
                tokens_per_second=self.tokens / seconds,
                seconds_left=per_step * (work.total - progress.step),
            )
        )
        self.restart()


def _not_finite(work: Fit, loss: float, norm: float) -> TrainingFailed:
    last = work.checkpoints.last()
    kept = f" The checkpoint {last.name} from before is intact." if last else ""
    return TrainingFailed(
        f"the loss ({loss}) or its gradient ({norm}) is not finite around step {work.progress.step}.{kept}",
        fix="Likely causes: a learning rate that is too high "
        f"(now {work.config.optimizer.learning_rate:g}; try a third), too short a warm-up "
        f"(now {work.config.schedule.warmup:g}), or half precision (try --precision fp32).",
    )


def _evaluate(work: Fit) -> None:
    progress = work.progress
    work.model.eval()
    with phase("evaluating"):
        evaluation = work.evaluate(work.model)
    # Before the first step a new head is noise: whatever it scores, it is not kept.
    is_best = evaluation.main > progress.best_score and not (work.new_head and progress.step == 0)
    if is_best:
        progress.best_step, progress.best_score = progress.step, evaluation.main
    # The untrained model at step 0 shows where training starts from; it costs no patience.
    progress.since_best = 0 if is_best or progress.step == 0 else progress.since_best + 1
    progress.history.append({"step": progress.step, "metrics": dict(evaluation.metrics)})
    if is_best:
        work.checkpoints.save_best(progress.step, weights(work))
    if progress.step > 0:
        save(work)
        work.checkpoints.drop_worse(progress.best_step)
    work.tick()
    work.observe(EvaluationReport(progress.step, work.total, evaluation, is_best))
