"""GPU kernels' stand-ins on a CPU: the same arguments, checked, and the same results, slowly."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
from torch.nn.functional import scaled_dot_product_attention


def varlen_attn(q, k, v, starts_q, starts_k, longest_q, longest_k, *, window_size=(-1, -1)):
    """Do what `torch.nn.attention.varlen.varlen_attn` documents, one sequence at a time."""
    assert starts_q.dtype == starts_k.dtype == torch.int32
    assert longest_q == longest_k == int(starts_q.diff().max())
    assert isinstance(longest_q, int), "a tensor here would make the host wait for the GPU"
    left, right = window_size
    outs = []
    for start, end in zip(starts_q.tolist(), starts_q.tolist()[1:], strict=False):
        place = torch.arange(end - start)
        offset = place[None, :] - place[:, None]
        seen = torch.ones_like(offset, dtype=torch.bool)
        if left >= 0:
            seen &= offset >= -left
        if right >= 0:
            seen &= offset <= right
        heads = (x[start:end].transpose(0, 1) for x in (q, k, v))
        outs.append(scaled_dot_product_attention(*heads, attn_mask=seen).transpose(0, 1))
    return torch.cat(outs)


def flash_attn_varlen_func(
    q, k, v, starts_q, starts_k, longest_q, longest_k, dropout_p=0.0, window_size=(-1, -1)
):
    """Do what flash-attn documents for packed sequences; dropout is not tried here."""
    assert dropout_p == 0
    return varlen_attn(q, k, v, starts_q, starts_k, longest_q, longest_k, window_size=window_size)


def on_cpu(stand_in: Callable, real: Callable | None) -> Callable:
    """Return a kernel that is a stand-in for tensors on a CPU and `real` for all others."""

    @wraps(stand_in)
    def kernel(q, *others, **options):
        if q.device.type == "cpu":
            return stand_in(q, *others, **options)
        if real is None:
            raise ImportError("the kernel is not installed")
        return real(q, *others, **options)

    return kernel
