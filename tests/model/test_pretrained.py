"""A model's folder is data: no code of it runs, and what is wrong with it is one sentence."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import modernbert
from modernbert.data.task import FileData, Task
from modernbert.errors import BadModel
from modernbert.model.embedding import load_embedder
from modernbert.model.loading import load_classifier, load_tokenizer
from modernbert.model.locate import ModelSource, family_of
from modernbert.pretraining.network import load_masked_lm

TASK = Task(
    name="own/t",
    summary="",
    kind="single_label",
    text=("text",),
    labels=("no", "yes"),
    metrics=("accuracy",),
    source=FileData({}, Path()),
)
LOADERS = {
    "embed": load_embedder,
    "finetune": lambda source: load_classifier(source, TASK),
    "pretrain": load_masked_lm,
}
# Run when transformers imports it; the test looks whether it did.
CODE = """
from pathlib import Path
Path({canary!r}).touch()
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
class C(PretrainedConfig): model_type = "unheard-of"
class M(PreTrainedModel): config_class = C
class T(PreTrainedTokenizerFast): pass
"""


@pytest.fixture
def folder(tiny_modernbert: Path, tmp_path: Path) -> Path:
    """A copy of a tiny model, to damage."""
    return Path(shutil.copytree(tiny_modernbert, tmp_path / "model"))


def source_of(folder: Path) -> ModelSource:
    return ModelSource("model", folder, "a test", "1", "modernbert")


def change(folder: Path, name: str = "config.json", **values: object) -> None:
    """Change values of a JSON file; None removes one."""
    path = folder / name
    content = json.loads(path.read_text()) | values if path.exists() else values
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


AUTO_MAP = {"AutoConfig": "code.C", "AutoModel": "code.M", "AutoModelForSequenceClassification": "code.M"}


@pytest.mark.parametrize("kind", ["unheard-of", None, "../x", 3])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_folders_code_never_runs_even_if_someone_says_yes(folder, tmp_path, monkeypatch, kind, loader):
    canary = tmp_path / "canary"
    (folder / "code.py").write_text(CODE.format(canary=str(canary)))
    change(folder, model_type=kind, auto_map={**AUTO_MAP, "AutoModelForMaskedLM": "code.M"})
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "code.T"]}, tokenizer_class="T")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(BadModel, match="has no"):
        LOADERS[loader](source_of(folder))
    with pytest.raises(BadModel):
        load_tokenizer(source_of(folder))
    assert not canary.exists()


def test_a_tokenizers_code_never_runs_where_the_model_is_known(folder, tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    (folder / "code.py").write_text(CODE.format(canary=str(canary)))
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "code.T"]}, tokenizer_class="T")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    assert load_tokenizer(source_of(folder))("good")["input_ids"]  # tokenizer.json says all that is needed
    assert not canary.exists()


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation", "experts_implementation"])
@pytest.mark.parametrize("value", ["owner/kernel", {"": "owner/kernel"}, "paged|owner/kernel@main:f"])
def test_kernels_of_others_are_not_fetched(folder, name, value):
    change(folder, **{name: value})
    with pytest.raises(BadModel, match="kernel from elsewhere"):
        load_embedder(source_of(folder))


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("way", ["raw", "zip"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_pickle_is_refused_in_our_words(folder, tmp_path, way, loader):
    canary = tmp_path / "canary"
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    if way == "raw":
        path.write_bytes(pickle.dumps(Payload(canary)))
    else:
        torch.save({"a": Payload(canary)}, path)
    with pytest.raises(BadModel, match="could run code") as caught:
        LOADERS[loader](source_of(folder))
    assert not canary.exists()
    assert "weights_only" not in str(caught.value)


DAMAGED = [
    *({name: value} for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                                 "max_position_embeddings", "local_attention", "intermediate_size")
      for value in (0, -1, "x", 1.5, True, 10**9, [1])),
    {"architectures": 3}, {"dtype": "float7"}, {"rope_parameters": 3}, {"pad_token_id": 10**9},
    {"id2label": 3}, {"initializer_range": "x"}, {"classifier_pooling": "x"}, {"num_attention_heads": 3},
    {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, {"norm_eps": "x"},
]  # fmt: skip


@pytest.mark.parametrize("values", DAMAGED, ids=lambda values: json.dumps(values)[:40])
def test_settings_that_cannot_be_right_are_one_sentence(folder, values):
    change(folder, **values)
    for load in LOADERS.values():
        with pytest.raises(BadModel) as caught:
            load(source_of(folder))
        assert str(folder) in str(caught.value)


FILES = {
    "config.json": ("{", "[]", "", "3", "\x00\x01"),
    "tokenizer.json": ("{", "[]", "", "3"),
    "tokenizer_config.json": ("{", "[]", "", "3"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FILES.items() for text in texts])
def test_damaged_files_are_one_sentence(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(BadModel, match=str(folder)):
        load_tokenizer(source_of(folder))
        load_embedder(source_of(folder))
    if name == "config.json":
        with pytest.raises(BadModel):
            family_of(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("modules.json", "{"),
        ("modules.json", "[3]"),
        ("modules.json", '[{"type": "sentence_transformers.models.Transformer"}]'),
        ("sentence_bert_config.json", "{"),
        ("sentence_bert_config.json", '{"max_seq_length": -5}'),
        ("sentence_bert_config.json", '{"max_seq_length": "x"}'),
        ("config_sentence_transformers.json", '{"prompts": {"query": 3}}'),
        ("1_Pooling/config.json", "[]"),
        ("1_Pooling/config.json", '{"pooling_mode": ["mean"]}'),
    ],
)
def test_damaged_settings_of_an_embedder_are_one_sentence(folder, name, text):
    change(folder, "config_sentence_transformers.json", prompts={})
    rows = [{"type": f"sentence_transformers.models.{n}", "path": p} for n, p in
            (("Transformer", ""), ("Pooling", "1_Pooling"))]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text("{}")
    assert load_embedder(source_of(folder)).settings.tuned
    (folder / name).write_text(text)
    with pytest.raises(BadModel, match=str(folder)):
        load_embedder(source_of(folder))


@pytest.mark.parametrize("name", ["modules.json", "sentence_bert_config.json"])
def test_a_link_that_leads_nowhere_is_not_taken_for_no_file(folder, name):
    (folder / name).symlink_to("nowhere")
    with pytest.raises(BadModel, match=name):
        load_embedder(source_of(folder))


def retold(folder: Path, change) -> None:
    """Change the tensors of a model."""
    tensors = change(load_file(folder / "model.safetensors"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_renamed_tensor_is_never_replaced_by_random_numbers(folder):
    name = "layers.0.mlp.Wi.weight"
    retold(folder, lambda tensors: {k + "x" * (k == name): v for k, v in tensors.items()})
    for load in LOADERS.values():
        with pytest.raises(BadModel, match=r"lacks 1 of its tensors .*mlp\.Wi\.weight"):
            load(source_of(folder))


def test_a_part_of_a_head_is_no_head(folder):
    """The embedded model's head is two tensors; a checkpoint with none of them gets a new one."""
    from transformers import ModernBertForMaskedLM

    assert len(load_masked_lm(source_of(folder))[1]) >= 2
    whole, _ = load_masked_lm(source_of(folder))
    assert isinstance(whole, ModernBertForMaskedLM)
    whole.save_pretrained(folder)
    retold(folder, lambda tensors: {k.replace("head.dense", "head.dens"): v for k, v in tensors.items()})
    for name in ("pretrain", "finetune"):
        with pytest.raises(BadModel, match=r"lacks 1 of its tensors \(head\.dense\.weight\)"):
            LOADERS[name](source_of(folder))
    load_embedder(source_of(folder))  # needs no head


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_found_on_loading(folder, value):
    retold(folder, lambda tensors: {k: v.clone().fill_(value) for k, v in tensors.items()})
    for load in LOADERS.values():
        with pytest.raises(BadModel, match="not finite"):
            load(source_of(folder))


def test_a_tokenizer_of_another_model_is_refused(folder):
    change(folder, vocab_size=20)
    with pytest.raises(BadModel, match="embeddings for 20"):
        load_tokenizer(source_of(folder))


def test_an_adapter_never_leads_to_the_model_that_it_names(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(tmp_path / "other")})
    )
    with pytest.raises(BadModel, match="holds an adapter"):
        load_embedder(source_of(folder))


@pytest.mark.parametrize("name", ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"])
def test_a_special_tokens_name_in_a_text_is_text(name, tmp_path):
    """The tokens between the outer two are those of the characters; a saved tokenizer is as it came."""
    from transformers import AutoTokenizer

    source = ModelSource("nano", Path(modernbert.__file__).parent / "nano", "", "", "nano")
    tokenizer = load_tokenizer(source)
    first, *inner, last = tokenizer(f"a {name} b")["input_ids"]
    assert (first, last) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert not set(inner) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(inner) == f"a {name} b"
    tokenizer.save_pretrained(tmp_path)
    as_it_came = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.convert_tokens_to_ids(name) in as_it_came(f"a {name} b")["input_ids"][1:-1]
