"""The one training loop. It knows batches, a loss and an evaluation; it knows no task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from modernbert.data.batching import BatchPlan, split_by_tokens
from modernbert.errors import Interrupted, TrainingFailed
from modernbert.model.packing import PackedBatch
from modernbert.training.checkpoint import CheckpointStore, Progress
from modernbert.training.config import TrainingConfig
from modernbert.training.objectives import Loss
from modernbert.training.optim import average_and_clip, make_optimizer, rate_factor, set_rate
from modernbert.training.signals import StopRequest


class TrainingData(Protocol):
    """What the loop trains on."""

    @property
    def plan(self) -> BatchPlan:
        """The order of the examples, and their lengths."""

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return the examples at `indices` and their labels."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: all metrics, the one that selects, and anything to call out."""

    metrics: Mapping[str, float]
    main: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepReport:
    """One progress line. `loss` is the mean since the last line; `tokens_per_second` counts no padding."""

    step: int
    total: int
    epoch: float
    loss: float
    rate: float
    gradient_norm: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation, at `step` of `total`."""

    step: int
    total: int
    evaluation: Evaluation
    is_best: bool


@dataclass(frozen=True)
class Notice:
    """Something the user should know, while training goes on."""

    text: str


Observe = Callable[[StepReport | EvaluationReport | Notice], None]


@dataclass
class Fit:
    """Everything one fit works with; `fit` is the only entry."""

    model: nn.Module
    loss: Loss
    data: TrainingData
    config: TrainingConfig
    evaluate: Callable[[nn.Module], Evaluation]
    checkpoints: CheckpointStore
    accelerator: Any
    stop: StopRequest
    observe: Observe
    optimizer: Any = field(init=False)
    progress: Progress = field(init=False)
    total: int = field(init=False)
    clock: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.total = max(1, round(self.config.epochs * self.data.plan.steps_per_epoch))
        self.progress = Progress(max_tokens=self.config.max_tokens)
        optimizer = make_optimizer(self.model, self.config)
        self.model, self.optimizer = self.accelerator.prepare(self.model, optimizer)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.accelerator.device
        return device

    def tick(self) -> None:
        """Add the time since the last tick to the training time."""
        now = time.perf_counter()
        self.progress.seconds += now - self.clock
        self.clock = now

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name."""
        bare = self.accelerator.unwrap_model(self.model)
        return {name: p for name, p in bare.named_parameters() if p.requires_grad}


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
        _restore(work)
    work.clock = time.perf_counter()
    try:
        _run(work)
    except Interrupted as interrupted:
        _save(work)
        interrupted.what += f" at step {work.progress.step} of {work.total}; everything is saved"
        raise
    if work.config.keep == "best" and work.progress.best_step != work.progress.step:
        _put_weights(work, work.checkpoints.load_best(work.progress.best_step))
    return work.progress


def _run(work: Fit) -> None:
    progress = work.progress
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
        meter.add(*_train_step(work, next(batches)))
        progress.step += 1
        if progress.step % work.config.log_every == 0:
            meter.flush()
        if time.monotonic() - saved_at >= work.config.checkpoint_minutes * 60:
            meter.flush()
            _save(work)
            saved_at = time.monotonic()


def _batches_from(plan: BatchPlan, step: int) -> Iterator[np.ndarray]:
    while True:
        epoch, done = divmod(step, plan.steps_per_epoch)
        for indices in plan.epoch(epoch)[done:]:
            yield indices
            step += 1


def _evaluation_is_due(work: Fit) -> bool:
    every = work.config.eval_every or work.data.plan.steps_per_epoch
    return work.progress.step % every == 0 or work.progress.step == work.total


def _patience_ended(work: Fit) -> bool:
    return 0 < work.config.patience <= work.progress.since_best


