"""Long texts in less memory, training on a CPU: what is cheap is computed again instead of kept.

Of the 24 KiB that a token of ModernBERT-base leaves in each layer in bf16, the norms' outputs and GeGLU's are
8: the backward pass reads each once, for the gradient of the linear layer after it. To compute them again
takes a hundredth of a step or two. Only a text longer than a whole batch of short ones is worth that.

Shape suffixes: T tokens, I a linear layer's input size, O its output size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from modernbert.model.device import MAX_TOKENS
from modernbert.model.inference import PackedGatedUnit


def linear_after(
    cheap: Callable[[torch.Tensor], torch.Tensor], linear: nn.Module, x_T: torch.Tensor, *, random: bool
) -> torch.Tensor:
    """Return linear(cheap(x)), shape (T, O); of a long text, x alone is kept for the backward pass.

    Recomputation ends where the last saved tensor has come back, before the matrix product. With an adapter
    around the layer it would not, and on a GPU elementwise work is not as cheap: there, everything is kept.

    Args:
        cheap: gives the linear layer its input, shape (T, I).
        linear: a linear layer.
        x_T: what `cheap` takes, any shape (T, ...).
        random: does `cheap` draw random numbers (dropout)?
    """

    def run(x_T: torch.Tensor) -> torch.Tensor:
        out_TO: torch.Tensor = linear(cheap(x_T))
        return out_TO

    long_text = x_T.device.type == "cpu" and len(x_T) > MAX_TOKENS["cpu"]
    if long_text and type(linear) is nn.Linear and torch.is_grad_enabled():
        out_TO: torch.Tensor = checkpoint(run, x_T, use_reentrant=False, preserve_rng_state=random)
        return out_TO
    return run(x_T)


def feed_forward(layer: Any, hidden_TD: torch.Tensor) -> torch.Tensor:
    """Run a layer's second half, norm and GeGLU; shape (T, D). A compiled or packed block runs as it is."""
    mlp = layer.mlp
    if mlp._compiled_call_impl is not None or isinstance(mlp, PackedGatedUnit):
        out_TD: torch.Tensor = mlp(layer.mlp_norm(hidden_TD))
        return out_TD

    def gated(both_TI: torch.Tensor) -> torch.Tensor:
        value_TI, gate_TI = both_TI.chunk(2, dim=-1)
        inner_TI: torch.Tensor = mlp.drop(mlp.act(value_TI) * gate_TI)
        return inner_TI

    both_TI = linear_after(layer.mlp_norm, mlp.Wi, hidden_TD, random=False)
    return linear_after(gated, mlp.Wo, both_TI, random=mlp.training and mlp.drop.p > 0)
