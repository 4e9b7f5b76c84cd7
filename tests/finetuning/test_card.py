"""The card beside a model: read back by the Hub's own library, with the scores of the record."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import request_of, toy_rows, write_csv
from huggingface_hub import ModelCard
from transformers import AutoTokenizer

from modernbert.finetuning.finetune import finetune


@pytest.mark.parametrize("lora", [False, True])
def test_a_trained_model_has_a_card_with_its_scores(lora, tmp_path, store, tiny_modernbert):
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(120))
    done = finetune(request_of(rows, tiny_modernbert, epochs=1.0, lora=lora), store)
    card = ModelCard.load(store.path(done.name) / "model" / "README.md")
    score = done.record.results[0].scores[0]
    (found,) = [r for r in card.data.eval_results if r.metric_type == score.metric]
    assert found.metric_value == pytest.approx(score.value, abs=1e-6)
    assert (found.dataset_split, found.dataset_type) == ("validation", "own/reviews")
    assert card.data.pipeline_tag == "text-classification"
    assert ("lora" in card.data.tags) == lora
    assert f"{score.value:.4f} | {score.low:.4f} to {score.high:.4f}" in card.text
    assert "README.md" not in done.record.model_files, "its owner may edit it"


def test_a_model_from_random_weights_claims_no_base(reviews, store, tiny_bert):
    done = finetune(request_of(reviews, tiny_bert, epochs=0.1, random_weights=True), store)
    card = ModelCard.load(store.path(done.name) / "model" / "README.md")
    assert "from random weights" in card.text and "fine-tuned on" not in card.text


@pytest.mark.parametrize(
    ("name", "found_in", "expected"),
    [
        ("bert-base", "Hub google-bert/bert-base-uncased", ("google-bert/bert-base-uncased", "apache-2.0")),
        ("minilm", "package gt_x 1.0", ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")),
        ("owner/name", "Hub owner/name", ("owner/name", None)),
        ("owner/name", "bundle owner--name (checksums agree)", ("owner/name", None)),
        ("modernbert-nano", "package mbert 0.1.0", (None, "apache-2.0")),
        ("my/folder", "folder folder", (None, None)),
        ("my-run", "run my-run", (None, None)),
    ],
)
def test_a_base_is_named_by_its_hub_id_or_not_at_all(name, found_in, expected):
    from modernbert.finetuning.card import _base
    from modernbert.records.training import Model

    assert _base(Model(name=name, found_in=found_in)) == expected


def lora_run(rows, model, store, **asked):
    return finetune(replace(request_of(rows, model, epochs=1.0, lora=True), **asked), store)


def adapters_of(store, name) -> dict:
    return json.loads((store.path(name) / "model" / "adapter_config.json").read_text())


def test_adapters_name_their_base_as_any_machine_knows_it(reviews, store, tiny_bert, monkeypatch):
    first = finetune(request_of(reviews, tiny_bert, epochs=0.2), store).name
    on_run = lora_run(reviews, tiny_bert, store, init_from=first, name="on-run")
    assert adapters_of(store, on_run.name)["base_model_name_or_path"] == first
    commit = "a" * 40
    monkeypatch.setattr("modernbert.model.locate.hub_model", lambda repo, revision: tiny_bert.parent / commit)
    (tiny_bert.parent / commit).symlink_to(tiny_bert)
    on_hub = lora_run(reviews, "owner/name", store, name="on-hub")
    kept = adapters_of(store, on_hub.name)
    assert (kept["base_model_name_or_path"], kept["revision"]) == ("owner/name", commit)
    card = (store.path(on_hub.name) / "model" / "README.md").read_text()
    assert "base_model: owner/name" in card
    assert (
        'AutoPeftModelForSequenceClassification.from_pretrained("on-hub", num_labels=2, dtype="float32")'
        in card
    )


@pytest.mark.parametrize("base", ["a folder", "modernbert-nano"])
def test_adapters_give_the_recorded_outputs_as_their_card_says(base, tmp_path, store, tiny_bert, monkeypatch):
    """The card's own code, run where the adapters and the folder of their base were copied to."""
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(60))
    if base == "a folder":
        shutil.copytree(tiny_bert, tmp_path / "elsewhere" / "my base")
        base = str(tmp_path / "elsewhere" / "my base")
    done = lora_run(rows, base, store, name="mine")
    there = tmp_path / "another machine"
    shutil.copytree(store.path("mine") / "model", there / "mine")
    if (tmp_path / "elsewhere").exists():
        shutil.move(tmp_path / "elsewhere" / "my base", there / "my base")
    monkeypatch.chdir(there)
    assert str(tmp_path) not in (there / "mine" / "README.md").read_text()
    assert adapters_of(store, "mine")["base_model_name_or_path"] == Path(base).name
    code = re.search("```python\n(.*?)```", (there / "mine" / "README.md").read_text(), re.DOTALL)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers
        exec(code.replace("PeftModel.from", "tried = PeftModel.from"), found := {})
    row = json.loads((store.path("mine") / "scores.jsonl").read_text().splitlines()[0])
    text = toy_rows(60)[int(row["id"].split("/")[1]) - 1]["text"]
    tokens = AutoTokenizer.from_pretrained(there / "mine")(text, return_tensors="pt")
    with torch.inference_mode():
        logits = found["tried"].eval()(**tokens).logits[0]
    torch.testing.assert_close(logits, torch.tensor(row["logits"]), atol=1e-3, rtol=1e-3)
    assert done.record.model.name == base
