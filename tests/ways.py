"""Ways to call a model of transformers, and how each must run after `modernbert.accelerate`."""

from __future__ import annotations

import copy
import pickle
import warnings

import torch
import transformers
from helpers import tiny_modernbert_config

PACKED, RECORDED = "packed", "recorded"
WAYS: dict[str, tuple] = {}  # name: what is called, how it must run, of which model, on which texts
GAP = torch.tensor([[1, 0, 1] + [0] * 37] * 5)


def way(expected: str, head: str = "", left: bool = False, **config):
    """Note a way to call a model of class `head`, and that it runs packed or why it does not."""

    def note(call):
        WAYS[call.__name__] = call, expected, head or "ModernBertModel", left, config
        return call

    return note


def options(name: str, expected: str, **given) -> None:
    """Note a way that is nothing but the options `given` to it."""
    WAYS[name] = (lambda m, x: m(**{**x, **given})), expected, "ModernBertModel", False, {}


def setting(name: str, expected: str, **given) -> None:
    """Note a way that is nothing but a changed configuration."""

    def call(m, x):
        for key, value in given.items():
            setattr(m.config, key, value)
        return m(**x)

    WAYS[name] = call, expected, "ModernBertModel", False, {}


def make_inputs(left: bool = False):
    torch.manual_seed(0)
    place, lengths = torch.arange(40), (40, 3, 17, 17, 1)
    mask = torch.stack([place >= 40 - n if left else place < n for n in lengths]).long()
    return {"input_ids": torch.randint(5, 100, mask.shape) * mask, "attention_mask": mask}


def make(head: str, **config):
    torch.manual_seed(3)
    return getattr(transformers, head)(tiny_modernbert_config(**config)).eval()


options("plain", PACKED)
options("no mask", PACKED, attention_mask=None)
options("bool mask", PACKED, attention_mask=make_inputs()["attention_mask"].bool())
options("float mask", PACKED, attention_mask=make_inputs()["attention_mask"].float())
options("int32 ids", PACKED, input_ids=make_inputs()["input_ids"].int())
options("one token", PACKED, input_ids=torch.tensor([[7]]), attention_mask=None)
options("as the Trainer calls", PACKED, num_items_in_batch=torch.tensor(5))
options("token types", PACKED, token_type_ids=torch.zeros(5, 40, dtype=torch.long))
options("a tuple", PACKED, return_dict=False)
options("return_dict is None", PACKED, return_dict=None)
options("asks for nothing more", PACKED, output_hidden_states=False, output_attentions=None)
options("all layers", "output_hidden_states", output_hidden_states=True)
options("all layers, as a tuple", "output_hidden_states", output_hidden_states=True, return_dict=False)
options("own positions", "position_ids", position_ids=torch.arange(40)[None].expand(5, -1) + 5)
options("embeddings too", "inputs_embeds", inputs_embeds=torch.ones(5, 40, 32))
options("embeddings", "inputs_embeds", input_ids=None, inputs_embeds=torch.ones(5, 40, 32))
options("nothing", "input_ids", input_ids=None)
options("causal", "is_causal", is_causal=True)
options("a word unknown", "my_own_word", my_own_word=1)
options("mask with a gap", "gap", attention_mask=GAP)
options("a text of no tokens", "no tokens", attention_mask=torch.zeros(5, 40, dtype=torch.long))
options("mask of one row", "another shape", attention_mask=torch.ones(1, 40, dtype=torch.long))
options("mask of two rows", "another shape", attention_mask=torch.ones(2, 40, dtype=torch.long))
options("mask too long", "another shape", attention_mask=torch.ones(5, 41, dtype=torch.long))
options("mask of 4 dimensions", "another shape", attention_mask=torch.ones(5, 1, 40, 40, dtype=torch.bool))
options(
    "masks by kind", "another shape", attention_mask=dict.fromkeys(["full_attention", "sliding_attention"])
)
options("no texts", "empty", input_ids=torch.zeros(0, 5, dtype=torch.long), attention_mask=None)
options("ids of one dimension", "input_ids", input_ids=torch.arange(5), attention_mask=None)
options("too many tokens", "context", input_ids=torch.arange(257)[None] % 90, attention_mask=None)
options("ids beyond the vocabulary", PACKED, input_ids=torch.full((5, 40), 999))
setting("configured tuple", PACKED, return_dict=False)
setting("another window", PACKED, local_attention=20)
setting("configured layers", "config.output_hidden_states", output_hidden_states=True)
setting("configured causal", "config.is_causal", is_causal=True)


@way(PACKED, left=True)
def padding_on_the_left(m, x):
    return m(**x)


@way("config.output_attentions", attn_implementation="eager")
def configured_attentions(m, x):
    m.config.output_attentions = True
    return m(**x)


@way(PACKED)
def by_position(m, x):
    return m(x["input_ids"], x["attention_mask"])


@way("position_ids")
def all_by_position(m, x):
    return m(x["input_ids"], x["attention_mask"], torch.arange(40)[None], None)


@way("output_attentions", attn_implementation="eager")
def attentions(m, x):
    return m(**x, output_attentions=True, output_hidden_states=True)


