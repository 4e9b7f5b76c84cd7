"""Optimisers against torch's own, schedules against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from modernbert.settings.sections import OptimizerConfig, ScheduleConfig
from modernbert.training.optim import StableAdamW, average_and_clip, make_optimizer, rate_factor


def train(optimizer_of, steps: int = 30) -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = optimizer_of(model.parameters())
    inputs, targets = torch.randn(16, 4), torch.randn(16, 3)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(inputs) - targets).square().mean().backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def test_stable_adamw_equals_adamw_while_updates_are_small(monkeypatch):
    """With the clipping factor held at 1 the two are one algorithm."""
    values = {"lr": 0.01, "betas": (0.9, 0.98), "weight_decay": 0.1}
    original = torch.Tensor.clamp
    monkeypatch.setattr(
        torch.Tensor, "clamp", lambda t, **k: torch.ones_like(t) if k == {"min": 1.0} else original(t, **k)
    )
    ours = train(lambda p: StableAdamW(p, eps=1e-12, **values))
    theirs = train(lambda p: torch.optim.AdamW(p, eps=1e-12, **values))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_stable_adamw_shrinks_the_step_after_a_jump_of_the_gradient():
    parameter = nn.Parameter(torch.zeros(10))
    optimizer = StableAdamW([parameter], lr=1.0, betas=(0.9, 0.98), eps=1e-6)
    for _ in range(50):
        parameter.grad = torch.full((10,), 1e-3)
        optimizer.step()
    before = parameter.detach().clone()
    parameter.grad = torch.full((10,), 1.0)
    optimizer.step()
    square = optimizer.state[parameter]["exp_avg_sq"]
    assert float((1.0 / square.sqrt()).mean()) > 5  # this is what divides the rate
    assert (parameter - before).abs().max() < 0.5


def test_biases_and_norms_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = make_optimizer(model, OptimizerConfig(weight_decay=0.5))
    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [(1, 0.5), (3, 0.0)]


def test_frozen_parameters_are_left_out():
    model = nn.Linear(3, 3)
    model.bias.requires_grad_(False)
    groups = make_optimizer(model, OptimizerConfig()).param_groups
    assert sum(len(group["params"]) for group in groups) == 1


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("linear", 0, 0.1),
        ("linear", 9, 1.0),
        ("linear", 10, 1.0),
        ("linear", 55, 0.5),
        ("cosine", 55, 0.5),
        ("cosine", 99, 0.5 * (1 + math.cos(math.pi * 89 / 90))),
        ("trapezoidal", 50, 1.0),
        ("trapezoidal", 80, 1.0),
        ("trapezoidal", 85, 1 - math.sqrt(5 / 20)),
        ("trapezoidal", 99, 1 - math.sqrt(19 / 20)),
    ],
)
def test_schedules_follow_their_formulas(schedule, step, expected):
    config = ScheduleConfig(shape=schedule, warmup=0.1, decay=0.2)
    assert rate_factor(step, 100, config) == pytest.approx(expected)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 100.0])
def test_gradients_are_averaged_then_clipped(max_norm):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([30.0, 40.0])
    norm = average_and_clip([parameter], 10, max_norm)
    assert float(norm) == pytest.approx(5.0)
    expected = 5.0 if max_norm == 0 else min(5.0, max_norm)
    assert float(parameter.grad.norm()) == pytest.approx(expected, rel=1e-4)
