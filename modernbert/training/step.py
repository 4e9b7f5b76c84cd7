"""One optimiser step: a global batch, added up part by part, in parts that fit into memory."""

from __future__ import annotations

import numpy as np
import torch

from modernbert.errors import TrainingFailed
from modernbert.training.optim import average_and_clip, set_rate
from modernbert.training.reports import Notice
from modernbert.training.state import Fit, random_state, set_random_state
from modernbert.wording import counted


def train_step(work: Fit, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Take one optimiser step; return loss sum, gradient norm (on the device), tokens, examples."""
    set_rate(work.optimizer, work.rate(work.progress.step))
    random = random_state()
    while True:
        try:
            work.model.train()
            sums = work.objective.accumulate(
                work.model,
                work.data,
                indices,
                max_tokens=work.progress.max_tokens,
                accelerator=work.accelerator,
            )
            break
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        work.optimizer.zero_grad()
        set_random_state(random)
        _halve_budget(work, indices)
    norm = average_and_clip(work.trainable().values(), sums.count, work.config.optimizer.clip)
    work.optimizer.step()
    work.optimizer.zero_grad()
    return sums.loss / sums.count, norm, sums.tokens, len(indices)


# How a CPU's allocator, CUDA itself and cuBLAS say it; torch's own allocator has a class for it.
OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def _is_out_of_memory(error: RuntimeError) -> bool:
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(text in said for text in OUT_OF_MEMORY)


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
            f"the batch stays at {counted(work.config.optimizer.batch_size, 'example')}"
        )
    )
