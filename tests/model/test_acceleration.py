"""`accelerate` keeps the outputs of transformers, sentence-transformers and peft models."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import transformers
from helpers import tiny_modernbert_config

import modernbert
from modernbert.errors import BadModel
from modernbert.model import acceleration, attention, backends, encoder
from modernbert.model.acceleration import AccelerationReport
from modernbert.model.loading import recompute_layers

HEADS = [
    "ModernBertModel",
    "ModernBertForSequenceClassification",
    "ModernBertForTokenClassification",
    "ModernBertForMaskedLM",
    "ModernBertForQuestionAnswering",
]


def make(head: str = "ModernBertForSequenceClassification"):
    torch.manual_seed(3)
    return getattr(transformers, head)(tiny_modernbert_config()).eval()


def padded_inputs(lengths=(40, 3, 17, 17, 1), left: bool = False):
    torch.manual_seed(0)
    size = (len(lengths), max(lengths))
    place = torch.arange(size[1])
    real = [place >= size[1] - n if left else place < n for n in lengths]
    mask = torch.stack(real).long()
    return {"input_ids": torch.randint(5, 100, size) * mask, "attention_mask": mask}


def first_output(model, inputs):
    return next(iter(model(**inputs).values()))


def runs_packed(model, inputs, monkeypatch) -> bool:
    called = []
    real = acceleration.modernbert_hidden
    monkeypatch.setattr(acceleration, "modernbert_hidden", lambda *a: called.append(1) or real(*a))
    with torch.no_grad():
        model(**inputs)
    return bool(called)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_outputs_at_real_tokens_are_the_same(head, left, monkeypatch):
    model, inputs = make(head), padded_inputs(left=left)
    if "Question" in head:  # it reads the padding, so it runs packed where there is none
        inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    with torch.no_grad():
        before = first_output(model, inputs)
        after = first_output(modernbert.accelerate(model), inputs)
    if before.ndim == 3 or "Question" in head:
        real = inputs["attention_mask"].bool()
        before, after = before[real], after[real]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert runs_packed(model, inputs, monkeypatch)


def test_gradients_are_the_same():
    ours, theirs, inputs = modernbert.accelerate(make()), make(), padded_inputs()
    for model in (ours, theirs):
        model(**inputs).logits.square().sum().backward()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=f"{name} differs")


def test_second_derivatives_are_refused():
    model = modernbert.accelerate(make())
    loss = model(**padded_inputs()).logits.square().sum()
    (gradient,) = torch.autograd.grad(loss, model.get_input_embeddings().weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()


def test_gradient_checkpointing_keeps_the_gradients_and_the_packed_path(monkeypatch):
    ours, theirs, inputs = modernbert.accelerate(make()).train(), make().train(), padded_inputs()
    recompute_layers(ours)
    passes = []
    real = encoder._attention
    monkeypatch.setattr(encoder, "_attention", lambda *a: passes.append(1) or real(*a))
    for model in (ours, theirs):
        model(**inputs).logits.square().sum().backward()
    assert len(passes) == 2 * ours.config.num_hidden_layers, "each layer forward, and once more for backward"
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4, msg=f"{name} differs")


def test_restore_copy_and_pickle(monkeypatch):
    model, inputs = modernbert.accelerate(make()), padded_inputs()
    assert runs_packed(copy.deepcopy(model), inputs, monkeypatch)
    assert runs_packed(pickle.loads(pickle.dumps(model)), inputs, monkeypatch)
    assert not runs_packed(modernbert.restore(model), inputs, monkeypatch)
    modernbert.restore(model)  # twice is no mistake


def test_attention_dropout_trains(monkeypatch):
    torch.manual_seed(0)
    config = tiny_modernbert_config(attention_dropout=0.5)
    model = modernbert.accelerate(transformers.ModernBertModel(config)).train()
    inputs = padded_inputs()
    outputs = [model(**inputs).last_hidden_state for _ in range(2)]
    assert not torch.equal(*outputs)
    outputs[0].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning"
)  # between peft and transformers
def test_peft_models():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(target_modules=["Wqkv", "Wi", "Wo"], init_lora_weights=False)
    torch.manual_seed(0)
    model = peft.get_peft_model(make(), config).eval()
    inputs = padded_inputs()
    with torch.no_grad():
        before = model(**inputs).logits
        after = modernbert.accelerate(model)(**inputs).logits
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert modernbert.acceleration_report(model).packed == 1
    model.base_model.model.model.layers[1].mlp.Wi.lora_A.register_forward_hook(print)
    with pytest.warns(UserWarning, match=r"layers.1.mlp.Wi carries a hook"), torch.no_grad():
        assert torch.equal(model(**inputs).logits, before)


def test_sentence_transformers_models(tiny_modernbert):
    st = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    transformer = models.Transformer(str(tiny_modernbert))
    model = st.SentenceTransformer(modules=[transformer, models.Pooling(32, "mean")], device="cpu")
    texts = ["good w1 w2", "bad", "w3 " * 50, "fine w4"]
    before = model.encode(texts)
    after = modernbert.accelerate(model).encode(texts)
    torch.testing.assert_close(torch.from_numpy(after), torch.from_numpy(before), atol=1e-5, rtol=1e-5)
    assert modernbert.acceleration_report(model).packed == 1


def losses_of_trainer(model, folder) -> list[float]:
    inputs = padded_inputs(lengths=(40, 3, 17, 17, 1, 9, 9, 30))
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor(i % 2)}
        for i, (ids, mask) in enumerate(zip(*inputs.values(), strict=True))
    ]
    settings = {"max_steps": 3, "learning_rate": 1e-2, "logging_steps": 1, "per_device_train_batch_size": 4}
    quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    arguments = transformers.TrainingArguments(str(folder), **settings, **quiet)
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    return [step["loss"] for step in trainer.state.log_history if "loss" in step]


@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_the_trainer_of_transformers_runs_packed(tmp_path):
    ours, plain = modernbert.accelerate(make()), make()
    found, known = (losses_of_trainer(model, tmp_path) for model in (ours, plain))
    assert found == pytest.approx(known, abs=1e-4)
    assert known[0] != known[-1]
    assert modernbert.acceleration_report(ours) == AccelerationReport(packed=3, others={})


def test_the_report_counts_and_a_reason_is_told_once():
    model, inputs = modernbert.accelerate(make()), padded_inputs()
    model(**inputs)
    with pytest.warns(UserWarning, match="the call gives output_hidden_states") as told:
        for _ in range(3):
            model(**inputs, output_hidden_states=True)
    assert len(told) == 1
    report = modernbert.acceleration_report(modernbert.accelerate(model))
    assert report == AccelerationReport(packed=1, others={"the call gives output_hidden_states": 3})
    assert str(report).startswith("1 call ran packed, 3 ran transformers' own forward\n  3: the call gives")
    assert modernbert.acceleration_report(modernbert.restore(model)) == AccelerationReport(0, {})


def test_other_models_are_refused(tiny_bert):
    with pytest.raises(BadModel, match="no ModernBERT encoder in this BertModel"):
        modernbert.accelerate(transformers.BertModel.from_pretrained(tiny_bert))


@pytest.mark.parametrize("fault", ["wrong", "raises"])
def test_a_backend_that_fails_its_self_test_is_not_taken(fault, monkeypatch):
    def broken(*arguments):
        if fault == "raises":
            raise RuntimeError("no such kernel")
        return attention.reference(*arguments) * 1.01

    monkeypatch.setitem(attention.BACKENDS, "blocked", broken)
    backends.choose_backend.cache_clear()
    chosen = backends.choose_backend(torch.device("cpu"), torch.float32)
    backends.choose_backend.cache_clear()
    assert chosen.backend == "padded"
    assert ("no such kernel" if fault == "raises" else "differs from the reference") in chosen.reason


def test_inference_mode(monkeypatch):
    model, inputs = make(), padded_inputs()
    with torch.inference_mode():
        before = model(**inputs).logits
        backends.choose_backend.cache_clear()
        after = modernbert.accelerate(model)(**inputs).logits
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
