"""A model for inference alone: its weights are rounded and laid out once.

Shape suffixes: N texts or tokens, I input size, O output size.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from modernbert.model.device import Machine

# How far the packed kernel may be from torch's linear layer: another order of summation, in fp32.
TOLERANCE = 1e-4


class PackedLinear(nn.Module):
    """A linear layer whose weight lies as oneDNN's kernel reads it; not for training.

    torch's own layer reads the weight as it was stored, or lays it out again for every batch. Measured on
    one Zen 4 core at ModernBERT-base's sizes: 1.1 to 1.2 times as fast in fp32, 1.05 to 1.3 in bf16.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        """Take the weight over; it is computed with in `dtype`."""
        super().__init__()
        self.dtype = dtype
        self.packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype))
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, x_NI: torch.Tensor) -> torch.Tensor:
        """Return x times the weight plus the bias, shape (..., O), in the layer's type."""
        out_NO: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x_NI.to(self.dtype), self.packed, self.bias, "none", [], ""
        )
        return out_NO


def prepare_inference(model: nn.Module, machine: Machine) -> None:
    """Make a model ready for inference, in place; it must not be trained or saved afterwards.

    In bf16, linear layers hold weights that are rounded once and not for every batch: the same bits as
    autocast gives.
    """
    if machine.device == "cpu" and not packing_fault():
        pack_linear_layers(model, machine.dtype)
    elif machine.precision == "bf16":
        round_linear_weights(model)


def round_linear_weights(model: nn.Module) -> None:
    """Round linear layers' weights to bf16, in place."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.to(torch.bfloat16)


def pack_linear_layers(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace linear layers by `PackedLinear`, one by one, so that memory holds one layer twice at most."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child, dtype))


@cache
def packing_fault() -> str:
    """Return why torch's layer must be kept, or nothing: the kernel is private to torch and may change."""
    linear = nn.Linear(48, 32)
    x_NI = torch.linspace(-1, 1, 3 * 48).view(3, 48)
    try:
        with torch.inference_mode():
            difference = float((PackedLinear(linear, torch.float32)(x_NI) - linear(x_NI)).abs().max())
    except (RuntimeError, AttributeError, TypeError) as error:  # NotImplementedError is a RuntimeError
        return str(error).splitlines()[0]
    return "" if difference < TOLERANCE else f"differs from torch's layer by {difference:.2g}"
