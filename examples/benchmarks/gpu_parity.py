"""gpu.py's parity: attention backends beside the reference, whole models beside transformers."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modernbert.benchmark.workloads import Workload, of_lengths
from modernbert.model import varlen
from modernbert.model.attention import BACKENDS
from modernbert.model.backends import TOLERANCE, ChosenBackend, self_test
from modernbert.model.encoder import PackedClassifier
from modernbert.model.packing import pack

if TYPE_CHECKING:
    from gpu import Bench, Record

LENGTHS = [1, 63, 64, 65, 127, 128, 129, 512, 300]


def kernels(bench: Bench, record: Record, until: float) -> None:
    """Compare every backend with the reference."""
    for backend in BACKENDS:
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            if backend == "blocked" and bench.device.type != "cpu":
                continue
            on_cpu = backend in ("flash", "varlen") and bench.device.type == "cpu"
            fault = "needs a GPU" if on_cpu else ""
            if backend in ("flash", "varlen") and not fault:
                fault = varlen.missing(backend, bench.device, dtype)
            fault = fault or self_test(backend, bench.device, dtype)
            record.add("kernels", {
                "backend": backend, "dtype": str(dtype), "fault": fault, "tolerance": TOLERANCE[dtype]
            })  # fmt: skip


def parity(bench: Bench, record: Record, until: float) -> None:
    """Compare logits and gradients of whole models with transformers' eager attention in fp32."""
    mixes = {"edges": LENGTHS, "8192": [8192, 1, 700]} if not bench.tiny else {"edges": [1, 9, 70]}
    for nano in (True,) if bench.tiny else (True, False):
        for name, lengths in mixes.items():
            eager = bench.model("eager" if name == "edges" else "sdpa", layers=6, nano=nano).to(bench.device)
            work = of_lengths(name, lengths, eager.config.vocab_size)
            exact = alone(bench, eager, work)
            for backend in ("reference", "padded", "varlen", "flash"):
                for precision in ("fp32", "bf16"):
                    if time.monotonic() > until:
                        return
                    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
                    if backend in ("varlen", "flash") and varlen.missing(backend, bench.device, dtype):
                        continue
                    try:
                        row = compare(bench, eager, work, backend, precision, exact)
                        record.add("parity", {"nano": nano, "work": name, **row})
                    except Exception as error:
                        record.fail("parity", f"{name}, {backend}, {precision}", error)
            theirs = alone(bench, eager, work, mixed=True)
            far = {"logits": furthest(theirs[0], exact[0]), "gradient": relative(theirs[1], exact[1])}
            record.add("parity", {
                "nano": nano, "work": name, "backend": "transformers", "precision": "bf16", **far
            })  # fmt: skip
            del eager
            bench.forget()


def compare(bench: Bench, model: Any, work: Workload, backend: str, precision: str, exact: Any) -> dict:
    packed = PackedClassifier(copy.deepcopy(model), ChosenBackend(backend, "asked for"))
    batch = pack(work.tokens, range(len(work.tokens))).to(bench.device)
    with torch.autocast(bench.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = packed(batch)
    found = logits.detach().float().cpu(), gradient(packed.model, logits)
    return {
        "backend": backend, "precision": precision,
        "logits": furthest(found[0], exact[0]), "gradient": relative(found[1], exact[1]),
    }  # fmt: skip


def alone(bench: Bench, model: Any, work: Workload, mixed: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return transformers' own logits and gradient, each text alone."""
    model = copy.deepcopy(model)
    rows = []
    with torch.autocast(bench.device.type, torch.bfloat16, enabled=mixed):
        for start, end in zip(work.tokens.starts[:-1], work.tokens.starts[1:], strict=True):
            ids = torch.from_numpy(work.tokens.ids[start:end].astype(np.int64))[None].to(bench.device)
            rows.append(model(input_ids=ids).logits)
    logits = torch.cat(rows)
    return logits.detach().float().cpu(), gradient(model, logits)


def gradient(model: Any, logits: torch.Tensor) -> torch.Tensor:
    logits.float().square().sum().backward()
    return torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None]).cpu()


def furthest(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max())


def relative(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).norm() / second.norm())
