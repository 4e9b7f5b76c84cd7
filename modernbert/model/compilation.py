"""torch.compile, for those who ask for it: of the feed-forward blocks, where it fuses what is elementwise.

Attention stays as it is: its kernels are fused already, and the blocked one is no graph.

Shape suffixes: T tokens, D hidden size.
"""

from __future__ import annotations

from typing import Any

import torch

from modernbert.model.encoder import base_of, is_modernbert

BACKEND = "inductor"


def compile_layers(model: Any, device: torch.device) -> str:
    """Compile every layer's feed-forward block for any number of tokens, in place.

    Compiled code is tried at once, forward and backward, on two sizes: a compiler may be missing or fail.

    Returns:
        Why the model runs uncompiled, or nothing.
    """
    if not is_modernbert(model):
        return f"compiling is for ModernBERT; {model.config.model_type} runs uncompiled"
    model.to(device)
    blocks = [layer.mlp for layer in base_of(model).base_model.layers]
    try:
        for block in blocks:
            block.compile(dynamic=True, backend=BACKEND)
        for size in (24, 33):
            hidden_TD = torch.ones(size, model.config.hidden_size, device=device, requires_grad=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                blocks[0](hidden_TD).sum().backward()
    except Exception as error:  # anything may come out of a compiler, and the model runs without one
        for block in blocks:
            block._compiled_call_impl = None
        reason = " ".join(str(error).splitlines()[:2]) or type(error).__name__
        return f"torch.compile failed ({reason}); the model runs uncompiled"
    finally:
        model.zero_grad()
    return ""
