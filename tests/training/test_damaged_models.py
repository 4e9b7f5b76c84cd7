"""Models and runs that are damaged, or come back otherwise: training refuses them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers import request_of
from safetensors.torch import load_file, save_file

from modernbert.errors import BadModel, BadRun
from modernbert.finetuning.finetune import finetune
from modernbert.model.loading import load_trained
from modernbert.model.locate import locate_model
from modernbert.training import classification as module


def test_a_model_that_reloads_differently_fails_the_run(reviews, store, tiny_bert, monkeypatch):
    def tampered(source, task):
        model = load_trained(source, task)
        torch.nn.init.normal_(model.classifier.weight)
        return model

    monkeypatch.setattr(module, "load_trained", tampered)
    with pytest.raises(BadModel, match="read back, gives other outputs"):
        finetune(request_of(reviews, tiny_bert, epochs=1.0), store)
    assert store.read(store.names()[0]).status != "finished"


def test_a_run_of_another_format_is_refused(reviews, store, tiny_bert):
    name = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    record = json.loads((store.path(name) / "run.json").read_text())
    (store.path(name) / "run.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(BadRun, match="format 99"):
        locate_model(name, store=store)


@pytest.mark.parametrize("damage", ["cut", "one byte", "no tokenizer"])
def test_a_damaged_model_of_a_run_is_refused(damage, reviews, store, tiny_bert):
    name = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    weights = store.path(name) / "model" / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "no tokenizer":
        (weights.parent / "tokenizer.json").unlink()
    else:
        weights.write_bytes(whole[:1000] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadModel, match="the run's model was changed or damaged"):
        finetune(request_of(reviews, name, epochs=1.0), store)


def test_a_damaged_model_folder_is_refused(reviews, store, tiny_bert, tmp_path):
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadModel, match="the checkpoint cannot be read"):
        finetune(request_of(reviews, folder, epochs=1.0), store)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadModel, match="the model has no tokenizer"):
        finetune(request_of(reviews, folder, epochs=1.0), store)


def test_an_encoder_with_missing_tensors_is_refused(tmp_path, reviews, store, tiny_bert):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_bert, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("encoder.layer.1.output.dense.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadModel, match="lacks 1 of its tensors"):
        finetune(request_of(reviews, folder), store)
    assert store.names() == [], "nothing was written"
