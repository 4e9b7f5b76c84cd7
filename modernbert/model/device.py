"""Which device, which precision, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from modernbert.activity import explain
from modernbert.errors import BadOption

# int8 is an export's; torch computes in the other two.
Precision = Literal["fp32", "bf16", "int8"]

# Tokens in memory at once, by device. On a CPU more brings no speed; a GPU wants to be filled.
MAX_TOKENS = {"cpu": 2048, "mps": 8192, "cuda": 65536}
# With AMX, batches of 8,192 tokens take two thirds of the time of batches of 2,048: its units stand still
# between small products. Training has no use for it: there activations count.
AMX_TOKENS = 8192


@dataclass(frozen=True)
class Machine:
    """The device and precision of a run, each with its reason."""

    device: str
    device_reason: str
    precision: Precision
    precision_reason: str

    @property
    def dtype(self) -> torch.dtype:
        """What linear layers compute in."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def inference_tokens(self) -> int:
        """Tokens of a batch that fill the device where nothing is kept for a backward pass."""
        if self.device == "cpu" and self.precision == "bf16" and has_amx():
            return AMX_TOKENS
        return MAX_TOKENS[self.device]


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """Choose a device (`auto`, `cpu`, `cuda`, `mps`) and a precision (`auto`, `fp32`, `bf16`).

    Weights stay in fp32; bf16 means autocast.

    Raises:
        BadOption: the device or precision is unknown or not present.
    """
    chosen, why = _choose_device(device)
    supported, reason = bf16_support(chosen)
    if precision not in ("auto", "fp32", "bf16"):
        raise BadOption(f"there is no precision '{precision}'", fix="Use auto, fp32 or bf16.")
    if precision == "auto":
        machine = Machine(chosen, why, "bf16" if supported else "fp32", reason)
    elif precision == "bf16" and not supported:
        machine = Machine(chosen, why, "bf16", f"as asked, though {reason}")
    else:
        machine = Machine(chosen, why, "bf16" if precision == "bf16" else "fp32", "as asked")
    explain("device", f"{machine.device} ({machine.device_reason})")
    explain("precision", f"{machine.precision} ({machine.precision_reason})")
    explain("threads", str(torch.get_num_threads()))
    return machine


def _choose_device(device: str) -> tuple[str, str]:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        best = next(name for name, there in present.items() if there)
        return best, "the fastest device present"
    if not present.get(device):
        there = ", ".join(name for name, yes in present.items() if yes)
        raise BadOption(f"there is no device '{device}' here", fix=f"Present: {there}.")
    return device, "as asked"


@cache
def has_amx() -> bool:
    """Does the CPU multiply matrices of bf16 in units of their own (Intel, from Sapphire Rapids on)?"""
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16"))


def bf16_support(device: str) -> tuple[bool, str]:
    """Does `device` compute in bfloat16 faster than in fp32?"""
    if device == "cuda":
        supported = torch.cuda.get_device_capability() >= (8, 0)
        return supported, "the GPU has bf16 units" if supported else "the GPU is older than Ampere"
    if device == "cpu":
        capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
        found = [name for name in ("amx_bf16", "avx512_bf16") if capabilities.get(name)]
        return bool(found), f"the CPU has {found[0]}" if found else "the CPU has no bf16 instructions"
    return False, f"autocast to bf16 is not tried on {device}"


def _instructions(capabilities: Mapping[str, Any]) -> str:
    """Return the best instructions for products of matrices: processors of one name may differ in them."""
    best = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bf16", "avx512_f": "AVX-512", "avx2": "AVX2"}
    return next((name for key, name in best.items() if capabilities.get(key)), "")


def describe_hardware() -> dict[str, Any]:
    """Return what a reader needs to compare timings: processor, its instructions, threads, GPU."""
    import platform

    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": capabilities.get("cpu_name") or platform.processor(),
        "instructions": _instructions(capabilities),
        "cores": capabilities.get("num_physical_cores"),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": platform.platform(terse=True),
    }
