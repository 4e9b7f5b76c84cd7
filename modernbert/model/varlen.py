"""Attention on a GPU: kernels that take packed sequences and a window, with no padding and no mask.

Both know half precision only, and neither asks the host for anything: the cumulative lengths stay on the
device and the longest length is a Python number already.

Shape suffixes: T tokens of all sequences, H heads, D head size.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from modernbert.model.rotary import Rotary, rotated

if TYPE_CHECKING:
    from modernbert.model.layout import Layout

HALF = (torch.float16, torch.bfloat16)
OLDEST_GPU = (8, 0)  # Ampere: what both kernels are compiled for


def varlen(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Attend with the kernel that comes with torch; arguments and result as `attention.reference`.

    It knows no dropout of attention weights: ModernBERT trains without.
    """
    from torch.nn.attention.varlen import varlen_attn

    assert not dropout, "torch's kernel has no dropout"
    q_THD, k_THD, v_THD = rotated(qkv_T3HD, rotary)
    starts, longest = layout.starts32_N1, layout.batch.max_length
    out_THD = varlen_attn(
        q_THD, k_THD, v_THD, starts, starts, longest, longest, window_size=both_sides(window)
    )
    assert isinstance(out_THD, torch.Tensor)
    return out_THD


def flash(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Attend with the package flash-attn; arguments and result as `attention.reference`."""
    q_THD, k_THD, v_THD = rotated(qkv_T3HD, rotary)
    starts, longest = layout.starts32_N1, layout.batch.max_length
    out_THD: torch.Tensor = flash_kernel()(
        q_THD, k_THD, v_THD, starts, starts, longest, longest, dropout, window_size=both_sides(window)
    )
    return out_THD


def flash_kernel() -> Callable[..., torch.Tensor]:
    """Return flash-attn's function for packed sequences; ImportError where it is not installed."""
    from flash_attn import flash_attn_varlen_func

    kernel: Callable[..., torch.Tensor] = flash_attn_varlen_func
    return kernel


def both_sides(window: int | None) -> tuple[int, int]:
    """Return the kernels' window: tokens to the left and right, -1 for all."""
    return (-1, -1) if window is None else (window, window)


def missing(backend: str, device: torch.device, dtype: torch.dtype) -> str:
    """Return why a backend cannot run here, or nothing."""
    if device.type != "cuda":
        return "there is no CUDA device"
    if dtype not in HALF:
        return f"its kernel does not compute in {str(dtype).removeprefix('torch.')}"
    if torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return "the GPU is older than Ampere"
    module = {"flash": "flash_attn", "varlen": "torch.nn.attention.varlen"}[backend]
    return "" if importlib.util.find_spec(module) else f"{module} is not installed"