def _train_step(work: Fit, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Take one optimiser step; return loss sum, gradient norm (on the device), tokens, examples."""
    set_rate(
        work.optimizer, work.config.learning_rate * rate_factor(work.progress.step, work.total, work.config)
    )
    random = _random_state()
    while True:
        try:
            loss, count, tokens = _accumulate(work, indices)
            break
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        work.optimizer.zero_grad()
        _set_random_state(random)
        _halve_budget(work, indices)
    norm = average_and_clip(work.trainable().values(), count, work.config.clip)
    work.optimizer.step()
    work.optimizer.zero_grad()
    return loss / count, norm, tokens, len(indices)


def _accumulate(work: Fit, indices: np.ndarray) -> tuple[torch.Tensor, int, int]:
    """Add up the gradients of a global batch, part by part; return loss sum, its count, and tokens."""
    work.model.train()
    total, count, tokens = torch.zeros((), device=work.device), 0, 0
    for part in split_by_tokens(indices, work.data.plan.lengths, work.progress.max_tokens):
        batch, labels = work.data.batch(part)
        with work.accelerator.autocast():
            logits = work.model(batch.to(work.device))
        loss, size = work.loss(logits, labels.to(work.device))
        work.accelerator.backward(loss)
        total += loss.detach()
        count += size
        tokens += batch.num_tokens
    return total, count, tokens


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _halve_budget(work: Fit, indices: np.ndarray) -> None:
    longest = int(work.data.plan.lengths[indices].max())
    if work.progress.max_tokens <= longest:
        raise TrainingFailed(
            f"out of memory on a single text of {longest} tokens",
            fix=f"Lower --max-length (now up to {longest}), use --lora, or a smaller model.",
        )
    if work.device.type == "cuda":
        torch.cuda.empty_cache()
    work.progress.max_tokens = max(longest, work.progress.max_tokens // 2)
    work.observe(
        Notice(
            f"out of memory: {work.progress.max_tokens} tokens at once from now on; "
            f"the batch stays at {work.config.batch_size} examples"
        )
    )


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
        rate = work.config.learning_rate * rate_factor(progress.step - 1, work.total, work.config)
        work.observe(
            StepReport(
                step=progress.step,
                total=work.total,
                epoch=progress.step / work.data.plan.steps_per_epoch,
                loss=loss,
                rate=rate,
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
        f"(now {work.config.learning_rate:g}; try a third), too short a warm-up "
        f"(now {work.config.warmup:g}), or half precision (try --precision fp32).",
    )


def _evaluate(work: Fit) -> None:
    progress = work.progress
    work.model.eval()
    evaluation = work.evaluate(work.model)
    is_best = evaluation.main > progress.best_score
    if is_best:
        progress.best_step, progress.best_score = progress.step, evaluation.main
    # The untrained model at step 0 shows where training starts from; it costs no patience.
    progress.since_best = 0 if is_best or progress.step == 0 else progress.since_best + 1
    progress.history.append({"step": progress.step, "metrics": dict(evaluation.metrics)})
    if is_best:
        work.checkpoints.save_best(progress.step, _weights(work))
    if progress.step > 0:
        _save(work)
        work.checkpoints.drop_worse(progress.best_step)
    work.tick()
    work.observe(EvaluationReport(progress.step, work.total, evaluation, is_best))


def _weights(work: Fit) -> dict[str, torch.Tensor]:
    return {name: p.detach().cpu() for name, p in work.trainable().items()}


def _put_weights(work: Fit, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in work.trainable().items():
            parameter.copy_(weights[name])


def _save(work: Fit) -> None:
    state = {"weights": _weights(work), "optimizer": work.optimizer.state_dict(), "random": _random_state()}
    work.checkpoints.save_state(work.progress, state)


def _restore(work: Fit) -> None:
    folder = work.checkpoints.last()
    if folder is None:
        return
    work.progress, state = work.checkpoints.load_state(folder)
    _put_weights(work, state["weights"])
    work.optimizer.load_state_dict(state["optimizer"])
    _set_random_state(state["random"])
    left = work.total - work.progress.step
    work.observe(Notice(f"resuming at step {work.progress.step} of {work.total}, {left} left"))


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
