"""Which attention backend runs, and why: the fastest that is present and agrees with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from modernbert.model import varlen
from modernbert.model.attention import BACKENDS, Attend
from modernbert.model.layout import Layout
from modernbert.model.packing import PackedBatch
from modernbert.model.rotary import Rotary

# What may differ from the reference in fp32: the order of summation, and the rounding of half precision.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
WITHOUT = "linear layers run without padding"
REASONS = {
    "flash": "flash-attn is installed: no padding anywhere, local layers look at their neighbourhood only",
    "varlen": "comes with torch: no padding anywhere, local layers look at their neighbourhood only",
    "blocked": "on a CPU: no padding anywhere, local layers look at their neighbourhood only",
}


@dataclass(frozen=True)
class ChosenBackend:
    """Which backend runs, and why."""

    backend: str
    reason: str

    def __str__(self) -> str:
        """Return what is shown: `blocked` alone would read as if something blocked it."""
        return f"{'in blocks' if self.backend == 'blocked' else self.backend} ({self.reason})"


@cache
def choose_backend(device: torch.device, dtype: torch.dtype) -> ChosenBackend:
    """Choose the backend for a device and for the type that its linear layers give.

    A backend proves itself first, see `self_test`; where none is left it is `padded` that runs.
    """
    against = []
    for backend in ("blocked",) if device.type == "cpu" else ("flash", "varlen"):
        fault = "" if backend == "blocked" else varlen.missing(backend, device, dtype)
        if not fault and (wrong := self_test(backend, device, dtype)):
            fault = f"failed its self-test: {wrong}"
        if not fault:
            return ChosenBackend(backend, REASONS[backend])
        against.append(f"{backend}: {fault}")
    return ChosenBackend("padded", f"{'; '.join(against)}; {WITHOUT}")


@torch.inference_mode(False)  # whoever asks first, the answer is for training too
def self_test(backend: str, device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Compare a backend with `reference` in fp32 on a few short texts, forward and backward.

    Takes milliseconds on a CPU. Between texts of 150, 33, 33 and 1 tokens any leak would show.

    Returns:
        What is wrong, or nothing.
    """
    draw = torch.Generator().manual_seed(0)
    layout = Layout(PackedBatch.of_lengths([150, 33, 33, 1], device))
    qkv_T3HD = torch.randn(217, 3, 2, 16, generator=draw).to(device)
    angle_T1D = layout.batch.positions_T[:, None, None] * torch.linspace(0.01, 1, 8, device=device)
    rotary = Rotary(angle_T1D.cos(), angle_T1D.sin())
    try:
        for window in (None, 16):
            found = _with_gradient(BACKENDS[backend], qkv_T3HD.to(dtype), rotary, layout, window)
            true = _with_gradient(BACKENDS["reference"], qkv_T3HD, rotary, layout, window)
            for ours, theirs in zip(found, true, strict=True):
                scale = float(theirs.abs().max())
                difference = float((ours.float() - theirs).abs().max()) / max(1.0, scale)
                if not difference < TOLERANCE[dtype]:
                    return f"differs from the reference by {difference:.2g}"
    except (RuntimeError, AttributeError, ImportError, TypeError) as error:  # a kernel that is not there
        return str(error).splitlines()[0]
    return ""


def _with_gradient(
    attend: Attend, qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad(), torch.autocast(qkv_T3HD.device.type, enabled=False):
        leaf_T3HD = qkv_T3HD.clone().requires_grad_()
        out_THD = attend(leaf_T3HD, rotary, layout, window, 0.0)
        out_THD.float().square().sum().backward()  # type: ignore[no-untyped-call]
    assert leaf_T3HD.grad is not None
    return out_THD.detach(), leaf_T3HD.grad
