"""Attention in bf16 on the CPU, for asking a model: plain matrix products over blocks of queries.

torch's fused kernel for the CPU computes in fp32 whatever its inputs are. oneDNN's bf16 products are so much
faster that scores which go through memory, in blocks that stay in the cache, still win.

Shape suffixes: B sequences side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

import torch

# Scores in memory at once: 16 MiB in bf16.
MAX_SCORES = 2**23
# Fewer keys are as fast in the fused kernel.
MIN_KEYS = 128


def attend_half(q_BHQD: torch.Tensor, k_BHKD: torch.Tensor, v_BHKD: torch.Tensor) -> torch.Tensor:
    """Attend without a mask. Scores and weights are rounded to bf16, sums are taken in fp32.

    Returns:
        Attended values, bf16, shape (B, H, Q, D).
    """
    scale = q_BHQD.shape[-1] ** -0.5
    out_BHQD = q_BHQD.new_empty(q_BHQD.shape, dtype=torch.bfloat16)
    for q_HQD, k_HKD, v_HKD, out_HQD in zip(q_BHQD, k_BHKD, v_BHKD, out_BHQD, strict=True):
        q_HQD = (q_HQD * scale).bfloat16().contiguous()
        k_HDK = k_HKD.transpose(1, 2).bfloat16().contiguous()
        v_HKD = v_HKD.bfloat16().contiguous()
        rows = max(1, MAX_SCORES // (k_HDK.shape[0] * k_HDK.shape[2]))
        for start in range(0, q_HQD.shape[1], rows):
            part = slice(start, start + rows)
            weights_HQK = torch.bmm(q_HQD[:, part], k_HDK)
            torch.softmax(weights_HQK, -1, out=weights_HQK)
            out_HQD[:, part] = torch.bmm(weights_HQK, v_HKD)
    return out_BHQD