@way(PACKED)
def after_layers_were_asked(m, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m(**x, output_hidden_states=True)
    return m(**x)


@way(PACKED)
def half_precision(m, x):
    return m.half()(**x)


@way(PACKED)
def brain_float(m, x):
    return m.bfloat16()(**x)


@way("float64")
def double_precision(m, x):
    return m.double()(**x)


@way(PACKED)
def autocast(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        hidden_NLD = m(**x).last_hidden_state
    return str(hidden_NLD.dtype), hidden_NLD.bfloat16()


@way(PACKED)
def inference_mode(m, x):
    with torch.inference_mode():
        return m(**x)


@way(PACKED)
def functional_call(m, x):
    return torch.func.functional_call(m, dict(m.named_parameters()), (), x)


@way(PACKED)
def fewer_layers(m, x):
    m.layers = m.layers[:2]
    return m(**x)


@way(PACKED)
def layers_of_another_kind(m, x):
    for layer in m.layers[1:3]:
        layer.attention_type = "full_attention"
    return m(**x)


@way(PACKED)
def copied_and_pickled(m, x):
    calls, m = m.__dict__.get("mbert_calls"), pickle.loads(pickle.dumps(copy.deepcopy(m)))
    output = m(**x)
    if calls:
        calls.packed += m.mbert_calls.packed
    return output


@way(PACKED, "ModernBertForSequenceClassification")
def gradients(m, x):
    m.train()(**x).logits.square().sum().backward()
    return {name: p.grad for name, p in m.named_parameters()}


@way(PACKED, "ModernBertForSequenceClassification")
def checkpointed_gradients(m, x):
    m.gradient_checkpointing_enable({"use_reentrant": False})
    return gradients(m, x)


@way(PACKED, "ModernBertForSequenceClassification")
def frozen_embeddings(m, x):
    m.model.embeddings.requires_grad_(False)
    m.enable_input_require_grads()
    m.gradient_checkpointing_enable({"use_reentrant": True})
    return gradients(m, x)


@way(PACKED)
def checkpointed_without_gradients(m, x):
    m.gradient_checkpointing_enable({"use_reentrant": True})
    with torch.no_grad():
        return m.train()(**x)


@way(PACKED)
def a_hook_around_it_all(m, x):
    m.register_forward_hook(lambda m, i, o: o.last_hidden_state * 2)
    return m(**x)


@way(PACKED, "ModernBertForMaskedLM")
def masked_words(m, x):
    return m(**x, labels=x["input_ids"].where(x["attention_mask"].bool(), -100), num_items_in_batch=9)


@way("output_hidden_states", "ModernBertForMaskedLM")
def masked_words_and_layers(m, x):
    return m(**x, output_hidden_states=True)


@way(PACKED, "ModernBertForTokenClassification", num_labels=3)
def token_classes(m, x):
    return m(**x, labels=(x["input_ids"] % 3).where(x["attention_mask"].bool(), -100), return_dict=False)


@way(PACKED, "ModernBertForMultipleChoice")
def choices(m, x):
    return m(**{key: value[:4].view(2, 2, 40) for key, value in x.items()}, labels=torch.tensor([0, 1]))


@way("reads the padding too", "ModernBertForQuestionAnswering")
def answers(m, x):
    return m(**x, start_positions=torch.zeros(5).long(), end_positions=torch.zeros(5).long())


@way(PACKED, "ModernBertForQuestionAnswering")
def answers_without_padding(m, x):
    return m(x["input_ids"])


@way(PACKED, "ModernBertForSequenceClassification", classifier_pooling="cls")
def class_token(m, x):
    return m(**x)


@way("padding on the left", "ModernBertForSequenceClassification", left=True, classifier_pooling="cls")
def class_token_on_the_left(m, x):
    return m(**x)


@way("length of the batch", rope_parameters={
    kind: {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    for kind in ("full_attention", "sliding_attention")
})  # fmt: skip
def dynamic_rope(m, x):
    return m(**x)


@way("torch.func", attn_implementation="eager")
def gradient_of_a_function(m, x):
    return torch.func.grad(lambda p: torch.func.functional_call(m, p, (), x)[0].square().sum())(
        {name: p.detach() for name, p in m.named_parameters()}
    )


@way("forward-mode", attn_implementation="eager")
def gradient_forwards(m, x):
    with torch.autograd.forward_ad.dual_level():
        weight = m.final_norm.weight.detach()
        dual = torch.autograd.forward_ad.make_dual(weight, torch.ones_like(weight))
        output = torch.func.functional_call(m, {"final_norm.weight": dual}, (), x)[0]
        return torch.autograd.forward_ad.unpack_dual(output).tangent


@way(RECORDED)
def compiled(m, x):
    return torch.compile(m, backend="eager")(**x)


@way(RECORDED)
def exported(m, x):
    return torch.export.export(m, (), x, strict=False).module()(**x)


@way(RECORDED)
def traced(m, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = torch.jit.trace(lambda ids, mask: m(ids, mask)[0], tuple(x.values()), check_trace=False)
    return trace(*make_inputs(left=True).values())
