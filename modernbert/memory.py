"""Memory: peaks of this process and of the GPU, and an allocator that keeps what it will need again."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def start_measuring_memory() -> None:
    """Forget earlier peaks, where the system can (Linux: /proc/self/clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def prepare_cpu_memory() -> None:
    """Set both allocators that a CPU run uses; must come before the process's first matrix product."""
    keep_few_kernels()
    _keep_freed_memory()


def keep_few_kernels() -> None:
    """Let oneDNN, and torch above it, keep 64 compiled kernels each instead of 1,024.

    Must come before the process's first matrix product.

    A kernel is compiled for every shape. Packed batches seldom repeat a shape, so old kernels are never
    used again; for a small encoder they came to half a GiB, and without them training is not slower.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "64")


def _keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next step instead of giving them back to the system.

    Every training step allocates the same large tensors again; by default each comes as fresh pages that
    the system must clear first, which takes a tenth of a small encoder's step on a CPU.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD in malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, 2**30)
    libc.mallopt(trim_threshold, 2**31 - 1)


def peak_memory() -> dict[str, float]:
    """Return peaks in MiB: `process` (resident) and, with a GPU, `gpu` (allocated)."""
    peaks = {"process": round(_peak_resident_kib() / 1024, 1)}
    if torch.cuda.is_available():
        peaks["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return peaks


def free_memory() -> float:
    """Return how many bytes this machine can still give; infinity where the system does not say."""
    facts = Path("/proc/meminfo")
    if not facts.is_file():
        return math.inf
    line = next(line for line in facts.read_text().splitlines() if line.startswith("MemAvailable"))
    return float(line.split()[1]) * 1024


def working_memory(work: Callable[[], Any]) -> float:
    """Return how far the peak rises above the start while `work` runs, in MiB: on the GPU if there is one."""
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        start_measuring_memory()
        work()
        return float(torch.cuda.max_memory_allocated() - before) / 2**20
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # what earlier work left must not hide what this work takes
    start_measuring_memory()
    before_kib = _peak_resident_kib()
    work()
    return (_peak_resident_kib() - before_kib) / 1024


# How a CPU's allocator, CUDA itself and cuBLAS say it; torch's own allocator has a class for it.
OUT_OF_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Does an error of torch say that memory ran out?"""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(text in said for text in OUT_OF_MEMORY)


def _peak_resident_kib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1])
    import resource  # which Windows lacks

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
