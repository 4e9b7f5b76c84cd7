"""Optimisers, parameter groups and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from modernbert.settings.sections import OptimizerConfig, ScheduleConfig
from modernbert.training.sharding import own_part, whole_mean, whole_norm


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimiser over the trainable parameters; biases and norms do not decay."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    assert sum(len(g["params"]) for g in groups) == len(trainable), "groups cover every parameter"
    groups = [group for group in groups if group["params"]]
    betas = (config.beta1, config.beta2)
    if config.name == "stable_adamw":
        return StableAdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


class StableAdamW(torch.optim.Optimizer):
    """AdamW whose step on each tensor shrinks when the gradient outgrows its running average.

    Wortsman et al. 2023, arXiv:2304.13013, algorithm 2: the rate is divided by max(1, RMS), where RMS is
    the root mean square of g / sqrt(max(v, eps^2)). Clipping by norm is then hardly needed.
    """

    def __init__(
        self, params: Any, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step."""
        assert closure is None, "the loop computes the gradients"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, group)

    def _step_one(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, whole, eps = self.state[parameter], parameter.grad, group["eps"]
        assert whole is not None
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        count = int(state["step"])
        beta1, beta2 = (_debiased(beta, count) for beta in group["betas"])
        # Where they are divided among processes, each works on its own parts.
        parameter, grad, average, square = map(
            own_part, (parameter.detach(), whole, state["exp_avg"], state["exp_avg_sq"])
        )
        average.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        size = whole_mean(grad.square() / square.clamp(min=eps**2), whole).sqrt().clamp(min=1.0)
        rate = group["lr"] / size
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.sub_(rate * average / (square.sqrt() + eps))


def _debiased(beta: float, count: int) -> float:
    """Return the averaging weight that makes the running average unbiased from the first step on."""
    return beta * (1 - beta ** (count - 1)) / (1 - beta**count)


def rate_factor(step: int, total: int, config: ScheduleConfig) -> float:
    """Return the share of the peak learning rate at `step` (from 0) of `total` steps."""
    warmup = round(config.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    if config.shape == "trapezoidal":
        decay = max(1, round(config.decay * total))
        left = total - step
        # 1 - sqrt decay: Haegele et al. 2024, arXiv:2405.18392.
        return 1.0 if left > decay else 1 - math.sqrt((decay - left) / decay)
    done = (step - warmup) / max(1, total - warmup)
    return 1 - done if config.shape == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def average_and_clip(
    parameters: Iterable[nn.Parameter], count: float | torch.Tensor, max_norm: float
) -> torch.Tensor:
    """Divide summed gradients by `count` and scale them down to `max_norm` (0: never), in one pass.

    Returns:
        The norm of the averaged gradient before clipping, on its device: no host sync.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = whole_norm(grads) / count
    factor = torch.ones_like(norm) if max_norm == 0 else (max_norm / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_([own_part(grad) for grad in grads], factor / count)
    return norm
