"""May this encoder, and this call, run packed? The packed pass takes parts out of modules and runs those.

So each part must be one that it knows, nobody may listen to it, and the call must ask for nothing but last
hidden states. Asked before every call: it costs microseconds, and what changed since the last call is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook
from transformers import activations
from transformers.models.modernbert import modeling_modernbert as theirs

from modernbert.model.dropout import CpuDropout
from modernbert.model.inference import PackedLinear
from modernbert.model.padding import Rows

# Rows keep to themselves in all of these: a token's result does not depend on what lies around it.
NORM = frozenset({nn.LayerNorm, nn.Identity})
DROP = frozenset({nn.Dropout, CpuDropout, nn.Identity})
LINEAR = frozenset({nn.Linear, PackedLinear})
EMBEDDING = frozenset({nn.Embedding})
ACTIVATION = frozenset({nn.GELU, nn.SiLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Mish})
ACTIVATION |= {
    kind for kind in vars(activations).values() if isinstance(kind, type) and issubclass(kind, nn.Module)
}

# What each module holds that the packed pass calls or reads.
PARTS: dict[type, tuple[tuple[str, frozenset[type]], ...]] = {
    theirs.ModernBertEmbeddings: (("tok_embeddings", EMBEDDING), ("norm", NORM), ("drop", DROP)),
    theirs.ModernBertEncoderLayer: (
        ("attn_norm", NORM),
        ("attn", frozenset({theirs.ModernBertAttention})),
        ("mlp_norm", NORM),
        ("mlp", frozenset({theirs.ModernBertMLP})),
    ),
    theirs.ModernBertAttention: (("Wqkv", LINEAR), ("Wo", LINEAR), ("out_drop", DROP)),
    theirs.ModernBertMLP: (("Wi", LINEAR), ("act", ACTIVATION), ("drop", DROP), ("Wo", LINEAR)),
}
LAYER = frozenset({theirs.ModernBertEncoderLayer})
ENCODER = (
    ("embeddings", frozenset({theirs.ModernBertEmbeddings})),
    ("layers", frozenset({nn.ModuleList})),
    ("rotary_emb", frozenset({theirs.ModernBertRotaryEmbedding})),
    ("final_norm", NORM),
)
# A library that replaces a `forward` of these for the whole process is noticed by this.
FORWARDS = {kind: kind.forward for kind in (theirs.ModernBertModel, *PARTS)}

# Hooks that the packed pass may leave out or run on packed rows: they record what no packed call asks for,
# or let gradients through frozen embeddings.
HOOKS = frozenset({"output_capturing_hook", "make_inputs_require_grads", "make_inputs_require_grad"})

ATTENTION = frozenset(
    {None, "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4"}
)
# Of the other kinds, frequencies depend on how far the longest row of the call is padded.
ROPE = frozenset({"default", "linear", "llama3", "yarn"})
DTYPES = frozenset({torch.float32, torch.bfloat16, torch.float16})

# Options that change no hidden state.
WITHOUT_EFFECT = frozenset({"return_dict", "num_items_in_batch", "token_type_ids"})


def model_fault(encoder: Any) -> str:
    """Return why this `ModernBertModel` cannot run packed as it is now, or nothing."""
    if _has_any_global_hook():  # type: ignore[no-untyped-call]
        return "a hook on all modules is registered"
    for kind, forward in FORWARDS.items():
        if kind.forward is not forward:
            return f"the forward method of {kind.__name__} was replaced"
    for name, known in ENCODER:
        if fault := _fault_at(encoder._modules.get(name), known):
            return f"{name}{fault}"
    for number, layer in enumerate(encoder.layers):
        if fault := _fault_at(layer, LAYER):
            return f"layers.{number}{fault}"
        if layer.attn.is_causal:
            return f"layers.{number}.attn is causal"
    return _settings_fault(encoder)


def call_fault(encoder: Any, input_ids: Any, mask: Any, options: Mapping[str, Any]) -> str:
    """Return why a call must run transformers' own forward, or nothing.

    Args:
        encoder: a `ModernBertModel`.
        input_ids: as the call gave them.
        mask: as the call gave it.
        options: the call's other arguments.
    """
    asked = sorted(
        name
        for name, value in options.items()
        if value is not None and value is not False and name not in WITHOUT_EFFECT
    )
    if asked:
        return f"the call gives {', '.join(asked)}"
    config = encoder.config
    for name in ("output_hidden_states", "output_attentions", "is_causal"):
        if getattr(config, name, False):
            return f"config.{name} is set"
    if type(input_ids) is not torch.Tensor or input_ids.ndim != 2 or input_ids.device.type == "meta":
        return "input_ids are no tensor of shape (texts, tokens)"
    if not input_ids.numel():
        return "input_ids are empty"
    if mask is not None and (type(mask) is not torch.Tensor or mask.shape != input_ids.shape):
        return "attention_mask has another shape than input_ids"
    if _differentiated_otherwise():
        return "torch.func or forward-mode differentiation is at work"
    return ""


def rows_fault(encoder: Any, rows: Rows, width: int, reads: str) -> str:
    """Return why these texts must run transformers' own forward, or nothing.

    Args:
        encoder: a `ModernBertModel`.
        rows: where the texts stand in their rows.
        width: how long the rows are, padding included.
        reads: which padding the model's head reads: `any`, `first` (the first place of each row) or none.
    """
    if not rows:
        return "attention_mask has a gap in a text, or a text of no tokens"
    if max(count for _, count in rows) > encoder.config.max_position_embeddings:
        return "a text exceeds the model's context"
    if reads == "any" and any(count < width for _, count in rows):
        return "the question-answering head reads the padding too"
    if reads == "first" and any(first for first, _ in rows):
        return "the class token's head reads the padding on the left"
    return ""


def is_recorded(input_ids: Any) -> bool:
    """Is a graph being recorded (torch.compile, torch.export, torch.jit, CUDA graphs)?

    A packed batch has another shape for every call, so it is no graph.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return True
    on_gpu = isinstance(input_ids, torch.Tensor) and input_ids.is_cuda
    return on_gpu and torch.cuda.is_current_stream_capturing()


