"""The last layer of a network that predicts a number: exact, and in whatever unit is asked for.

Shape suffixes: N texts, I input size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from modernbert.errors import BadModel


class ExactLinear(nn.Linear):
    """A linear layer that computes in fp32, whatever the layers before it compute in.

    bf16 has eight significant bits: between 128 and 256 it knows whole numbers alone.
    """

    def forward(self, x_NI: torch.Tensor) -> torch.Tensor:
        """Return x times the weight plus the bias, fp32, shape (N, 1)."""
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast(x_NI.device.type, enabled=False):
            return F.linear(x_NI.float(), self.weight.float(), bias)


def exact_output(model: Any) -> Any:
    """Return a model whose last layer is exact if it predicts a number; any other model as it is."""
    found = _output_layer(model)
    if getattr(model.config, "problem_type", None) != "regression" or found is None:
        return model
    name, layer = found
    # On no device: to draw weights would change all random numbers after them.
    exact = ExactLinear(layer.in_features, layer.out_features, device="meta")
    exact.weight, exact.bias = layer.weight, layer.bias
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, exact.train(layer.training))
    return model


def change_unit(model: Any, *, scale: float, shift: float) -> None:
    """Make a model give scale x what it gave + shift, by its last layer's weight and bias.

    Raises:
        BadModel: it does not end in a linear layer with a bias.
    """
    found = _output_layer(model)
    if found is None or found[1].bias is None:
        raise BadModel(f"'{model.config.model_type}' models do not end in a linear layer with a bias")
    change_unit_of(found[1], scale=scale, shift=shift)


def change_unit_of(layer: nn.Linear, *, scale: float, shift: float) -> None:
    """Make a linear layer give scale x what it gave + shift."""
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() * scale)
        layer.bias.copy_(layer.bias.double() * scale + shift)


def _output_layer(model: Any) -> tuple[str, nn.Linear] | None:
    """Return the last linear layer and its name: of a head that peft trains, its trained copy."""
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    found = linear[-1] if linear else None
    return found if found and found[1].out_features == model.config.num_labels else None
