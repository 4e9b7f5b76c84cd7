"""Attention in bf16 on the CPU, unmasked: plain matrix products over blocks of scores.

torch's fused kernel for the CPU computes in fp32 whatever its inputs are. oneDNN's bf16 products are so much
faster that scores which go through memory, in blocks that stay in the cache, still win. In inference, scores
are rounded to bf16, as in transformers' eager attention. For gradients they are not: a score of 20 is off by
up to 0.06 then, a weight by 6 %, and its gradient with it.

Shape suffixes: B sequences side by side, H heads, G sequences times heads, Q queries, K keys, D head size,
E head size and the columns that take the softmax's part of the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

# Scores that a thread works on at once: 2 MiB in bf16, about a core's cache.
MAX_SCORES = 2**20
# Fewer keys are as fast in the fused kernel.
MIN_KEYS = 128


def attend_bf16(q_BHQD: torch.Tensor, k_BHKD: torch.Tensor, v_BHKD: torch.Tensor) -> torch.Tensor:
    """Attend without a mask.

    Returns:
        Attended values, bf16, shape (B, H, Q, D).
    """
    q_GQD, k_GKD, v_GKD = _flat(_scaled(q_BHQD)), _flat(k_BHKD), _flat(v_BHKD)
    out_GQD = torch.empty_like(q_GQD)
    blocks = _Blocks(len(q_GQD), q_GQD.shape[1], k_GKD.shape[1])
    space = blocks.space()
    for group, rows in blocks:
        weights_GQK = _product(q_GQD[group, rows], k_GKD[group], space)
        torch.softmax(weights_GQK, -1, out=weights_GQK)
        out_GQD[group, rows] = torch.bmm(weights_GQK, v_GKD[group])
    return out_GQD.view(q_BHQD.shape)


def differentiate_bf16(
    grad_BHQD: torch.Tensor,
    out_BHQD: torch.Tensor,
    q_BHQD: torch.Tensor,
    k_BHKD: torch.Tensor,
    v_BHKD: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of queries, keys and values, fp32, in the shapes of what they belong to.

    Weights are computed again, from exact scores. What a softmax subtracts from each row of its gradient is
    known beforehand (Dao et al. 2022, arXiv:2205.14135, appendix B.2) and so goes into the product before
    anything is rounded, as two more columns: its bf16 value and the rest.

    Args:
        grad_BHQD: the gradient of the attended values.
        out_BHQD: the attended values.
        q_BHQD: queries.
        k_BHKD: keys.
        v_BHKD: values.
    """
    sum_BHQ1 = (grad_BHQD.float() * out_BHQD).sum(-1, keepdim=True)
    high_BHQ1 = sum_BHQ1.bfloat16()
    one_BHK1 = v_BHKD.new_ones(*v_BHKD.shape[:3], 1)
    grad_GQE = _flat(torch.cat((grad_BHQD, -high_BHQ1, high_BHQ1 - sum_BHQ1), -1))
    v_GKE = _flat(torch.cat((v_BHKD, one_BHK1, one_BHK1), -1))
    exact_GQD, exact_GKD = _flat(_scaled(q_BHQD), torch.float32), _flat(k_BHKD, torch.float32)
    grad_GQD, q_GQD, k_GKD = _flat(grad_BHQD), exact_GQD.bfloat16(), exact_GKD.bfloat16()
    dq_GQD = torch.empty_like(exact_GQD)
    dk_GKD, dv_GKD = torch.zeros_like(exact_GKD), torch.zeros_like(exact_GKD)
    blocks = _Blocks(len(q_GQD), q_GQD.shape[1], k_GKD.shape[1])
    exact, space, weights = blocks.space(torch.float32), blocks.space(), blocks.space()
    for group, rows in blocks:
        exact_GQK = _product(exact_GQD[group, rows], exact_GKD[group], exact)
        torch.softmax(exact_GQK, -1, out=exact_GQK)
        weights_GQK = _shaped(weights, exact_GQK.shape).copy_(exact_GQK)
        dv_GKD[group] += torch.bmm(weights_GQK.transpose(1, 2), grad_GQD[group, rows])
        scores_GQK = _product(grad_GQE[group, rows], v_GKE[group], space).mul_(weights_GQK)
        dq_GQD[group, rows] = torch.bmm(scores_GQK, k_GKD[group])
        dk_GKD[group] += torch.bmm(scores_GQK.transpose(1, 2), q_GQD[group, rows])
    return _scaled(dq_GQD).view(q_BHQD.shape), dk_GKD.view(k_BHKD.shape), dv_GKD.view(v_BHKD.shape)


def _flat(x_BHLD: torch.Tensor, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return x_BHLD.to(dtype, memory_format=torch.contiguous_format).flatten(0, 1)


def _scaled(q: torch.Tensor) -> torch.Tensor:
    return q / math.sqrt(q.shape[-1])


def _product(a_GQD: torch.Tensor, b_GKD: torch.Tensor, space: torch.Tensor) -> torch.Tensor:
    """Return a b^T in the memory of `space`, in its dtype (autocast changes no product with an `out`)."""
    out_GQK = _shaped(space, (a_GQD.shape[0], a_GQD.shape[1], b_GKD.shape[1]))
    return torch.bmm(a_GQD, b_GKD.transpose(1, 2), out=out_GQK)


def _shaped(space: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return space[: math.prod(shape)].view(shape)


class _Blocks:
    """How the scores are cut: which groups, which queries.

    All blocks share their memory: getting it anew each time takes as long as a product. A thread takes whole
    groups, at most `MAX_SCORES`: torch's fp32 product would not share one.
    """

    def __init__(self, groups: int, queries: int, keys: int) -> None:
        self.groups, self.queries, self.keys = groups, queries, keys
        self.rows = max(1, min(queries, MAX_SCORES // keys))
        self.some = min(groups, max(1, MAX_SCORES // (self.rows * keys)) * torch.get_num_threads())

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        for group in range(0, self.groups, self.some):
            for row in range(0, self.queries, self.rows):
                yield slice(group, group + self.some), slice(row, row + self.rows)

    def space(self, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        """Return memory for one block."""
        return torch.empty(self.some * self.rows * self.keys, dtype=dtype)
