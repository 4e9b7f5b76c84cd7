"""Peak memory of this process, and of the GPU."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import torch


def start_measuring_memory() -> None:
    """Forget earlier peaks, where the system can (Linux: /proc/self/clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> dict[str, float]:
    """Return peaks in MiB: `process` (resident) and, with a GPU, `gpu` (allocated)."""
    peaks = {"process": round(_peak_resident_kib() / 1024, 1)}
    if torch.cuda.is_available():
        peaks["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peaks


def _peak_resident_kib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
