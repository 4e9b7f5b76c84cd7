"""The layout for older versions of transformers: the same settings under their older names."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from collections_toy import write_collection
from helpers import tiny_modernbert_config, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.errors import BadModel, BadOption
from modernbert.export import classic
from modernbert.export.classic import classic_config, classic_tokenizer, export_classic
from modernbert.export.subject import ExportRequest
from modernbert.model.pretrained import quiet_transformers

ROPE = {
    "full_attention": {"rope_type": "default", "rope_theta": 777.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 55.0},
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_tokenizer):
    """A classifier whose positions are no defaults."""
    from transformers import ModernBertForSequenceClassification

    torch.manual_seed(0)
    names = {"id2label": {0: "positive", 1: "negative"}, "label2id": {"positive": 0, "negative": 1}}
    model = ModernBertForSequenceClassification(tiny_modernbert_config(rope_parameters=ROPE, **names))
    for weights in model.parameters():
        weights.data *= 10 if weights.dim() > 1 else 1  # else positions hardly matter
    folder = tmp_path_factory.mktemp("classic") / "classifier"
    with quiet_transformers():
        model.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
    return folder


def of(classifier, tmp_path, store, **more):
    on = write_csv(tmp_path / "rows.csv", toy_rows(20))
    request = ExportRequest(model=str(classifier), output=tmp_path / "out", on=str(on), **more)
    return export_classic(request, store)


def test_older_names_say_the_same():
    from transformers import ModernBertConfig

    config = tiny_modernbert_config(rope_parameters=ROPE, num_hidden_layers=8, dtype="bfloat16")
    old = classic_config(config.to_dict())
    assert (old["global_rope_theta"], old["local_rope_theta"]) == (777.0, 55.0)
    assert (old["global_attn_every_n_layers"], old["torch_dtype"]) == (3, "bfloat16")
    assert not old.keys() & {"rope_parameters", "layer_types", "dtype", "_name_or_path"}
    again = ModernBertConfig(**old)
    assert again.layer_types == config.layer_types
    assert {k: v["rope_theta"] for k, v in again.rope_parameters.items()} == {
        k: v["rope_theta"] for k, v in ROPE.items()
    }
    assert classic_config(old) == old, "what is old stays"


@pytest.mark.parametrize(("layers", "every"), [("FSSF", 3), ("FSFS", 2), ("FFFF", 1), ("FSSS", 4)])
def test_global_layers_are_every_so_many(layers, every):
    kinds = {"F": "full_attention", "S": "sliding_attention"}
    found = classic_config({"model_type": "modernbert", "layer_types": [kinds[k] for k in layers]})
    assert found["global_attn_every_n_layers"] == every


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layer_types": ["full_attention", "full_attention", "sliding_attention"]}, "not evenly spaced"),
        ({"layer_types": ["sliding_attention", "full_attention"]}, "not evenly spaced"),
        ({"rope_parameters": {**ROPE, "full_attention": {"rope_type": "yarn"}}}, "stretched"),
    ],
)
def test_what_older_versions_cannot_do_is_refused(change, said):
    with pytest.raises(BadModel, match=said):
        classic_config({"model_type": "modernbert", **change})


def test_the_tokenizers_class_is_one_that_every_version_has():
    words = {
        "tokenizer_class": "TokenizersBackend",
        "backend": "tokenizers",
        "is_local": True,
        "pad_token": "[PAD]",
    }
    found = classic_tokenizer(words, ["input_ids", "token_type_ids"])
    assert found == {
        "pad_token": "[PAD]", "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids"],
    }  # fmt: skip


def test_a_classifier_is_proven(classifier, tmp_path, store):
    made = of(classifier, tmp_path, store)
    proof = made.proof
    assert (proof.outputs.largest, proof.outputs.agreement, proof.speed) == (0, 1, ())
    assert [text.tokens for text in proof.long] == [256]
    config = json.loads((made.folder / "config.json").read_text())
    assert config["num_labels"] == 2 and config["global_rope_theta"] == 777.0
    assert made.files.keys() == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    with pytest.raises(BadOption, match="there already"):
        of(classifier, tmp_path, store)


def test_settings_that_are_lost_are_noticed(classifier, tmp_path, store, monkeypatch):
    """Without its own positions the model would be another: the folder does not appear."""
    monkeypatch.setattr(classic, "_rotary", lambda config, where: {})
    with pytest.raises(BadModel, match="not the same model"):
        of(classifier, tmp_path, store)
    assert not (tmp_path / "out").exists()


def test_vectors_keep_how_they_are_pooled(tiny_modernbert, tmp_path, store):
    folder = shutil.copytree(tiny_modernbert, tmp_path / "vectors")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(
        '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true}'
    )
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    on = str(write_collection(tmp_path / "toy"))
    made = export_classic(ExportRequest(model=str(folder), output=tmp_path / "out", on=on), store)
    assert made.kind == "embedder" and made.proof.outputs.agreement > 1 - 1e-6
    assert {"1_Pooling/config.json", "modules.json"} <= made.files.keys()


def test_the_command(classifier, tmp_path):
    on = write_csv(tmp_path / "rows.csv", toy_rows(20))
    line = ["export", str(classifier), "--to", "hf", "-o", str(tmp_path / "out"), "--on", str(on)]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0
    assert "classifier, for transformers 4.48 and later" in done.stdout and "same answer" in done.stdout
    with pytest.raises(BadOption, match="--int8 applies only with --to onnx"):
        CliRunner().invoke(app, [*line, "--int8"], catch_exceptions=False)
