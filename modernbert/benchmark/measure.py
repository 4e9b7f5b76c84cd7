"""Measure engines side by side: they take turns, so that a machine that slows down slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert.benchmark.engines import Engine, Setting
from modernbert.benchmark.workloads import Workload
from modernbert.memory import working_memory
from modernbert.model.inference import PackedLinear, packing_fault

# fp32 logits may differ by the order of summation; bf16 may not be much further off than transformers' own.
FP32_TOLERANCE = 1e-4
BF16_SLACK = 1.5
# Seconds between two engines.
REST = 0.2


@dataclass(frozen=True)
class Measurement:
    """One workload. Dictionaries are by engine.

    Attributes:
        seconds: of each round.
        tokens_per_second: median over rounds; padding is not counted as tokens.
        speedup: median over rounds of that engine's seconds by mbert's.
        working_memory_mib: what a pass takes beyond weights and optimiser.
        difference: largest distance of logits from transformers' in fp32, each text alone; None in training.
        agrees: are mbert's logits as near to those as they should be?
        share_of_ceiling: mbert's arithmetic rate by that of one large matrix product here; None if unknown.
    """

    work: str
    texts: int
    tokens: int
    seconds: dict[str, list[float]]
    tokens_per_second: dict[str, float]
    speedup: dict[str, float]
    working_memory_mib: dict[str, float]
    difference: dict[str, float] | None
    agrees: bool | None
    share_of_ceiling: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def measure(
    engines: Sequence[Engine],
    workload: Workload,
    *,
    rounds: int,
    exact: np.ndarray | None = None,
    operations: float | None = None,
) -> Measurement:
    """Run every engine once to warm up and compare, once for its memory, then `rounds` times in turn.

    Args:
        engines: one of them is called `mbert`.
        workload: the texts.
        rounds: how often each is timed.
        exact: logits to compare with, shape (N, C).
        operations: floating-point operations of a pass without padding, for `share_of_ceiling`.
    """
    setting = engines[0].setting
    first = {engine.name: engine.run(workload.tokens) for engine in engines}
    far = None
    if exact is not None:
        far = {name: float(np.abs(logits - exact).max()) for name, logits in first.items()}
    memory = {e.name: working_memory(lambda e=e: e.run(workload.tokens)) for e in engines}  # type: ignore[misc]
    seconds: dict[str, list[float]] = {engine.name: [] for engine in engines}
    ceilings = []
    for _ in range(rounds):
        if operations:
            ceilings.append(matmul_rate(setting))
        for engine in engines:
            seconds[engine.name].append(_time(engine, workload))
    ours = seconds["mbert"]
    share = operations / statistics.median(ours) / statistics.median(ceilings) if operations else None
    return Measurement(
        work=workload.name,
        texts=len(workload.tokens),
        tokens=workload.num_tokens,
        seconds=seconds,
        tokens_per_second={n: workload.num_tokens / statistics.median(s) for n, s in seconds.items()},
        speedup={
            n: statistics.median(a / b for a, b in zip(s, ours, strict=True)) for n, s in seconds.items()
        },
        working_memory_mib=memory,
        difference=far,
        agrees=None if far is None else _agrees(far, setting),
        share_of_ceiling=share,
    )


def _agrees(far: dict[str, float], setting: Setting) -> bool:
    limit = FP32_TOLERANCE if setting.machine.precision == "fp32" else BF16_SLACK * far["transformers"]
    return far["mbert"] <= max(limit, FP32_TOLERANCE)


def _time(engine: Engine, workload: Workload) -> float:
    # Threads of other runtimes spin for a moment after their work: let them go to sleep first.
    time.sleep(REST)
    _wait(engine.setting.device)
    started = time.perf_counter()
    engine.run(workload.tokens)
    _wait(engine.setting.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(setting: Setting) -> float:
    """Return the machine's own ceiling: operations a second of one large matrix product, the best of five.

    On a CPU the matrix lies as oneDNN reads it fastest, if torch can do that: a plain product is slower.
    """
    size = 8192 if setting.device.type == "cuda" else 1024
    a_NN = torch.randn(size, size, dtype=setting.machine.dtype, device=setting.device)
    linear = nn.Linear(size, size, bias=False, dtype=setting.machine.dtype, device=setting.device)
    product: nn.Module = linear
    if setting.device.type == "cpu" and not packing_fault(setting.machine.dtype):
        product = PackedLinear(linear, setting.machine.dtype)
    time.sleep(REST)
    with torch.no_grad():
        seconds = [_product_seconds(product, a_NN) for _ in range(6)]
    return float(2 * size**3 / min(seconds[1:]))


def _product_seconds(product: nn.Module, a_NN: torch.Tensor) -> float:
    started = time.perf_counter()
    float(product(a_NN)[0, 0])
    return time.perf_counter() - started


def linear_operations(config: Any, tokens: int, *, training: bool) -> float:
    """Return multiplications and additions of all layers' linear maps, the backward pass counted twice."""
    hidden, inner = config.hidden_size, config.intermediate_size
    weights = (4 * hidden**2 + 3 * hidden * inner) * config.num_hidden_layers
    return float(2 * tokens * weights * (3 if training else 1))


def modernbert_operations(config: Any, lengths: np.ndarray, *, training: bool) -> float:
    """Return multiplications and additions of the layers' linear maps and attention, padding not counted.

    The backward pass is counted as twice the forward pass.
    """
    attention = 0.0
    for kind in config.layer_types:
        local = kind != "full_attention"
        seen = np.minimum(lengths, 2 * (config.local_attention // 2) + 1) if local else lengths
        attention += float(4 * config.hidden_size * (lengths * seen).sum())
    linear = linear_operations(config, int(lengths.sum()), training=training)
    return linear + attention * (3 if training else 1)