def _differentiated_otherwise() -> bool:
    level: int = torch.autograd.forward_ad._current_level
    return level >= 0 or bool(torch._C._are_functorch_transforms_active())


def _settings_fault(encoder: Any) -> str:
    kind = encoder.config._attn_implementation
    if kind not in ATTENTION:
        return f"its attention is '{kind}'"
    if not ROPE.issuperset(encoder.rotary_emb.rope_type.values()):
        return "its rotary positions depend on the length of the batch"
    dtype = encoder.embeddings.tok_embeddings.weight.dtype
    return "" if dtype in DTYPES else f"its weights are {str(dtype).removeprefix('torch.')}"


def _fault_at(module: Any, known: frozenset[type]) -> str:
    """Return what is wrong with a module or the parts of it, to be read after its name; or nothing."""
    kind = type(module)
    if (kind not in known or _is_touched(module)) and (fault := _oddity(module, known)):
        return fault
    for name, inner in PARTS.get(kind, ()):
        if fault := _fault_at(module._modules.get(name), inner):
            return f".{name}{fault}"
    return ""


def _is_touched(module: Any) -> bool:
    own = module.__dict__
    return bool(
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
    )


def _oddity(module: Any, known: frozenset[type]) -> str:
    """Look closer at a module that is not plainly known: an adapter of peft, a hook that does not matter."""
    kind = type(module)
    is_adapter = kind.__module__.startswith("peft.tuners.") and hasattr(module, "get_base_layer")
    if (type(module.get_base_layer()) if is_adapter else kind) not in known:
        return f" is a {kind.__module__}.{kind.__name__}" if module is not None else " is missing"
    return _meddling(module, deep=is_adapter)


def _meddling(module: nn.Module, *, deep: bool) -> str:
    """Return who else has a hand in a module (with `deep`, in what it holds, too), or nothing."""
    if _is_touched(module):
        if "forward" in module.__dict__:
            return " has a forward method of its own"
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if module._backward_hooks or module._backward_pre_hooks or not all(map(_is_harmless, hooks)):
            return " carries a hook"
    for child in module._modules.values() if deep else ():
        if child is not None and (fault := _meddling(child, deep=True)):
            return fault
    return ""


def _is_harmless(hook: Any) -> bool:
    library = getattr(hook, "__module__", None) or ""
    return getattr(hook, "__name__", "") in HOOKS and library.startswith(("transformers.", "peft."))
