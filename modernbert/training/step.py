"""One optimiser step: a global batch, added up part by part, in parts that fit into memory.

Several processes each add up their share, then sum the gradients once. This is not left to torch's
`DistributedDataParallel`, which sends gradients in the midst of a backward pass, the same number of times in
each process: here a share is any number of parts, or none, and memory may run out in one process alone.
Where the weights are divided (`sharding`), FSDP2 has summed the gradients already, and only words are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert import meeting, processes
from modernbert.errors import ProcessLost, TrainingFailed
from modernbert.memory import is_out_of_memory
from modernbert.training.objectives import BatchLoss, Redrawn
from modernbert.training.optim import average_and_clip, set_rate
from modernbert.training.reports import Notice
from modernbert.training.state import TrainState, random_state, set_random_state
from modernbert.wording import counted


def train_step(state: TrainState, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Take one optimiser step; return mean loss, gradient norm (on the device), tokens, examples.

    Raises:
        TrainingFailed: a single text does not fit into memory.
        ProcessLost: another process has ended; weights and optimiser are as they were before the step.
    """
    set_rate(state.optimizer, state.rate(state.progress.step))
    random = _random_state(state)
    while (sums := _accumulate(state, indices)) is None:
        state.optimizer.zero_grad()
        set_random_state(random)
        _halve_budget(state, indices)
    norm = average_and_clip(state.trainable().values(), sums.count, state.config.optimizer.clip)
    state.optimizer.step()
    state.optimizer.zero_grad()
    return sums.loss / sums.count, norm, sums.tokens, len(indices)


def _random_state(state: TrainState) -> dict[str, Any]:
    """Return the random state before the step; of several processes, each has its own in every step."""
    if processes.count() > 1:
        numbers = (state.config.run.seed, state.progress.step, processes.number())
        torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
    return random_state()


@dataclass(frozen=True)
class _Said:
    """What a process tells the others of its share, before any gradient is sent.

    Attributes:
        out_of_memory: its share did not fit.
        signal_number: a signal has asked it to stop; 0 for none.
        save_is_due: by its clock, it is time for a checkpoint.
        tokens: of its share.
        has_gradient: of each parameter.
    """

    out_of_memory: bool
    signal_number: int
    save_is_due: bool
    tokens: int
    has_gradient: tuple[bool, ...]


def _accumulate(state: TrainState, indices: np.ndarray) -> BatchLoss | None:
    """Add the gradients of a batch up, over all processes; None where memory ran out in one of them."""
    try:
        state.model.train()
        data = state.data.at(state.progress.step) if isinstance(state.data, Redrawn) else state.data
        sums = state.objective.accumulate(
            state.model,
            data,
            indices,
            max_tokens=state.progress.max_tokens,
            accelerator=state.accelerator,
        )
    except RuntimeError as error:
        if state.divided:
            raise _why_all_end(state, error) from error
        if not is_out_of_memory(error):
            raise
        sums = None
    return sums if processes.count() == 1 else _of_all(state, sums)


def _why_all_end(state: TrainState, error: RuntimeError) -> Exception:
    """Return what an error means amid messages that the others wait for: none of them can go on."""
    if is_out_of_memory(error):
        return TrainingFailed(
            f"out of memory in process {processes.number() + 1} of {processes.count()}, "
            f"with at most {state.progress.max_tokens} tokens at once",
            fix="With --shard the budget is not halved while training runs: set a smaller --max-tokens.",
        )
    return ProcessLost(meeting.silence() or meeting.ENDED) if meeting.is_closed(error) else error


def _of_all(state: TrainState, own: BatchLoss | None) -> BatchLoss | None:
    """Put the shares of all processes together."""
    parameters = list(state.trainable().values())
    has_gradient = tuple(p.grad is not None for p in parameters)
    said = _Said(
        out_of_memory=own is None,
        signal_number=state.stop.signal_number or 0,
        save_is_due=state.save_is_due(),
        tokens=own.tokens if own else 0,
        has_gradient=has_gradient,
    )
    heard = processes.all_say(said)
    state.all_save = heard[0].save_is_due
    if asked := max(said.signal_number for said in heard):
        state.stop.signal_number, state.all_stop = asked, True
    if own is None or any(said.out_of_memory for said in heard):
        return None
    if not state.divided:
        _add_gradients(parameters, [said.has_gradient for said in heard])
    sums = torch.stack([own.loss.double(), torch.as_tensor(own.count, device=own.loss.device).double()])
    processes.add_up([sums])
    return BatchLoss(sums[0].float(), sums[1].float(), sum(said.tokens for said in heard))


def _add_gradients(parameters: list[nn.Parameter], has_gradient: list[tuple[bool, ...]]) -> None:
    grads = []
    for parameter, *there in zip(parameters, *has_gradient, strict=True):
        if any(there):  # a parameter without a gradient anywhere has none: its weight must not decay
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            grads.append(parameter.grad)
    processes.add_up(grads)


def _halve_budget(state: TrainState, indices: np.ndarray) -> None:
    longest = int(state.data.plan.lengths[indices].max())
    if state.progress.max_tokens <= longest:
        raise TrainingFailed(
            f"out of memory on a single text of {longest} tokens",
            fix=f"Lower --max-length (now up to {longest}), use --lora, or a smaller model.",
        )
    if state.device.type == "cuda":
        torch.cuda.empty_cache()
    state.progress.max_tokens = max(longest, state.progress.max_tokens // 2)
    state.observe(
        Notice(
            f"out of memory: {state.progress.max_tokens} tokens at once from now on; "
            f"the batch stays at {counted(state.config.optimizer.batch_size, 'example')}"
        )
    )
