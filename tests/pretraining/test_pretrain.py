"""Whole pretraining runs: what is learnt, kept, resumed, gone on from and refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
import torch
from helpers import request_of, tiny_modernbert_config
from modernbert.cli.main import app
from safetensors.torch import load_file
from typer.testing import CliRunner

from modernbert.errors import BadOption, Interrupted
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.study import resume_any
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.pretraining.recipes import NAMES, pretraining_recipe
from modernbert.runs import RunStore
from modernbert.settings.config import PretrainingConfig
from modernbert.training.reports import StepReport

FAST = {"max_length": 64, "batch_size": 4, "epochs": 2.0, "learning_rate": 3e-3, "held_out": 0.1}


@pytest.fixture
def corpus(tmp_path):
    """Sixty texts in which every word is followed by the same one."""
    draw = random.Random(0)
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(60):
        start = draw.randrange(60)
        (folder / f"{number}.txt").write_text(
            " ".join(f"w{(start + i) % 60}" for i in range(50)) + f" w{number}"
        )
    return folder


def request_on(corpus, model, **settings):
    """Return a request to train `model` on a folder."""
    return PretrainingRequest(
        target="pretraining",
        files=(str(corpus),),
        model=str(model),
        settings=FAST | settings,
        precision="fp32",
        device="cpu",
    )


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_training_lowers_the_loss_on_held_out_text(model, corpus, store, request):
    folder = request.getfixturevalue(model)
    result = finetune(request_on(corpus, folder, epochs=20.0), store)
    history = [point.metrics["loss"] for point in result.record.training.history]
    assert history[-1] < history[0] - 0.5
    (split,) = result.splits
    assert split.split == "held_out"
    assert {score.metric for score in split.scores} == {"masked_accuracy", "loss"}
    rows = [json.loads(line) for line in (store.path(result.name) / "scores.jsonl").read_text().splitlines()]
    accuracy = sum(row["correct"] for row in rows) / sum(row["masked"] for row in rows)
    assert accuracy == pytest.approx(split.scores[0].value)
    assert split.scores[0].low <= accuracy <= split.scores[0].high
    assert result.record.kind == "pretrain"


def test_the_saved_model_is_transformers_own(corpus, store, tiny_modernbert):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    name = finetune(request_on(corpus, tiny_modernbert), store).name
    folder = store.path(name) / "model"
    model = AutoModelForMaskedLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    logits = model(**tokenizer(f"w1 {tokenizer.mask_token} w3", return_tensors="pt")).logits
    assert logits.isfinite().all()


def test_from_scratch_then_longer_then_fine_tuned(corpus, reviews, store, tmp_path):
    config = tmp_path / "tiny.json"
    config.write_text(tiny_modernbert_config().to_json_string())
    scratch = replace(request_on(corpus, "unused"), scratch=str(config), vocabulary=600)
    first = finetune(scratch, store).name
    assert store.read(first).model.revision == "untrained"
    longer = request_on(corpus, first, max_length=128, rotary_base=80_000.0)
    second = finetune(longer, store).name
    saved = json.loads((store.path(second) / "model" / "config.json").read_text())
    assert saved["rope_parameters"]["full_attention"]["rope_theta"] == 80_000.0
    tuned = finetune(request_of(reviews, second, epochs=1.0), store)
    assert tuned.record.model.revision == second


def test_a_resumed_run_equals_an_uninterrupted_one(corpus, tmp_path, tiny_modernbert):
    import os
    import signal

    def observe(report):
        if isinstance(report, StepReport) and report.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    request = request_on(corpus, tiny_modernbert)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)
    with pytest.raises(Interrupted):
        finetune(request, broken, observe=observe)
    (name,) = broken.names()
    resume_any(name, broken)
    first, second = (load_file(s.path(name) / "model" / "model.safetensors") for s in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert broken.read(name).results == expected.record.results


def test_a_corpus_is_tokenised_once(corpus, store, tiny_modernbert, monkeypatch):
    from modernbert.pretraining import inputs as module

    finetune(request_on(corpus, tiny_modernbert), store)
    monkeypatch.setattr(module, "build", None)
    finetune(request_on(corpus, tiny_modernbert), store)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"vocabulary": 1000}, {}, "cannot take a new vocabulary"),
        ({"scratch": "huge"}, {}, "no architecture 'huge'"),
        ({"scratch": "nano", "vocabulary": 100}, {}, "vocabulary of 100 is too small"),
        ({"recipe": "fast"}, {}, "no recipe called 'fast'"),
        ({}, {"max_length": 4096}, "exceeds the model's context of 256"),
        ({}, {"mask": 1.0}, "mask is 1.0"),
        ({}, {"held_out": 0.0}, "held_out is 0.0"),
        ({}, {"lora": True}, "--lora applies only to fine-tuning"),
    ],
)
def test_mistakes_are_named(changes, settings, message, corpus, store, tiny_modernbert):
    with pytest.raises(BadOption, match=message):
        finetune(replace(request_on(corpus, tiny_modernbert, **settings), **changes), store)
    assert not store.names()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scratch", [False, True])
def test_recipes_are_settings(name, scratch):
    recipe = pretraining_recipe(name, scratch=scratch)
    config = PretrainingConfig().with_values(recipe.settings, source=name)
    assert config.optimizer.name == "stable_adamw"
    assert config.masking.mask == 0.3


def test_the_command_trains_and_says_how_to_go_on(corpus, tiny_modernbert):
    flags = ["--epochs", "1", "--max-length", "64", "--batch-size", "4", "--held-out", "0.1"]
    done = CliRunner().invoke(app, ["pretrain", str(corpus), "--model", str(tiny_modernbert), *flags])
    assert done.exit_code == 0, done.output
    for shown in ("masked_accuracy", "60 texts", "mbert finetune TASK --model"):
        assert shown in done.output
