"""One optimiser step: a global batch, added up part by part, in parts that fit into memory."""

from __future__ import annotations

import numpy as np
import torch

from modernbert.errors import TrainingFailed
from modernbert.training.optim import average_and_clip, set_rate
from modernbert.training.reports import Notice
from modernbert.training.state import TrainState, random_state, set_random_state
from modernbert.wording import counted


def train_step(state: TrainState, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Take one optimiser step; return loss sum, gradient norm (on the device), tokens, examples."""
    set_rate(state.optimizer, state.rate(state.progress.step))
    random = random_state()
    while True:
        try:
            state.model.train()
            sums = state.objective.accumulate(
                state.model,
                state.data,
                indices,
                max_tokens=state.progress.max_tokens,
                accelerator=state.accelerator,
            )
            break
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        state.optimizer.zero_grad()
        set_random_state(random)
        _halve_budget(state, indices)
    norm = average_and_clip(state.trainable().values(), sums.count, state.config.optimizer.clip)
    state.optimizer.step()
    state.optimizer.zero_grad()
    return sums.loss / sums.count, norm, sums.tokens, len(indices)


# How a CPU's allocator, CUDA itself and cuBLAS say it; torch's own allocator has a class for it.
OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def _is_out_of_memory(error: RuntimeError) -> bool:
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(text in said for text in OUT_OF_MEMORY)


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
