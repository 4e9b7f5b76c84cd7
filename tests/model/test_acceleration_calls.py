"""Each way to call a model, plain and after `accelerate`: everything that comes back is compared.

Most ways stand in `ways.py`; here are those that change a model's modules first.
"""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
import transformers
from torch import nn
from transformers.models.modernbert import modeling_modernbert as theirs
from transformers.utils import ModelOutput
from ways import PACKED, RECORDED, WAYS, gradients, make, make_inputs, way

import modernbert


def heard(m, x, listen):
    """Return what hooks hear: shapes of inputs and outputs; and the output."""
    shapes = []

    def hook(module, given, output):
        shapes.append([t.shape for t in (*given, *output) if isinstance(t, torch.Tensor)])

    handles = [module.register_forward_hook(hook) for module in listen(m)]
    output = m(**x)
    for handle in handles:
        handle.remove()
    return shapes, output


LISTENERS = {
    "embeddings": lambda m: [m.embeddings],
    "embeddings.tok_embeddings": lambda m: [m.get_input_embeddings()],
    "layers.1": lambda m: m.layers[1:],
    "layers.2.attn": lambda m: [m.layers[2].attn],
    "layers.2.attn.Wo": lambda m: [m.layers[2].attn.Wo],
    "layers.0.mlp.act": lambda m: [m.layers[0].mlp.act],
    "final_norm": lambda m: [m.final_norm],
}
for _name, _listen in LISTENERS.items():
    _call = partial(heard, listen=_listen)
    WAYS[f"hook on {_name}"] = _call, f"{_name} carries a hook", "ModernBertModel", False, {}


@way("layers.1.mlp carries a hook")
def hook_before(m, x):
    m.layers[1].mlp.register_forward_pre_hook(lambda module, given: (given[0] * 2,))
    return m(**x)


@way("layers.1 carries a hook")
def hook_that_replaces(m, x):
    m.layers[1].register_forward_hook(lambda module, given, output: output * 0)
    return m(**x)


@way("layers.1.attn carries a hook")
def hook_on_gradients(m, x):
    heard = []
    m.layers[1].attn.register_full_backward_hook(lambda module, *grads: heard.append(grads[1]))
    m(**x)[0].square().sum().backward()
    return heard


@way("hook on all modules")
def hook_everywhere(m, x):
    names = []
    handle = nn.modules.module.register_module_forward_hook(lambda m, i, o: names.append(type(m).__name__))
    try:
        return m(**x), names
    finally:
        handle.remove()


class Nothing(nn.Module):
    def forward(self, x):
        return x * 0


@way(f"layers.1.mlp is a {__name__}.Nothing")
def replaced_block(m, x):
    m.layers[1].mlp = Nothing()
    return m(**x)


@way(f"layers.1.mlp.act is a {__name__}.Nothing")
def replaced_activation(m, x):
    m.layers[1].mlp.act = Nothing()
    return m(**x)


@way("layers.1.mlp is a torch.nn.modules.linear.Linear")
def block_of_a_known_kind_in_the_wrong_place(m, x):
    m.layers[1].mlp = nn.Linear(32, 32)
    nn.init.ones_(m.layers[1].mlp.weight)
    return m(**x)


@way("Wqkv is a torch.ao.nn.quantized.dynamic")
def quantised(m, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = torch.ao.quantization.quantize_dynamic(m.layers, {nn.Linear}, dtype=torch.qint8)
    m.layers = inside
    return m(**x)


@way("layers.3.attn has a forward method of its own")
def forward_of_its_own(m, x):
    m.layers[3].attn.forward = lambda x, **others: (x, None)
    return m(**x)


@way("forward method of ModernBertMLP")
def forward_replaced_for_all(m, x):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs.ModernBertMLP, "forward", lambda self, x: self.Wo(self.Wi(x)[..., :48]))
        return m(**x)


@way("attn is causal")
def causal_layer(m, x):
    m.layers[1].attn.is_causal = True
    return m(x["input_ids"])


@way("its attention is 'tests_own'")
def attention_of_ones_own(m, x):
    transformers.AttentionInterface.register(
        "tests_own", lambda m, q, k, v, *a, **o: (v.transpose(1, 2), None)
    )
    m.set_attn_implementation("tests_own")
    return m(**x)


def outcome(call, model, inputs):
    """Return what a call gives, and what it warns of; an error counts as what it gives."""
    torch._dynamo.reset()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = call(model, inputs)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            found = type(error), str(error)
    return found, [str(w.message) for w in said if "packed" in str(w.message)]


def compare(ours, plain, real_NL, *, exactly: bool) -> None:
    """Compare two results with all that they hold, tensors (N, L, ...) at the real tokens alone."""
    assert type(ours) is type(plain)
    if isinstance(plain, ModelOutput | dict):
        assert list(ours) == list(plain)
        ours, plain = list(ours.values()), list(plain.values())
    if isinstance(plain, tuple | list):
        assert len(ours) == len(plain)
        for a, b in zip(ours, plain, strict=True):
            compare(a, b, real_NL, exactly=exactly)
    elif not isinstance(plain, torch.Tensor):
        assert ours == plain
    else:
        assert (ours.shape, ours.requires_grad) == (plain.shape, plain.requires_grad)
        if not exactly and plain.shape[:2] == real_NL.shape:
            ours, plain = ours[real_NL], plain[real_NL]
        tolerance = 0 if exactly else 1e-5 if plain.dtype == torch.float32 else 5e-2
        torch.testing.assert_close(ours, plain, atol=tolerance, rtol=tolerance, equal_nan=True)


def check(call, expected: str, head: str, left: bool = False, **config) -> None:
    kind = config.pop("attn_implementation", "sdpa")
    models = [make(head, **config) for _ in range(2)]
    for model in models:
        model.set_attn_implementation(kind)
    ours, plain = modernbert.accelerate(models[0]), models[1]
    found, said = outcome(call, ours, make_inputs(left))
    known, _ = outcome(call, plain, make_inputs(left))
    real = make_inputs(left)["attention_mask"].bool()
    compare(found, known, real, exactly=expected != PACKED)
    report = modernbert.acceleration_report(ours)
    if expected == PACKED:
        assert report.packed and not said, f"{report}"
    elif expected == RECORDED:
        assert not report.packed and not report.others, f"{report}"
    else:
        (reason,) = report.others
        assert expected in reason
        assert len(said) == 1
        assert reason in said[0]


@pytest.mark.parametrize("name", WAYS)
def test_a_call_gives_what_it_gave(name):
    call, expected, head, left, config = WAYS[name]
    check(call, expected, head, left, **config)


@pytest.mark.parametrize("activation", ["silu", "relu", "gelu_pytorch_tanh", "quick_gelu", "leaky_relu"])
def test_other_activations(activation):
    def far_from_zero(m, x):  # of values near it, all activations make much the same
        for layer in m.model.layers:
            layer.mlp.Wi.weight.data.mul_(30)
        return gradients(m, x)

    check(far_from_zero, PACKED, "ModernBertForSequenceClassification", hidden_activation=activation)
